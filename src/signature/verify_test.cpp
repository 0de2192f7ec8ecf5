// SPDX-License-Identifier: Apache-2.0
#include "signature/verify.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include "codec/text.h"
#include "signature/test_support.h"

namespace mlxguard::signature {
namespace {

using test::ModelOnDisk;
using test::replaced;
namespace fs = std::filesystem;

struct Signed : ModelOnDisk {
  Signed() {
    write("a.txt", "hello\n");
    write("sub/b.txt", "world\n");
    REQUIRE(test::sign_in_place(path(), key).has_value());
  }
  crypto::EcPrivateKey key = test::new_key();
  TrustedKeys trusted = test::trusting(key);
};

Result<Verifier> open(const fs::path& path, const TrustedKeys& trusted) {
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(path));
  return Verifier::open(std::move(folder), path, trusted);
}

Result<VerifiedModel> load(const fs::path& path, const TrustedKeys& trusted) {
  MLXGUARD_TRY_ASSIGN(auto verifier, open(path, trusted));
  MLXGUARD_TRY(verifier.check_names());
  MLXGUARD_TRY(verifier.take_snapshot({}));
  return test::verify_all(verifier, "m");
}

/// The error of loading; both ways of verifying must agree on its code unless names and bytes
/// differ.
Error refusal(const fs::path& path, const TrustedKeys& trusted) {
  auto model = load(path, trusted);
  REQUIRE_FALSE(model.has_value());
  return model.error();
}

Findings found_in_place(const fs::path& path, const TrustedKeys& trusted) {
  auto verifier = open(path, trusted);
  REQUIRE(verifier.has_value());
  auto checked = verifier->check_in_place({});
  CHECK(checked.has_value() == verifier->findings().empty());
  return verifier->findings();
}

std::string hex_sha256(std::string_view text) {
  return codec::to_hex(crypto::sha256(as_bytes(text)));
}

TEST_CASE("verify: what was signed is verified, and its sealed bytes are what was on disk") {
  Signed model;
  auto verified = load(model.path(), model.trusted);
  REQUIRE(verified.has_value());
  CHECK(verified->name() == "m");
  CHECK(verified->signer() == model.key.public_key().fingerprint());
  CHECK(verified->root_digest() ==
        "96cb8058ed58b58f8fc0ad459bacf81108599b403e91674460ccb089f8ebb9db");
  REQUIRE(verified->files().size() == 2);
  CHECK(verified->find("model.sig") == nullptr);
  const auto* file = verified->find("sub/b.txt");
  REQUIRE(file != nullptr);
  void* bytes = ::mmap(nullptr, 6, PROT_READ, MAP_PRIVATE, file->memory.get(), 0);
  REQUIRE(bytes != MAP_FAILED);
  CHECK(std::string_view(static_cast<const char*>(bytes), 6) == "world\n");
  ::munmap(bytes, 6);
  CHECK(found_in_place(model.path(), model.trusted).empty());
}

TEST_CASE("verify: every curve and a bundle without a hint") {
  for (const auto curve : {crypto::Curve::kP256, crypto::Curve::kP384, crypto::Curve::kP521}) {
    ModelOnDisk model;
    model.write("a", "x");
    const auto key = test::new_key(curve);
    REQUIRE(test::sign_in_place(model.path(), key).has_value());
    CHECK(load(model.path(), test::trusting(key)).has_value());
    model.write("model.sig", replaced(model.read("model.sig"),
                                      R"("hint":")" + key.public_key().fingerprint() + "\"",
                                      R"("rawBytes":"AAAA","keyDetails":"x")"));
    CHECK(load(model.path(), test::trusting(key)).has_value());
  }
}

TEST_CASE("verify: a changed file is refused by name with both digests") {
  Signed model;
  model.write("a.txt", "hellO\n");
  const Error error = refusal(model.path(), model.trusted);
  CHECK(error.code == ErrorCode::kDigestMismatch);
  CHECK(error.subject == "a.txt");
  CHECK(error.expected == hex_sha256("hello\n"));
  CHECK(error.actual == hex_sha256("hellO\n"));
  const auto findings = found_in_place(model.path(), model.trusted);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].code == ErrorCode::kDigestMismatch);
  CHECK(findings[0].actual == error.actual);
}

TEST_CASE("verify: an added, a missing and a renamed file are refused by name") {
  {
    Signed model;
    model.write("sub/c", "");
    const Error error = refusal(model.path(), model.trusted);
    CHECK(error.code == ErrorCode::kFileUnsigned);
    CHECK(error.subject == "sub/c");
    CHECK(found_in_place(model.path(), model.trusted).at(0).actual == hex_sha256(""));
  }
  {
    Signed model;
    fs::remove(model.path() / "sub/b.txt");
    const Error error = refusal(model.path(), model.trusted);
    CHECK(error.code == ErrorCode::kFileMissing);
    CHECK(error.subject == "sub/b.txt");
    CHECK(error.expected == hex_sha256("world\n"));
  }
  {
    Signed model;
    fs::rename(model.path() / "a.txt", model.path() / "A.txt");
    const auto findings = found_in_place(model.path(), model.trusted);
    REQUIRE(findings.size() == 2);
    CHECK(findings[0].code == ErrorCode::kFileMissing);
    CHECK(findings[0].subject == "a.txt");
    CHECK(findings[1].code == ErrorCode::kFileUnsigned);
    CHECK(findings[1].subject == "A.txt");
    CHECK(findings[1].actual == findings[0].expected);
  }
}

