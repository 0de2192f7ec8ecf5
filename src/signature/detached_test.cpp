// SPDX-License-Identifier: Apache-2.0
#include "signature/detached.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "signature/test_support.h"

namespace mlxguard::signature {
namespace {

using test::ModelOnDisk;
namespace fs = std::filesystem;

/// What the model's own bundle says, checked as `options` have it: nothing, or the first finding's
/// code.
std::optional<ErrorCode> check(const ModelOnDisk& model, const std::string& payload,
                               const DetachedOptions& options = {}) {
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  auto answer = check_detached(*std::move(folder), payload, options);
  if (!answer) return answer.error().code;
  if (const auto* refusal = std::get_if<Refusal>(&*answer)) return refusal->error.code;
  return std::nullopt;
}

std::string payload_of(const ModelOnDisk& model, const SignOptions& options = {}) {
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  folder->set_own_bundle(artifact::ModelFolder::OwnBundle::kListed);
  auto made = sign_model(*folder, test::new_key(), options);
  REQUIRE(made.has_value());
  auto bundle = parse_bundle(made->bundle);
  REQUIRE(bundle.has_value());
  return std::string(as_text(bundle->payload));
}

TEST_CASE("detached: finds what differs, in whole files and in shards") {
  for (const std::uint64_t shard : {0, 4}) {
    ModelOnDisk model;
    model.write("a", "0123456789");
    model.write("b/c", "x");
    SignOptions options;
    options.plan.shard_bytes = shard;
    const std::string payload = payload_of(model, options);
    CHECK(check(model, payload) == std::nullopt);
    model.write("a", "012345678X");
    CHECK(check(model, payload) == ErrorCode::kDigestMismatch);
    model.write("a", "0123456789");
    model.write("added", "");
    CHECK(check(model, payload) == ErrorCode::kFileUnsigned);
    fs::remove(model.path() / "added");
    fs::remove(model.path() / "b/c");
    CHECK(check(model, payload) == ErrorCode::kFileMissing);
  }
}

TEST_CASE("detached: unsigned files are tolerated where that is asked for, changed ones never") {
  ModelOnDisk model;
  model.write("a", "1");
  const std::string payload = payload_of(model);
  model.write("added", "2");
  DetachedOptions options;
  options.unsigned_files = UnsignedFiles::kTolerated;
  CHECK(check(model, payload, options) == std::nullopt);
  model.write("a", "2");
  CHECK(check(model, payload, options) == ErrorCode::kDigestMismatch);
}

TEST_CASE("detached: tolerated is whatever is not signed, but nothing in the place of what is") {
  for (const std::uint64_t shard : {0u, 4u}) {
    CAPTURE(shard);
    ModelOnDisk model;
    model.write("a", "0123456789");
    model.write("b/c", "x");
    SignOptions sign;
    sign.plan.shard_bytes = shard;
    const std::string payload = payload_of(model, sign);
    fs::create_symlink("a", model.path() / "link");
    fs::create_symlink("/nowhere", model.path() / "away");
    REQUIRE(::mkfifo((model.path() / "pipe").c_str(), 0600) == 0);
    model.write("odd\nname", "2");
    CHECK(check(model, payload) != std::nullopt);
    DetachedOptions options;
    options.unsigned_files = UnsignedFiles::kTolerated;
    CHECK(check(model, payload, options) == std::nullopt);
    // In the place of a signed file, with its bytes behind it.
    fs::rename(model.path() / "a", model.path() / "d");
    CHECK(check(model, payload, options) == ErrorCode::kFileMissing);
    fs::create_symlink("d", model.path() / "a");
    CHECK(check(model, payload, options) == ErrorCode::kArtifactSymlink);
    fs::remove(model.path() / "a");
    REQUIRE(::mkfifo((model.path() / "a").c_str(), 0600) == 0);
    CHECK(check(model, payload, options) == ErrorCode::kArtifactSpecial);
    fs::remove(model.path() / "a");
    fs::create_directory(model.path() / "a");
    CHECK(check(model, payload, options) == ErrorCode::kArtifactSpecial);
    fs::remove(model.path() / "a");
    fs::rename(model.path() / "d", model.path() / "a");
    fs::rename(model.path() / "b", model.path() / "e");
    fs::create_symlink("e", model.path() / "b");
    CHECK(check(model, payload, options) == ErrorCode::kArtifactSymlink);
    fs::remove(model.path() / "b");
    model.write("b", "no folder");
    CHECK(check(model, payload, options) == ErrorCode::kFileMissing);
  }
}

TEST_CASE("detached: what the user leaves out must not be a signed file") {
  ModelOnDisk model;
  model.write("a/b", "1");
  model.write("c", "1");
  const std::string payload = payload_of(model);
  model.write("added/x", "2");
  DetachedOptions options;
  options.ignored = {"added"};
  CHECK(check(model, payload, options) == std::nullopt);
  options.ignored = {"added", "a"};
  CHECK(check(model, payload, options) == ErrorCode::kIgnoredRead);
}

TEST_CASE("detached: a file named like a bundle is a file like others") {
  ModelOnDisk model;
  model.write("a", "1");
  model.write("model.sig", "not this bundle");
  model.write("model.sig.d/x.sig", "nor this");
  const std::string payload = payload_of(model);
  CHECK(check(model, payload) == std::nullopt);
  model.write("model.sig", "changed");
  CHECK(check(model, payload) == ErrorCode::kDigestMismatch);
  fs::remove(model.path() / "model.sig");
  CHECK(check(model, payload) == ErrorCode::kFileMissing);
}

TEST_CASE("detached: default exclusions hold unless the user and the statement say otherwise") {
  ModelOnDisk model;
  model.write("a", "1");
  model.write(".gitignore", "1");
  SignOptions all;
  all.exclusions = Exclusions::kStatedOnly;
  const std::string payload = payload_of(model, all);
  CHECK(check(model, payload) == ErrorCode::kIgnoredRead);
  DetachedOptions options;
  options.statement.exclusions = Exclusions::kStatedOnly;
  CHECK(check(model, payload, options) == std::nullopt);
  model.write(".gitignore", "2");
  CHECK(check(model, payload, options) == ErrorCode::kDigestMismatch);
}

TEST_CASE("detached: links need the signer's word and the verifier's") {
  ModelOnDisk model;
  model.write("a", "1");
  auto folder = artifact::ModelFolder::open(model.path());
  REQUIRE(folder.has_value());
  folder->set_links(artifact::Links::kFollowedInside);
  fs::create_symlink("a", model.path() / "link");
  auto made = sign_model(*folder, test::new_key());
  REQUIRE(made.has_value());
  const std::string payload(as_text(parse_bundle(made->bundle)->payload));
  DetachedOptions options;
  CHECK(check(model, payload, options) == ErrorCode::kArtifactSymlink);
  options.links = artifact::Links::kFollowedInside;
  CHECK(check(model, payload, options) == std::nullopt);
  fs::remove(model.path() / "link");
  const std::string strict = payload_of(model);
  fs::create_symlink("a", model.path() / "link");
  CHECK(check(model, strict, options) == ErrorCode::kArtifactSymlink);
}

TEST_CASE("bundle: the first release's encoding is that of Python's bytes in source code") {
  const auto text = [](std::string_view payload) {
    return std::string(as_text(legacy_encoding(as_bytes(payload))));
  };
  CHECK(text("{\n \"a\\b\"}\t\x01\xc3") ==
        "DSSEV1 28 application/vnd.in-toto+json 12 b'{\\n \"a\\\\b\"}\\t\\x01\\xc3'");
  CHECK(text("it's") == "DSSEV1 28 application/vnd.in-toto+json 4 b\"it's\"");
  CHECK(text("'\"") == "DSSEV1 28 application/vnd.in-toto+json 2 b'\\'\"'");
}

TEST_CASE("bundle: certificates are asked for, or refused") {
  Bundle bundle;
  bundle.certificates = {{1, 2, 3}, {4}};
  bundle.payload = {'x'};
  bundle.signature = {1};
  const std::string text = write_bundle(bundle);
  CHECK(parse_bundle(text).error().code == ErrorCode::kMaterialUnsupported);
  for (const Material material : {Material::kCertificates, Material::kEither}) {
    auto read = parse_bundle(text, material);
    REQUIRE(read.has_value());
    CHECK(read->certificates == bundle.certificates);
    CHECK_FALSE(read->key_hint.has_value());
  }
  bundle.certificates.clear();
  CHECK(parse_bundle(write_bundle(bundle), Material::kCertificates).error().code ==
        ErrorCode::kMaterialUnsupported);
  CHECK(parse_bundle(write_bundle(bundle), Material::kEither).has_value());
  bundle.certificates.assign(17, {1});
  CHECK(parse_bundle(write_bundle(bundle), Material::kEither).error().code ==
        ErrorCode::kBundleField);
  for (const auto& [from, to] :
       {std::pair{R"("certificates":[)", R"("x":1,"certificates":[)"},
        std::pair{R"({"rawBytes":"AQID"})", R"({"rawBytes":"AQID","x":1})"}}) {
    CAPTURE(to);
    CHECK(parse_bundle(test::replaced(text, from, to), Material::kEither).error().code ==
          ErrorCode::kBundleField);
  }
  // Both at once: it would not be clear what vouches for it.
  const std::string both =
      test::replaced(text, "\"verificationMaterial\":{",
                     "\"verificationMaterial\":{\"publicKey\":{\"hint\":\"\"},");
  CHECK(parse_bundle(both, Material::kEither).error().code == ErrorCode::kMaterialUnsupported);
}

}  // namespace
}  // namespace mlxguard::signature
