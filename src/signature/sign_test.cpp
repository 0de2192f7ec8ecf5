// SPDX-License-Identifier: Apache-2.0
#include "signature/sign.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "artifact/local_mac.h"
#include "base/limits.h"
#include "crypto/random.h"
#include "signature/statement.h"
#include "signature/test_support.h"

namespace mlxguard::signature {
namespace {

using test::ModelOnDisk;
namespace fs = std::filesystem;

Statement statement_of(const std::string& bundle_text) {
  auto bundle = parse_bundle(bundle_text);
  REQUIRE(bundle.has_value());
  auto statement = parse_statement(as_text(bundle->payload));
  REQUIRE(statement.has_value());
  return *std::move(statement);
}

TEST_CASE("sign: lists every file in the order of the specification, not by path components") {
  ModelOnDisk model;
  for (const char* name :
       {"a/b", "a-b", "B", "\xc3\xbc", "z", "a/b c\"d", ".git/x", ".gitignore"}) {
    model.write(name, name);
  }
  const auto key = test::new_key();
  auto signed_model = test::sign_in_place(model.path(), key);
  REQUIRE(signed_model.has_value());
  const Statement statement = statement_of(signed_model->bundle);
  std::vector<std::string> names;
  for (const auto& resource : statement.resources) names.push_back(resource.name);
  CHECK(names == std::vector<std::string>{"B", "a-b", "a/b", "a/b c\"d", "z", "\xc3\xbc"});
  CHECK(signed_model->files == 6);
  CHECK(signed_model->root_digest == statement.root_digest);
  CHECK(statement.subject_name == "model");
  CHECK(statement.ignored_paths.size() == 2 * default_ignored_paths().size());  // and the defaults
}

TEST_CASE("sign: the bundle names the key and verifies over the DSSE encoding") {
  ModelOnDisk model;
  model.write("a", "x");
  const auto key = test::new_key();
  auto signed_model = test::sign_in_place(model.path(), key);
  REQUIRE(signed_model.has_value());
  CHECK(model.read("model.sig") == signed_model->bundle);
  auto bundle = parse_bundle(signed_model->bundle);
  REQUIRE(bundle.has_value());
  CHECK(bundle->key_hint == key.public_key().fingerprint());
  CHECK(key.public_key().verify(pre_authentication_encoding(bundle->payload), bundle->signature));
  CHECK_FALSE(key.public_key().verify(bundle->payload, bundle->signature));
}

TEST_CASE("sign: more paths can be ignored, patterns and paths outside cannot") {
  ModelOnDisk model;
  model.write("a", "x");
  model.write("cache/b", "x");
  const auto key = test::new_key();
  auto signed_model = test::sign_in_place(model.path(), key, {.ignored = {"cache"}});
  REQUIRE(signed_model.has_value());
  CHECK(signed_model->files == 1);
  for (const char* path : {"*.tmp", "../x", "/x", ".", "", "a/", "[a]"}) {
    CAPTURE(path);
    auto refused = test::sign_in_place(model.path(), key, {.ignored = {path}});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::kUsage);
  }
}

TEST_CASE("sign: refuses an empty model, a link and a name with control characters") {
  const auto key = test::new_key();
  const auto code_of = [&](const ModelOnDisk& model) {
    auto refused = test::sign_in_place(model.path(), key);
    REQUIRE_FALSE(refused.has_value());
    CHECK_FALSE(fs::exists(model.path() / "model.sig"));
    return refused.error().code;
  };
  ModelOnDisk empty;
  CHECK(code_of(empty) == ErrorCode::kArtifactEmpty);
  ModelOnDisk linked;
  linked.write("a", "x");
  fs::create_symlink("a", linked.path() / "b");
  CHECK(code_of(linked) == ErrorCode::kArtifactSymlink);
  ModelOnDisk odd;
  odd.write("a\nb", "x");
  CHECK(code_of(odd) == ErrorCode::kArtifactName);
}

/// Files keep times in steps: two changes within one have one time.
void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(80)); }

TEST_CASE("sign: a file that is written while it is hashed is not signed") {
  ModelOnDisk model;
  model.write("a", "old bytes");
  settle();
  const auto key = test::new_key();
  SignOptions options;
  options.progress =
      artifact::Progress([&](std::uint64_t, std::uint64_t) { model.write("a", "new bytes"); });
  auto refused = test::sign_in_place(model.path(), key, options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kArtifactChanged);
  CHECK(refused.error().subject == "a");
  CHECK_FALSE(fs::exists(model.path() / "model.sig"));
}