TEST_CASE("verify: everything that differs is found in one go, changed files first") {
  Signed model;
  model.write("a.txt", "other");
  fs::rename(model.path() / "sub/b.txt", model.path() / "sub/a.txt");
  const auto findings = found_in_place(model.path(), model.trusted);
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].code == ErrorCode::kDigestMismatch);
  CHECK(findings[1].code == ErrorCode::kFileMissing);
  CHECK(findings[2].code == ErrorCode::kFileUnsigned);
}

TEST_CASE("verify: two files whose bytes are swapped are both refused") {
  Signed model;
  model.write("a.txt", "world\n");
  model.write("sub/b.txt", "hello\n");
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kDigestMismatch);
  CHECK(found_in_place(model.path(), model.trusted).size() == 2);
}

TEST_CASE("verify: links are refused even with the signed content behind them") {
  Signed model;
  fs::rename(model.path() / "a.txt", model.root() / "a.txt");
  fs::create_symlink("../a.txt", model.path() / "a.txt");
  const Error error = refusal(model.path(), model.trusted);
  CHECK(error.code == ErrorCode::kArtifactSymlink);
  CHECK(error.subject == "a.txt");
  // Also where the signer said that links are followed.
  const std::string bundle_text = model.read("model.sig");
  auto bundle = parse_bundle(bundle_text);
  REQUIRE(bundle.has_value());
  const std::string payload = replaced(std::string(as_text(bundle->payload)),
                                       R"("allow_symlinks":false)", R"("allow_symlinks":true)");
  model.write("model.sig",
              test::sign_payload(model.key, payload, model.key.public_key().fingerprint()));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kArtifactSymlink);
}

TEST_CASE("verify: the bundle itself is no link") {
  Signed model;
  fs::rename(model.path() / "model.sig", model.root() / "elsewhere.sig");
  fs::create_symlink("../elsewhere.sig", model.path() / "model.sig");
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kArtifactSymlink);
}

TEST_CASE("verify: no bundle, no trusted key, another key, a wrong signature") {
  Signed model;
  const auto other = test::new_key();
  CHECK(refusal(model.path(), TrustedKeys{}).code == ErrorCode::kNoTrustedKeys);
  const Error untrusted = refusal(model.path(), test::trusting(other));
  CHECK(untrusted.code == ErrorCode::kSignerUntrusted);
  CHECK(untrusted.subject == "model.sig");
  CHECK(untrusted.actual == model.key.public_key().fingerprint());

  // Signed by another key in the name of the trusted one.
  auto bundle = parse_bundle(model.read("model.sig"));
  REQUIRE(bundle.has_value());
  const std::string payload(as_text(bundle->payload));
  model.write("model.sig",
              test::sign_payload(other, payload, model.key.public_key().fingerprint()));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kSignatureInvalid);
  // Without a name no trusted key fits.
  model.write("model.sig", replaced(test::sign_payload(other, payload, "x"), R"("hint":"x")",
                                    R"("rawBytes":"AAAA")"));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kSignerUntrusted);

  fs::remove(model.path() / "model.sig");
  const Error missing = refusal(model.path(), model.trusted);
  CHECK(missing.code == ErrorCode::kSignatureMissing);
  CHECK(missing.subject == "model.sig");
}

TEST_CASE("verify: a trusted key beside others is found by its hint") {
  Signed model;
  TrustedKeys trusted = test::trusting(test::new_key());
  trusted.add("second", model.key.public_key());
  auto verifier = open(model.path(), trusted);
  REQUIRE(verifier.has_value());
  CHECK(verifier->report().signer_name == "second");
}

TEST_CASE("verify: any flipped bit of the payload or the signature breaks it") {
  Signed model;
  const std::string text = model.read("model.sig");
  auto bundle = parse_bundle(text);
  REQUIRE(bundle.has_value());
  Bundle flipped = *bundle;
  flipped.payload[flipped.payload.size() / 2] ^= 1;
  model.write("model.sig", write_bundle(flipped));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kSignatureInvalid);
  flipped = *bundle;
  flipped.signature[flipped.signature.size() / 2] ^= 1;
  model.write("model.sig", write_bundle(flipped));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kSignatureInvalid);
  flipped.signature.clear();
  model.write("model.sig", write_bundle(flipped));
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kSignatureInvalid);
}

TEST_CASE("verify: a broken bundle is refused by the name of its file") {
  Signed model;
  model.write("model.sig", model.read("model.sig") + "}");
  const Error error = refusal(model.path(), model.trusted);
  CHECK(error.code == ErrorCode::kBundleSyntax);
  CHECK(error.subject == "model.sig");
  model.write("model.sig", "");
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kBundleSyntax);
}

