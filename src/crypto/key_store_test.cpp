// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_store.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

using namespace mlxguard;
using namespace mlxguard::crypto;
namespace fs = std::filesystem;

namespace {

struct Place {
  Place() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-keys-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root = pattern;
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { fs::remove_all(root); }

  [[nodiscard]] fs::path folder() const { return root / "state/keys"; }
  [[nodiscard]] KeyStore store() const { return KeyStore(folder()); }
  fs::path root;
};

Secret passphrase(std::string_view text = "a passphrase") {
  return Secret::copy_of(as_bytes(text));
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
ErrorCode code_of(const Result<T>& result) {
  REQUIRE(!result.has_value());
  return result.error().code;
}

EcPublicKey make(const Place& place, std::string_view name = "signer") {
  return place.store().create(name, Curve::kP256, passphrase()).value();
}

}  // namespace

TEST_CASE("key store: a new key is there, private, and opens") {
  const Place place;
  const mode_t umask_before = ::umask(0);
  const auto made = make(place);
  ::umask(umask_before);
  CHECK(mode_of(place.folder()) == 0700);
  CHECK(mode_of(place.folder() / "signer.key") == 0600);
  CHECK(mode_of(place.folder() / "signer.pub") == 0644);
  CHECK(read(place.folder() / "signer.pub") == made.pem());
  const auto opened = place.store().open("signer", passphrase()).value();
  CHECK(opened.public_key().fingerprint() == made.fingerprint());
  CHECK(place.store().public_key("signer").value().fingerprint() == made.fingerprint());
  // Nothing unfinished is left behind.
  CHECK(std::distance(fs::directory_iterator(place.folder()), {}) == 2);
}

TEST_CASE("key store: a key is never overwritten, neither half of it") {
  const Place place;
  make(place);
  const std::string key = read(place.folder() / "signer.key");
  CHECK(code_of(place.store().create("signer", Curve::kP256, passphrase())) ==
        ErrorCode::kKeyExists);
  CHECK(read(place.folder() / "signer.key") == key);
  // Somebody's public key, trusted here, of which there is no private one.
  std::ofstream(place.folder() / "other.pub") << "somebody's";
  CHECK(code_of(place.store().create("other", Curve::kP256, passphrase())) ==
        ErrorCode::kKeyExists);
  CHECK(read(place.folder() / "other.pub") == "somebody's");
  CHECK_FALSE(fs::exists(place.folder() / "other.key"));
}

TEST_CASE("key store: a link where a key shall be written is not followed") {
  const Place place;
  make(place, "first");
  fs::create_symlink(place.root / "outside", place.folder() / "signer.key");
  CHECK(code_of(place.store().create("signer", Curve::kP256, passphrase())) ==
        ErrorCode::kKeyExists);
  CHECK_FALSE(fs::exists(place.root / "outside"));
  // Nor where the file is prepared.
  fs::create_symlink(place.root / "outside", place.folder() / ".second.key.new");
  make(place, "second");
  CHECK_FALSE(fs::exists(place.root / "outside"));
}

TEST_CASE("key store: of many that make one key at once, one succeeds and its key is whole") {
  const Place place;
  for (int round = 0; round < 3; ++round) {
    const std::string name = "key" + std::to_string(round);
    std::atomic<int> made{0};
    std::atomic<int> other_errors{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const auto result = place.store().create(name, Curve::kP256, passphrase());
        if (result) {
          ++made;
        } else if (result.error().code != ErrorCode::kKeyExists) {
          ++other_errors;
        }
      });
    }
    threads.clear();
    CHECK(made == 1);
    CHECK(other_errors == 0);
    const auto key = place.store().open(name, passphrase()).value();
    CHECK(key.public_key().fingerprint() == place.store().public_key(name).value().fingerprint());
  }
}

TEST_CASE("key store: a private key that others may read or write is refused") {
  const Place place;
  make(place);
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0666}) {
    REQUIRE(::chmod((place.folder() / "signer.key").c_str(), mode) == 0);
    const auto refused = place.store().open("signer", passphrase());
    CHECK(code_of(refused) == ErrorCode::kKeyPermissions);
    CHECK(refused.error().subject == (place.folder() / "signer.key").string());
  }
  REQUIRE(::chmod((place.folder() / "signer.key").c_str(), 0400) == 0);
  CHECK(place.store().open("signer", passphrase()).has_value());
}