/// Signs as one installation does that remembers digests in a folder beside the model.
class Remembering {
 public:
  explicit Remembering(const ModelOnDisk& model) : model_(model) {}
  SignedModel sign(artifact::HashPlan plan = {}) {
    crypto::SystemRandom random;
    auto mac = artifact::LocalMac::open(model_.root() / "keys", random);
    REQUIRE(mac.has_value());
    settle();
    auto cache = artifact::DigestCache::load(model_.root() / "digests", *mac, model_.path(), plan);
    SignOptions options;
    options.plan = plan;
    options.cache = &cache;
    auto made = test::sign_in_place(model_.path(), key_, options);
    REQUIRE(made.has_value());
    REQUIRE(cache.save(*mac).has_value());
    return *std::move(made);
  }
  /// What the bundle says now is what the file holds now.
  void check_true(const SignedModel& made, const std::string& name) const {
    for (const artifact::FileDigest& one : statement_of(made.bundle).resources) {
      if (one.name != name) continue;
      const auto digest = crypto::sha256(as_bytes(model_.read(name)));
      CHECK(one.digest == std::vector<std::uint8_t>(digest.begin(), digest.end()));
    }
  }

 private:
  const ModelOnDisk& model_;
  crypto::EcPrivateKey key_ = test::new_key();
};