TEST_CASE("verify: a signed statement that names files outside of the model is refused") {
  Signed model;
  auto bundle = parse_bundle(model.read("model.sig"));
  REQUIRE(bundle.has_value());
  const std::string payload =
      replaced(std::string(as_text(bundle->payload)), R"("sub/b.txt")", R"("../b.txt")");
  model.write("model.sig",
              test::sign_payload(model.key, payload, model.key.public_key().fingerprint()));
  const Error error = refusal(model.path(), model.trusted);
  CHECK(error.code == ErrorCode::kResourceName);
  CHECK(error.subject == "../b.txt");
}

TEST_CASE("verify: blake2b digests are honoured") {
  Signed model;
  const std::string hello = codec::to_hex([] {
    crypto::Hasher hasher(crypto::HashAlgorithm::kBlake2b512);
    hasher.update(as_bytes("hello\n"));
    return hasher.finish();
  }());
  Statement statement;
  statement.subject_name = "m";
  statement.algorithm = crypto::HashAlgorithm::kBlake2b512;
  statement.ignored_paths = default_ignored_paths();
  statement.resources = {{"a.txt", 0, *codec::from_hex(hello)}};
  statement.root_digest = root_digest_of(statement.resources);
  fs::remove_all(model.path() / "sub");
  model.write("model.sig", test::sign_payload(model.key, write_statement(statement),
                                              model.key.public_key().fingerprint()));
  CHECK(load(model.path(), model.trusted).has_value());
  model.write("a.txt", "hellO\n");
  CHECK(refusal(model.path(), model.trusted).code == ErrorCode::kDigestMismatch);
}

TEST_CASE(
    "verify: a model that is a single file has its bundle beside it, by either of its names") {
  ModelOnDisk model;
  model.write("net.mlxfn", "bytes");
  const fs::path path = model.path() / "net.mlxfn";
  const auto key = test::new_key();
  const auto trusted = test::trusting(key);
  CHECK(refusal(path, trusted).code == ErrorCode::kSignatureMissing);
  CHECK(refusal(path, trusted).subject == "net.mlxfn.sig");
  REQUIRE(test::sign_in_place(path, key).has_value());
  CHECK(fs::exists(model.path() / "net.mlxfn.sig"));
  auto verified = load(path, trusted);
  REQUIRE(verified.has_value());
  CHECK(verified->find(".") != nullptr);

  auto bundle = parse_bundle(model.read("net.mlxfn.sig"));
  REQUIRE(bundle.has_value());
  for (const char* name : {R"("name":"net.mlxfn","algorithm")", R"("name":"other","algorithm")"}) {
    const std::string payload =
        replaced(std::string(as_text(bundle->payload)), R"("name":".","algorithm")", name);
    model.write("net.mlxfn.sig", test::sign_payload(key, payload, key.public_key().fingerprint()));
    const bool own_name = std::string_view(name).find("net.mlxfn") != std::string_view::npos;
    CHECK(load(path, trusted).has_value() == own_name);
  }
  REQUIRE(test::sign_in_place(path, key).has_value());
  model.write("net.mlxfn", "bytez");
  CHECK(refusal(path, trusted).code == ErrorCode::kDigestMismatch);
}

TEST_CASE(
    "verify: a signer that was killed leaves nothing that counts, and nothing of it is loaded") {
  Signed model;
  model.write(std::string(kUnfinishedSignatureFile), "half a bun");
  auto verified = load(model.path(), model.trusted);
  REQUIRE(verified.has_value());
  CHECK(verified->files().size() == 2);
  REQUIRE(test::sign_in_place(model.path(), model.key).has_value());
  CHECK_FALSE(fs::exists(model.path() / kUnfinishedSignatureFile));
}

TEST_CASE("verify: files under ignored paths are neither refused nor loaded") {
  Signed model;
  model.write(".git/config", "anything");
  auto verified = load(model.path(), model.trusted);
  REQUIRE(verified.has_value());
  CHECK(verified->find(".git/config") == nullptr);
}

TEST_CASE("verify: a file that changes after the names were checked is refused or not seen") {
  Signed model;
  auto verifier = open(model.path(), model.trusted);
  REQUIRE(verifier.has_value());
  REQUIRE(verifier->check_names().has_value());
  model.write("a.txt", "evil!\n");  // same size
  REQUIRE(verifier->take_snapshot({}).has_value());
  auto refused = test::verify_all(*verifier, "m");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kDigestMismatch);

  model.write("a.txt", "hello\n");
  auto again = open(model.path(), model.trusted);
  REQUIRE(again.has_value());
  REQUIRE(again->check_names().has_value());
  REQUIRE(again->take_snapshot({}).has_value());
  model.write("a.txt", "evil!\n");
  auto verified = test::verify_all(*again, "m");
  REQUIRE(verified.has_value());
  std::string held(6, '\0');
  REQUIRE(::pread(verified->find("a.txt")->memory.get(), held.data(), held.size(), 0) == 6);
  CHECK(held == "hello\n");
}

}  // namespace
}  // namespace mlxguard::signature