TEST_CASE("key store: a public key that others may write is refused: it decides who is trusted") {
  const Place place;
  make(place);
  REQUIRE(::chmod((place.folder() / "signer.pub").c_str(), 0664) == 0);
  CHECK(code_of(place.store().public_key("signer")) == ErrorCode::kKeyPermissions);
  CHECK(code_of(place.store().public_keys()) == ErrorCode::kKeyPermissions);
  CHECK(code_of(read_public_key(place.folder() / "signer.pub")) == ErrorCode::kKeyPermissions);
  REQUIRE(::chmod((place.folder() / "signer.pub").c_str(), 0646) == 0);
  CHECK(code_of(place.store().public_keys()) == ErrorCode::kKeyPermissions);
}

TEST_CASE("key store: links, folders, fifos and huge files are no keys") {
  const Place place;
  make(place);
  fs::rename(place.folder() / "signer.key", place.root / "moved");
  fs::create_symlink(place.root / "moved", place.folder() / "signer.key");
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kKeyPermissions);
  fs::remove(place.folder() / "signer.key");
  REQUIRE(::mkfifo((place.folder() / "signer.key").c_str(), 0600) == 0);
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kKeyPermissions);
  fs::remove(place.folder() / "signer.key");
  fs::create_directory(place.folder() / "signer.key");
  fs::permissions(place.folder() / "signer.key", fs::perms::owner_all);
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kKeyPermissions);
  fs::remove(place.folder() / "signer.key");
  std::ofstream(place.folder() / "signer.key") << std::string(1 << 20, 'x');
  REQUIRE(::chmod((place.folder() / "signer.key").c_str(), 0600) == 0);
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kTooLarge);
}

TEST_CASE("key store: a key of another user is refused") {
  const Place place;
  make(place);
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can give a file away");
    return;
  }
  REQUIRE(::chown((place.folder() / "signer.key").c_str(), 65534, 65534) == 0);
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kKeyPermissions);
}

TEST_CASE("key store: no key is made in a folder that others can write to") {
  const Place place;
  fs::create_directories(place.folder());
  for (const mode_t mode : {0770, 0702, 0777, 01777}) {
    REQUIRE(::chmod(place.folder().c_str(), mode) == 0);
    CHECK(code_of(place.store().create("signer", Curve::kP256, passphrase())) ==
          ErrorCode::kKeyPermissions);
  }
  CHECK(fs::is_empty(place.folder()));
}

TEST_CASE("key store: names stay inside of the folder") {
  const Place place;
  for (const std::string name :
       {"", ".", "..", ".hidden", "../x", "a/b", "a b", "-x", "\xc3\xa9", "a\n",
        "65-characters-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    INFO(name);
    CHECK(code_of(place.store().create(name, Curve::kP256, passphrase())) == ErrorCode::kKeyName);
    CHECK(code_of(place.store().open(name, passphrase())) == ErrorCode::kKeyName);
    CHECK(code_of(place.store().public_key(name)) == ErrorCode::kKeyName);
  }
  CHECK_FALSE(fs::exists(place.folder()));
  CHECK(check_key_name("A.b_c-9").has_value());
  CHECK(check_key_name(std::string(64, 'a')).has_value());
}

TEST_CASE("key store: what is not there, and a wrong passphrase") {
  const Place place;
  CHECK(place.store().public_keys().value().empty());
  CHECK(code_of(place.store().open("signer", passphrase())) == ErrorCode::kKeyNotFound);
  CHECK(code_of(place.store().public_key("signer")) == ErrorCode::kKeyNotFound);
  make(place);
  CHECK(code_of(place.store().open("signer", passphrase("another"))) == ErrorCode::kKeyPassphrase);
}

TEST_CASE(
    "key store: lists public keys by name; one that is broken stops it, others do not count") {
  const Place place;
  make(place, "b");
  make(place, "a");
  std::ofstream(place.folder() / "notes.txt") << "x";
  std::ofstream(place.folder() / ".hidden.pub") << "x";
  const auto keys = place.store().public_keys().value();
  REQUIRE(keys.size() == 2);
  CHECK(keys[0].first == "a");
  CHECK(keys[1].first == "b");
  std::ofstream(place.folder() / "c.pub") << "x";
  REQUIRE(::chmod((place.folder() / "c.pub").c_str(), 0644) == 0);
  CHECK(code_of(place.store().public_keys()) == ErrorCode::kPem);
}