TEST_CASE("sign: only what changed since the last time is hashed again") {
  ModelOnDisk model;
  model.write("large", std::string(100'000, 'x'));
  model.write("small", "12345");
  Remembering signer(model);
  CHECK(signer.sign().hashed_bytes == 100'005);
  CHECK(signer.sign().hashed_bytes == 0);
  model.write("small", "123456");
  const auto again = signer.sign();
  CHECK(again.hashed_bytes == 6);
  signer.check_true(again, "small");
  CHECK(signer.sign({crypto::HashAlgorithm::kBlake3, 0}).hashed_bytes == 100'006);
  CHECK(signer.sign({crypto::HashAlgorithm::kSha256, 50'000}).hashed_bytes == 100'006);
}

TEST_CASE(
    "sign: a digest is not remembered for other bytes, whatever was done to the file's times") {
  ModelOnDisk model;
  model.write("a", "old bytes");
  Remembering signer(model);
  CHECK(signer.sign().hashed_bytes == 9);
  struct stat before {};
  REQUIRE(::stat((model.path() / "a").c_str(), &before) == 0);
  const auto put_times_back = [&] {
    const timespec times[] = {before.st_atim, before.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, (model.path() / "a").c_str(), times, 0) == 0);
  };
  model.write("a", "new bytes");
  put_times_back();
  const auto changed = signer.sign();
  CHECK(changed.hashed_bytes == 9);
  signer.check_true(changed, "a");
  // Another file under the name, of the same size and time.
  model.write("b", "odd bytes");
  fs::rename(model.path() / "b", model.path() / "a");
  put_times_back();
  const auto exchanged = signer.sign();
  CHECK(exchanged.hashed_bytes == 9);
  signer.check_true(exchanged, "a");
}

TEST_CASE("sign: a file that someone may write to without a record is hashed every time") {
  ModelOnDisk model;
  model.write("a", "old bytes");
  Remembering signer(model);
  const int fd = ::open((model.path() / "a").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  void* mapped = ::mmap(nullptr, 9, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(mapped != MAP_FAILED);
  ::close(fd);
  auto* const bytes = static_cast<char*>(mapped);
  bytes[0] = 'O';  // on record; what follows in the same page is not
  CHECK(signer.sign().hashed_bytes == 9);
  bytes[0] = 'N';
  const auto again = signer.sign();
  CHECK(again.hashed_bytes == 9);
  signer.check_true(again, "a");
  ::munmap(mapped, 9);
  CHECK(signer.sign().hashed_bytes == 9);  // remembered from now on
  CHECK(signer.sign().hashed_bytes == 0);
}

TEST_CASE("sign: remembered digests are those of one model and one plan") {
  ModelOnDisk model;
  model.write("a", "some bytes");
  Remembering signer(model);
  CHECK(signer.sign().hashed_bytes == 10);
  const fs::path digests = model.root() / "digests";
  const fs::path files = *fs::directory_iterator(digests);
  CHECK(signer.sign({crypto::HashAlgorithm::kSha256, 4}).hashed_bytes == 10);
  for (const auto& entry : fs::directory_iterator(digests)) {
    if (entry.path() != files)
      fs::copy_file(files, entry.path(), fs::copy_options::overwrite_existing);
  }
  CHECK(signer.sign({crypto::HashAlgorithm::kSha256, 4}).hashed_bytes == 10);
  CHECK(signer.sign().hashed_bytes == 0);
}

TEST_CASE("sign: what a killed signer left is no file of the model, whatever the bundle's name") {
  ModelOnDisk model;
  model.write("a", "x");
  model.write(".model.sig.new", "half");
  model.write("sub/.own.sig.new", "half");
  SignOptions options;
  options.bundle_file = "sub/own.sig";
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  auto made = sign_model(*folder, test::new_key(), options);
  REQUIRE(made.has_value());
  CHECK(made->files == 2);  // of this bundle; the other one is a file like others
  options.bundle_file = "model.sig";
  made = sign_model(*folder, test::new_key(), options);
  REQUIRE(made.has_value());
  CHECK(made->files == 2);
  CHECK(unfinished_file_of("model.sig") == kUnfinishedSignatureFile);
}

TEST_CASE("bundle file: a device, a pipe or a folder is not replaced, nor what a link to one is") {
  ModelOnDisk model;
  const auto code_of_put = [&](const char* name) {
    auto put = put_bundle_at(model.root() / name, "new");
    return put ? ErrorCode::kInternal : put.error().code;
  };
  REQUIRE(::mkfifo((model.root() / "pipe").c_str(), 0600) == 0);
  fs::create_symlink("/dev/null", model.root() / "link");
  for (const char* name : {"pipe", "link", "model"}) {
    CAPTURE(name);
    CHECK(code_of_put(name) == ErrorCode::kUsage);
  }
  CHECK(fs::is_symlink(model.root() / "link"));
  CHECK(std::distance(fs::directory_iterator(model.root()), fs::directory_iterator()) == 3);
  fs::create_symlink("nowhere", model.root() / "dangling");
  CHECK(put_bundle_at(model.root() / "dangling", "new").has_value());
  CHECK(model.read("../dangling") == "new");
}

TEST_CASE("bundle file: replacing keeps nothing unfinished") {
  ModelOnDisk model;
  model.write("a", "x");
  const auto key = test::new_key();
  REQUIRE(test::sign_in_place(model.path(), key).has_value());
  const std::string first = model.read("model.sig");
  model.write("a", "y");
  REQUIRE(test::sign_in_place(model.path(), key).has_value());
  CHECK(model.read("model.sig") != first);
  CHECK(std::distance(fs::directory_iterator(model.path()), fs::directory_iterator()) == 2);
}

TEST_CASE("bundle file: a disk that fills up leaves the old bundle and nothing unfinished") {
  ModelOnDisk model;
  model.write("a", "x");
  model.write("model.sig", "old");
  const fs::path path = model.path();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit limit{8, 8};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto folder = artifact::ModelFolder::open(path);
    const auto put = put_bundle_file(*folder, path, std::string(100, 'x'));
    ::_exit(!put.has_value() && put.error().code == ErrorCode::kIo ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(model.read("model.sig") == "old");
  CHECK_FALSE(fs::exists(path / kUnfinishedSignatureFile));
}

TEST_CASE("bundle file: further bundles are files named .sig, and no more than a model may have") {
  const ModelOnDisk model;
  model.write("w", "bytes");
  for (const char* other : {"README", "x.sig.bak", ".hidden.sig"}) {
    model.write(std::string("model.sig.d/") + other, "{}");
  }
  std::size_t made = 0;
  const auto add_up_to = [&](std::size_t count) {
    for (; made < count; ++made) model.write("model.sig.d/" + std::to_string(made) + ".sig", "{}");
    const auto folder = artifact::ModelFolder::open(model.path());
    REQUIRE(folder.has_value());
    return read_further_bundles(*folder, model.path());
  };
  const auto all = add_up_to(limits::kModelBundlesMax - 1);  // and model.sig
  REQUIRE(all.has_value());
  CHECK(all->size() == limits::kModelBundlesMax - 1);
  CHECK(add_up_to(limits::kModelBundlesMax).error().code == ErrorCode::kSignatureCount);
}

TEST_CASE("bundle file: a link in the place of either file is replaced, not followed") {
  ModelOnDisk model;
  model.write("a", "x");
  std::ofstream(model.root() / "victim") << "untouched";
  fs::create_symlink("../victim", model.path() / kUnfinishedSignatureFile);
  fs::create_symlink("../victim", model.path() / "model.sig");
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  REQUIRE(put_bundle_file(*folder, model.path(), "new").has_value());
  CHECK(fs::symlink_status(model.path() / "model.sig").type() == fs::file_type::regular);
  CHECK(model.read("model.sig") == "new");
  CHECK(model.read("../victim") == "untouched");
}

TEST_CASE("bundle file: stands where the model is, with or without a trailing slash") {
  ModelOnDisk model;
  model.write("file", "x");
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  CHECK(bundle_path(*folder, model.path() / "") == model.path() / "model.sig");
  auto file = artifact::ModelFolder::open(model.path() / "file");
  REQUIRE(file.has_value());
  CHECK(bundle_path(*file, model.path() / "file") == model.path() / "file.sig");
}

}  // namespace
}  // namespace mlxguard::signature
