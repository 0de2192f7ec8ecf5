// SPDX-License-Identifier: Apache-2.0
#include "log/checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include "codec/text.h"
#include "log/test_log.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT

namespace {

ErrorCode code_of(const auto& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code;
}

const Checkpoint kExample{"example.org/log", 42, leaf_hash({})};

/// A note of this body, signed as a checkpoint would be.
std::string note_of(const std::string& body) {
  const crypto::Ed25519Key key = test_key();
  const VerifierKey verifier{"example.org/log", key.public_key()};
  const auto id = verifier.id();
  std::vector<std::uint8_t> bytes(id.begin(), id.end());
  const auto signature = key.sign(as_bytes(body));
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  return body + "\n\xe2\x80\x94 example.org/log " + codec::to_base64(Bytes(bytes)) + "\n";
}

}  // namespace

TEST_CASE("checkpoint: the published example of a verifier key has the key id that we compute") {
  const std::string text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  const auto key = VerifierKey::parse(text + "\n");
  REQUIRE(key.has_value());
  CHECK(key->name == "PeterNeumann");
  CHECK(key->text() == text);
  // The note that is signed by it in the documentation of the format.
  const std::string note =
      "If you think cryptography is the answer to your problem,\n"
      "then you don't know what your problem is.\n";
  const auto signature = codec::from_base64(
      "x08go/ZJkuBS9UG/"
      "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=");
  REQUIRE(signature.has_value());
  CHECK(crypto::ed25519_verify(key->key, as_bytes(note), Bytes(*signature).subspan(4)));
}

TEST_CASE("checkpoint: what is signed opens again, and its text is fixed") {
  const crypto::Ed25519Key key = test_key();
  const std::string note = sign_checkpoint(kExample, key);
  CHECK(
      note.starts_with("example.org/log\n42\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n— "
                       "example.org/log "));
  const auto opened = open_checkpoint(note, {kExample.origin, key.public_key()});
  REQUIRE(opened.has_value());
  CHECK(opened->origin == kExample.origin);
  CHECK(opened->size == 42);
  CHECK(opened->root == kExample.root);
}

TEST_CASE("checkpoint: another byte anywhere is refused, and so is every shorter text") {
  const crypto::Ed25519Key key = test_key();
  const VerifierKey verifier{kExample.origin, key.public_key()};
  const std::string note = sign_checkpoint(kExample, key);
  for (std::size_t i = 0; i < note.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      std::string changed = note;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      REQUIRE(code_of(open_checkpoint(changed, verifier)) == ErrorCode::kLogCheckpoint);
    }
    REQUIRE(code_of(open_checkpoint(note.substr(0, i), verifier)) == ErrorCode::kLogCheckpoint);
  }
}

TEST_CASE("checkpoint: refuses another key, another log, and no signature") {
  const std::string note = sign_checkpoint(kExample, test_key(1));
  CHECK(code_of(open_checkpoint(note, {kExample.origin, test_key(2).public_key()})) ==
        ErrorCode::kLogCheckpoint);
  CHECK(code_of(open_checkpoint(note, {"other.org/log", test_key(1).public_key()})) ==
        ErrorCode::kLogCheckpoint);
  CHECK(code_of(open_checkpoint(note.substr(0, note.find("\n\n") + 2),
                                {kExample.origin, test_key(1).public_key()})) ==
        ErrorCode::kLogCheckpoint);
}

TEST_CASE("checkpoint: refuses signed bodies of another form") {
  const VerifierKey key{"example.org/log", test_key().public_key()};
  const std::string root = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n";
  REQUIRE(open_checkpoint(note_of("example.org/log\n7\n" + root), key).has_value());
  for (const std::string& body :
       {"example.org/log\n07\n" + root, "example.org/log\n-7\n" + root,
        "example.org/log\n 7\n" + root, "example.org/log\n\n" + root,
        "example.org/log\n18446744073709551616\n" + root, "another.org/log\n7\n" + root,
        std::string("example.org/log\n7\n"), std::string("example.org/log\n7\nAAAA\n"),
        "example.org/log\n7\n" + root + "extension\n"}) {
    CAPTURE(body);
    CHECK(code_of(open_checkpoint(note_of(body), key)) == ErrorCode::kLogCheckpoint);
  }
}

TEST_CASE("checkpoint: refuses malformed verifier keys") {
  const std::string good = VerifierKey{"a", test_key().public_key()}.text();
  REQUIRE(VerifierKey::parse(good).has_value());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    REQUIRE(code_of(VerifierKey::parse(changed)) == ErrorCode::kLogCheckpoint);
  }
  for (const char* text : {"", "a", "a+b", "a+00000000+", "a b+00000000+AQ=="}) {
    CHECK(code_of(VerifierKey::parse(text)) == ErrorCode::kLogCheckpoint);
  }
}

TEST_CASE("log key: is made once, private to its owner, and read again") {
  TestFolder folder;
  TestRandom random;
  const auto keys = folder.path() / "keys";
  CHECK(code_of(load_log_key(keys)) == ErrorCode::kNotFound);
  const auto made = load_or_create_log_key(keys, random);
  REQUIRE(made.has_value());
  const auto again = load_or_create_log_key(keys, random);
  REQUIRE(again.has_value());
  CHECK(made->public_key() == again->public_key());
  struct stat status {};
  REQUIRE(::stat((keys / "log.ed25519").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::stat(keys.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  CHECK(std::distance(std::filesystem::directory_iterator(keys), {}) == 1);
}

TEST_CASE("log key: refuses files that others can touch, links, and other content") {
  TestFolder folder;
  TestRandom random;
  REQUIRE(load_or_create_log_key(folder.path(), random).has_value());
  const auto file = folder.path() / "log.ed25519";
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601}) {
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    CHECK(code_of(load_log_key(folder.path())) == ErrorCode::kKeyPermissions);
  }
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  REQUIRE(load_log_key(folder.path()).has_value());
  for (const std::string& text : {std::string(), std::string(65, 'x'), std::string(64, 'a'),
                                  std::string(64, 'A') + "\n", std::string(66, 'a')}) {
    spill(file, text);
    CHECK(code_of(load_log_key(folder.path())) == ErrorCode::kKeyFormat);
  }
  if (::geteuid() == 0) {  // only root can give a file away
    spill(file, std::string(64, 'a') + "\n");
    REQUIRE(load_log_key(folder.path()).has_value());
    REQUIRE(::chown(file.c_str(), 12345, 12345) == 0);
    CHECK(code_of(load_log_key(folder.path())) == ErrorCode::kKeyPermissions);
  }
  std::filesystem::rename(file, folder.path() / "elsewhere");
  std::filesystem::create_symlink("elsewhere", file);
  CHECK(code_of(load_log_key(folder.path())) == ErrorCode::kKeyPermissions);
}
