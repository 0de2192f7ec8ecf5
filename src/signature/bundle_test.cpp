// SPDX-License-Identifier: Apache-2.0
#include "signature/bundle.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "signature/test_support.h"

namespace mlxguard::signature {
namespace {

using test::replaced;

const std::string kHint(64, 'a');
const std::string kText =
    R"({"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",)"
    R"("verificationMaterial":{"publicKey":{"hint":")" +
    kHint +
    R"("},"tlogEntries":[]},)"
    R"("dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json",)"
    R"("signatures":[{"sig":"AQID","keyid":""}]}})";

ErrorCode code_of(const std::string& text) {
  auto bundle = parse_bundle(text);
  REQUIRE_FALSE(bundle.has_value());
  return bundle.error().code;
}

ErrorCode code_of_change(std::string_view from, std::string_view to) {
  return code_of(replaced(kText, from, to));
}

TEST_CASE("bundle: what is written reads back, and writes the same again") {
  auto bundle = parse_bundle(kText);
  REQUIRE(bundle.has_value());
  CHECK(bundle->key_hint == kHint);
  CHECK(as_text(bundle->payload) == "{}");
  CHECK(bundle->signature == std::vector<std::uint8_t>{1, 2, 3});
  CHECK(write_bundle(*bundle) == kText);
}

TEST_CASE("bundle: the forms that other tools write are accepted") {
  CHECK(parse_bundle(replaced(kText, R"(,"keyid":"")", "")).has_value());
  CHECK(parse_bundle(replaced(kText, R"("keyid":"")", R"("keyid":null)")).has_value());
  CHECK(parse_bundle(replaced(kText, R"(,"tlogEntries":[])", "")).has_value());
  CHECK(parse_bundle(replaced(kText, R"(,"tlogEntries":[])",
                              R"(,"timestampVerificationData":{"rfc3161Timestamps":[]})"))
            .has_value());
  auto raw = parse_bundle(replaced(kText, R"("hint":")" + kHint + "\"",
                                   R"("rawBytes":"AAAA","keyDetails":"PKIX_ECDSA_P256_SHA_256")"));
  REQUIRE(raw.has_value());
  CHECK_FALSE(raw->key_hint.has_value());
}

TEST_CASE("bundle: refuses what is not JSON, or is twice") {
  CHECK(code_of("") == ErrorCode::kBundleSyntax);
  CHECK(code_of("[]") == ErrorCode::kBundleSyntax);
  CHECK(code_of(kText + "x") == ErrorCode::kBundleSyntax);
  CHECK(code_of(kText.substr(0, kText.size() / 2)) == ErrorCode::kBundleSyntax);
  CHECK(code_of_change(R"("payload":"e30=")", R"("payload":"e30=","payload":"e30=")") ==
        ErrorCode::kBundleSyntax);
  CHECK(code_of(std::string(limits::kBundleBytesMax + 1, ' ')) == ErrorCode::kTooLarge);
}

TEST_CASE("bundle: refuses another media type") {
  CHECK(code_of_change("v0.3+json", "v0.2+json") == ErrorCode::kBundleMediaType);
  CHECK(code_of_change("application/vnd.dev.sigstore.bundle.v0.3+json",
                       "application/vnd.dev.sigstore.bundle+json;version=0.3") ==
        ErrorCode::kBundleMediaType);
}

TEST_CASE("bundle: an older media type is read where that is allowed, and said") {
  const auto read = [](std::string_view media_type) {
    return parse_bundle(
        replaced(kText, "application/vnd.dev.sigstore.bundle.v0.3+json", media_type),
        Material::kEither, OlderMediaTypes::kAllowed);
  };
  const auto older = read("application/vnd.dev.sigstore.bundle+json;version=0.2");
  REQUIRE(older.has_value());
  CHECK(older->older_media_type);
  CHECK_FALSE(read("application/vnd.dev.sigstore.bundle.v0.3+json")->older_media_type);
  CHECK(read("application/vnd.dev.sigstore.bundle+json;version=0.4").error().code ==
        ErrorCode::kBundleMediaType);
}

TEST_CASE("bundle: refuses another payload type") {
  CHECK(code_of_change("vnd.in-toto+json", "vnd.in-toto+json2") == ErrorCode::kPayloadType);
}

TEST_CASE("bundle: refuses unknown members at every level") {
  CHECK(code_of_change(R"({"mediaType")", R"({"x":1,"mediaType")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"publicKey")", R"({"x":1,"publicKey")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"hint")", R"({"x":1,"hint")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"payload")", R"({"x":1,"payload")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"sig")", R"({"x":1,"sig")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("tlogEntries":[])",
                       R"("timestampVerificationData":{"x":1,"rfc3161Timestamps":[]})") ==
        ErrorCode::kBundleField);
}

TEST_CASE("bundle: refuses missing and malformed members") {
  CHECK(code_of_change(R"("mediaType")", R"("mediatype")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("payload":"e30=",)", "") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("payload":"e30=")", R"("payload":"e30")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("payload":"e30=")", R"("payload":7)") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("sig":"AQID")", R"("sig":"A*ID")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("keyid":"")", R"("keyid":1)") == ErrorCode::kBundleField);
  CHECK(code_of_change("aaaaaaaa", "AAAAAAAA") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("publicKey":{"hint":")" + kHint + "\"},", "") == ErrorCode::kBundleField);
}

TEST_CASE("bundle: refuses no signature and two") {
  CHECK(code_of_change(R"([{"sig":"AQID","keyid":""}])", "[]") == ErrorCode::kSignatureCount);
  CHECK(code_of_change(R"({"sig":"AQID","keyid":""})",
                       R"({"sig":"AQID","keyid":""},{"sig":"AQID","keyid":""})") ==
        ErrorCode::kSignatureCount);
}

TEST_CASE("bundle: refuses certificates, log entries and timestamps as not supported") {
  const std::string key = R"("publicKey":{"hint":")" + kHint + "\"}";
  CHECK(code_of_change(key, R"("certificate":{"rawBytes":"AAAA"})") ==
        ErrorCode::kMaterialUnsupported);
  CHECK(code_of_change(key, R"("x509CertificateChain":{"certificates":[]})") ==
        ErrorCode::kMaterialUnsupported);
  CHECK(code_of_change(key, key + R"(,"certificate":{"rawBytes":"AAAA"})") ==
        ErrorCode::kMaterialUnsupported);
  CHECK(code_of_change(R"("tlogEntries":[])", R"("tlogEntries":[{}])") ==
        ErrorCode::kMaterialUnsupported);
  CHECK(code_of_change(R"("tlogEntries":[])",
                       R"("timestampVerificationData":{"rfc3161Timestamps":[{}]})") ==
        ErrorCode::kMaterialUnsupported);
}

TEST_CASE("bundle: what is signed is the DSSE encoding") {
  const auto encoded = pre_authentication_encoding(as_bytes("hi there"));
  CHECK(as_text(encoded) == "DSSEv1 28 application/vnd.in-toto+json 8 hi there");
}

}  // namespace
}  // namespace mlxguard::signature
