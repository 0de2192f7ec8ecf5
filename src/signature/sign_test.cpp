// SPDX-License-Identifier: Apache-2.0
#include "signature/sign.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

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
