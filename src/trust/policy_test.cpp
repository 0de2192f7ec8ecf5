// SPDX-License-Identifier: Apache-2.0
// Every condition of a policy, one case each: the claim passes, one thing changes, and exactly that
// condition fails with its code.
#include "trust/policy.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/limits.h"
#include "codec/text.h"
#include "trust/policy_signature.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;
using State = Condition::State;

const std::string kA(64, 'a');
const std::string kB(64, 'b');
const std::string kModel(64, '5');

WallTime at(std::string_view text) {
  return WallTime(std::chrono::milliseconds(codec::from_rfc3339(text).value()));
}
const WallTime kNow = at("2026-06-01T00:00:00Z");

class Place {
 public:
  Place() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-policy-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "state/keys");
    fs::permissions(root_ / "state/keys", fs::perms::owner_all);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  [[nodiscard]] const fs::path& root() const { return root_; }
  [[nodiscard]] PolicyPlaces places() const { return {root_ / "state", {}, {}, {}}; }
  [[nodiscard]] fs::path file() const { return places().file(); }
  void write(const std::string& text) const { std::ofstream(file()) << text; }
  /// One source of key A over /srv/models, with more lines in the source and for its signer.
  void write_source(const std::string& source, const std::string& signer = {},
                    const std::string& top = {}) const {
    write("version = 1\n" + top + "\n[sources.s]\npath = '/srv/models'\n" + source +
          "\n[[sources.s.signers]]\nkey = '" + kA + "'\n" + signer + "\n");
  }
  [[nodiscard]] Policy load(WallTime now = kNow) const {
    auto policy = Policy::load(places(), now);
    REQUIRE_MESSAGE(policy.has_value(), (policy ? "" : policy.error().message));
    return *std::move(policy);
  }

 private:
  fs::path root_;
};

Signer key_signer(const std::string& fingerprint) {
  Signer signer;
  signer.fingerprint = fingerprint;
  signer.name = "name";
  return signer;
}

Claim good_claim() {
  Claim claim;
  claim.location = "/srv/models/m";
  claim.root_digests = {kModel};
  claim.signers = {key_signer(kA)};
  claim.content.emplace();
  claim.content->notes.version = "1.2.0";
  claim.content->files = {{"w.safetensors", {"safetensors"}}, {"config.json", {"json"}}};
  claim.content->findings.emplace();
  return claim;
}

/// The code of the decision, and the rule that failed first.
struct Refused {
  ErrorCode code;
  std::string rule;
  bool operator==(const Refused&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Refused& refused) {
  return out << name_of(refused.code) << " " << refused.rule;
}

Refused refusal(const Policy& policy, const Claim& claim, WallTime now = kNow) {
  const auto decided = policy.decide(claim, now);
  REQUIRE_FALSE(decided.has_value());
  const auto judged = policy.judge(claim, now);
  REQUIRE(judged.has_value());
  const Condition* failed = judged->first_failed();
  return {decided.error().code, failed == nullptr ? "pending" : failed->rule};
}

TEST_CASE("policy: allows what meets every condition, and says so of each") {
  const Place place;
  place.write_source(
      "threshold = 1\nformats = ['safetensors']\nmin_version = '1.0'\nrollback = 'refuse'\n"
      "not_after = 2027-01-01\nrefuse_findings = ['severity:high']\n",
      "not_before = 2026-01-01\n");
  const Policy policy = place.load();
  const auto approval = policy.decide(good_claim(), kNow);
  REQUIRE(approval.has_value());
  CHECK(approval->root_digest() == kModel);
  CHECK(approval->source() == "s");
  CHECK(approval->warnings().empty());
  std::vector<std::string> rules;
  for (const Condition& one : approval->judgement().conditions) {
    CHECK(one.state == State::kPassed);
    CHECK_FALSE(one.said.empty());
    rules.push_back(one.rule);
  }
  CHECK(rules == std::vector<std::string>{"source", "signer", "threshold", "window", "format",
                                          "version", "rollback", "finding"});
}

TEST_CASE("policy: refuses a model that no source matches") {
  const Place place;
  place.write_source("");
  Claim claim = good_claim();
  claim.location = "/srv/models2/m";
  CHECK(refusal(place.load(), claim) == Refused{ErrorCode::kTrustNoSource, "source"});
}

TEST_CASE("policy: refuses a model that says it is another one than was asked for, warn or not") {
  const Place place;
  place.write(
      "version = 1\n\n[sources.h]\nhugging_face = 'org/*'\nmode = 'warn'\n"
      "\n[[sources.h.signers]]\nkey = '" +
      kA + "'\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  claim.content->notes.hugging_face = "org/net";
  CHECK(policy.decide(claim, kNow).has_value());  // nobody asked for a name: the signed one counts
  claim.hugging_face = "org/net";
  CHECK(policy.decide(claim, kNow).has_value());
  claim.hugging_face = "org/other";
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustNoSource, "source"});
}

TEST_CASE("model notes: name, version and origin are read; of another type they are refused") {
  const auto notes = parse_model_notes(
      R"({"name":"net","version":3,"origin":{"hugging_face":"org/net","x":1},"x":[]})");
  REQUIRE(notes.has_value());
  CHECK(notes->name == "net");
  CHECK(notes->version == "3");
  CHECK(notes->hugging_face == "org/net");
  const auto none = parse_model_notes("{}");
  REQUIRE(none.has_value());
  CHECK_FALSE((none->name || none->version || none->hugging_face));
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string(R"({"name":"net")"),
        std::string(R"({"name":1.5})"), std::string(R"({"version":true})"),
        std::string(R"({"version":""})"), std::string(R"({"origin":"org/net"})"),
        std::string(R"({"origin":{"hugging_face":null}})"),
        R"({"name":")" + std::string(limits::kPolicyTextBytesMax + 1, 'n') + "\"}"}) {
    CAPTURE(text.substr(0, 40));
    const auto refused = parse_model_notes(text);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::kManifestInvalid);
    CHECK(refused.error().subject == kModelNotesFile);
  }
}

TEST_CASE("policy: refuses a signer that the source does not allow") {
  const Place place;
  place.write_source("");
  Claim claim = good_claim();
  claim.signers = {key_signer(kB)};
  CHECK(refusal(place.load(), claim) == Refused{ErrorCode::kTrustSigner, "signer"});
}

TEST_CASE("policy: refuses fewer signers than the threshold, however often one signed") {
  const Place place;
  place.write_source("threshold = 2\n", "[[sources.s.signers]]\nkey = '" + kB + "'\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  claim.signers = {key_signer(kA), key_signer(kA), key_signer(kA)};
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustThreshold, "threshold"});
  claim.signers.push_back(key_signer(kB));
  CHECK(policy.decide(claim, kNow).has_value());
}

TEST_CASE("policy: refuses outside of the source's window and of the signer's") {
  const Place place;
  place.write_source("not_before = 2026-05-01\nnot_after = 2026-07-01T00:00:00Z\n");
  const Policy policy = place.load();
  CHECK(policy.decide(good_claim(), kNow).has_value());
  CHECK(policy.decide(good_claim(), at("2026-07-01T00:00:00Z")).has_value());
  CHECK(refusal(policy, good_claim(), at("2026-07-01T00:00:00.001Z")) ==
        Refused{ErrorCode::kTrustWindow, "window"});
  CHECK(refusal(policy, good_claim(), at("2026-04-30T23:59:59.999Z")) ==
        Refused{ErrorCode::kTrustWindow, "window"});
  place.write_source("", "not_after = 2026-05-01\n");
  CHECK(refusal(place.load(), good_claim()) == Refused{ErrorCode::kTrustWindow, "signer-window"});
}

TEST_CASE("policy: refuses a format by name and by content") {
  const Place place;
  place.write_source("formats = ['safetensors']\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  CHECK(policy.decide(claim, kNow).has_value());
  claim.content->files.push_back({"more.safetensors", {"pickle", "safetensors"}});
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustFormat, "format"});
}

TEST_CASE("policy: refuses an older version, one that is none, and none") {
  const Place place;
  place.write_source("min_version = '1.2.0'\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  for (const char* version : {"1.2", "1.2.0", "1.10", "2.0.0-rc.1"}) {
    claim.content->notes.version = version;
    CHECK_MESSAGE(policy.decide(claim, kNow).has_value(), version);
  }
  for (const char* version : {"1.1.9", "1.2.0-rc.1", "0.9", "latest", ""}) {
    claim.content->notes.version = version;
    CHECK_MESSAGE(refusal(policy, claim) == (Refused{ErrorCode::kTrustVersion, "version"}),
                  version);
  }
  claim.content->notes.version.reset();
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustVersion, "version"});
}

TEST_CASE(
    "policy: refuses a version older than the newest that was admitted, by place and by name") {
  const Place place;
  place.write_source("rollback = 'refuse'\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  claim.content->notes.name = "net";
  const auto admitted = policy.decide(claim, kNow);
  REQUIRE(admitted.has_value());
  REQUIRE(policy.remember(*admitted).has_value());
  CHECK(policy.decide(claim, kNow).has_value());
  claim.content->notes.version = "1.1.0";
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustVersion, "rollback"});
  claim.location = "/srv/models/elsewhere";
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustVersion, "rollback"});
  claim.content->notes.name = "another";
  CHECK(policy.decide(claim, kNow).has_value());
}

TEST_CASE("policy: what is revoked is refused, also where the source only warns") {
  const Place place;
  for (const char* mode : {"mode = 'enforce'", "mode = 'warn'"}) {
    place.write_source("", "[revoked]\nmodels = ['" + kModel + "']\n", mode);
    CHECK(refusal(place.load(), good_claim()) ==
          Refused{ErrorCode::kTrustModelRevoked, "revoked-model"});
    place.write_source("", "[revoked]\nkeys = ['" + kA + "']\n", mode);
    CHECK(refusal(place.load(), good_claim()) == Refused{ErrorCode::kKeyRevoked, "revoked-key"});
  }
  Claim other = good_claim();
  other.root_digests = {kB, kModel};  // the digest as another tool makes it
  place.write_source("", "[revoked]\nmodels = ['" + kModel + "']\n");
  CHECK(refusal(place.load(), other).code == ErrorCode::kTrustModelRevoked);
}

TEST_CASE("policy: refuses findings by rule and by severity, and an inspection that did not end") {
  const Place place;
  place.write_source("refuse_findings = ['severity:high', 'chat.template']\n");
  const Policy policy = place.load();
  const Refused finding{ErrorCode::kTrustFinding, "finding"};
  Claim claim = good_claim();
  claim.content->findings = {{"some.rule", "medium", "f"}};
  CHECK(policy.decide(claim, kNow).has_value());
  for (const InspectionFinding& one : {InspectionFinding{"some.rule", "high", "f"},
                                       InspectionFinding{"some.rule", "critical", "f"},
                                       InspectionFinding{"some.rule", "unheard-of", "f"},
                                       InspectionFinding{"chat.template", "info", "f"}}) {
    claim.content->findings = {{one}};
    CHECK(refusal(policy, claim) == finding);
  }
  claim.content->findings.emplace();
  claim.content->inspection_gap = "a file was too large";
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kInspectIncomplete, "finding"});
  claim.content->inspection_gap.clear();
  claim.content->findings.reset();
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kInspectIncomplete, "finding"});
}

TEST_CASE("policy: refuses an old form that the source does not allow") {
  const Place place;
  Claim claim = good_claim();
  claim.legacy = {"pae-v0.2"};
  place.write_source("");
  CHECK(refusal(place.load(), claim) == Refused{ErrorCode::kLegacyFormat, "legacy"});
  place.write_source("legacy = ['pae-v0.2']\n");
  CHECK(place.load().decide(claim, kNow).has_value());
}

TEST_CASE("policy: a certificate counts by its authority and its identity, never by one of them") {
  const Place place;
  // The digest stands for the file: 'authority' in base64 is no certificate, but one block of PEM.
  std::ofstream(place.root() / "ca.pem")
      << "-----BEGIN CERTIFICATE-----\nYXV0aG9yaXR5\n-----END CERTIFICATE-----\n";
  const auto digest = authority_digest_of(place.root() / "ca.pem");
  REQUIRE(digest.has_value());
  place.write("version = 1\n[sources.s]\npath = '/srv/models'\n[[sources.s.signers]]\nca = '" +
              (place.root() / "ca.pem").string() + "'\nidentity = 'ci@example.org'\n" +
              "[revoked]\nserials = ['0A:FF']\n");
  const Policy policy = place.load();
  Claim claim = good_claim();
  Signer& signer = claim.signers.front();
  signer.kind = Signer::Kind::kCertificate;
  signer.authority = *digest;
  signer.identities = {"email:ci@example.org"};
  signer.serials = {"01"};
  CHECK(policy.decide(claim, kNow).has_value());
  signer.serials = {"01", "0aff"};
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kCertificateRevoked, "revoked-serial"});
  signer.serials = {"01"};
  signer.identities = {"email:ci@example.com"};
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kCertificateIdentity, "identity"});
  signer.identities = {"email:ci@example.org"};
  signer.authority = kB;
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kTrustSigner, "signer"});
}

TEST_CASE("policy: a source that warns lets every rule through and names each") {
  const Place place;
  place.write_source("mode = 'warn'\nthreshold = 2\nformats = ['gguf']\nmin_version = '9'\n",
                     "[[sources.s.signers]]\nkey = '" + kB + "'\n");
  const auto approval = place.load().decide(good_claim(), kNow);
  REQUIRE(approval.has_value());
  std::vector<std::string> rules;
  for (const Condition& one : approval->warnings()) rules.push_back(one.rule);
  CHECK(rules == std::vector<std::string>{"threshold", "format", "version"});
}

TEST_CASE("policy: what is not known when it is decided is refused, also by a source that warns") {
  const Place place;
  place.write_source("mode = 'warn'\nformats = ['safetensors']\n");
  Claim claim = good_claim();
  claim.content.reset();
  const Policy policy = place.load();
  const auto judged = policy.judge(claim, kNow);
  REQUIRE(judged.has_value());
  CHECK_FALSE(judged->refuses());
  CHECK(refusal(policy, claim) == Refused{ErrorCode::kInspectIncomplete, "pending"});
}

TEST_CASE("policy: the refusal names source, rule, what was expected and found, and what helps") {
  const Place place;
  place.write_source("formats = ['gguf']\n");
  const auto refused = place.load().decide(good_claim(), kNow);
  REQUIRE_FALSE(refused.has_value());
  const Error& error = refused.error();
  CHECK(error.code == ErrorCode::kTrustFormat);
  CHECK(error.message.find("source s, format: ") == 0);
  CHECK(error.subject == "w.safetensors");
  CHECK(error.expected == "gguf");
  CHECK(error.actual == "safetensors");
  CHECK_FALSE(error.hint.empty());
}

ErrorCode load_code(const PolicyPlaces& places, WallTime now = kNow) {
  const auto policy = Policy::load(places, now);
  REQUIRE_FALSE(policy.has_value());
  return policy.error().code;
}

TEST_CASE("policy: one that is malformed, expired, older, or writable by others is refused") {
  const Place place;
  place.write("version = 1\nmode = 'off'\n");
  CHECK(load_code(place.places()) == ErrorCode::kTrustPolicy);
  place.write_source("", {}, "expires = 2026-06-01T00:00:00Z");
  CHECK(Policy::load(place.places(), kNow).has_value());
  CHECK(load_code(place.places(), kNow + std::chrono::milliseconds(1)) ==
        ErrorCode::kTrustPolicyExpired);
  place.write("version = 5\n");
  CHECK(Policy::load(place.places(), kNow).has_value());
  place.write("version = 4\n");
  CHECK(load_code(place.places()) == ErrorCode::kTrustPolicyRollback);
  place.write("version = 5\n");
  REQUIRE(::chmod(place.file().c_str(), 0622) == 0);
  CHECK(load_code(place.places()) == ErrorCode::kUnsafePermissions);
  REQUIRE(::chmod(place.file().c_str(), 0600) == 0);
  REQUIRE(::chmod(place.places().state.c_str(), 0777) == 0);  // it could be replaced
  CHECK(load_code(place.places()) == ErrorCode::kUnsafePermissions);
}

TEST_CASE("policy: a configured one that is not there is no implicit one") {
  const Place place;
  CHECK(Policy::load(place.places(), kNow)->is_implicit());
  PolicyPlaces named = place.places();
  named.policy_file = place.root() / "gone.toml";
  CHECK(load_code(named) == ErrorCode::kTrustPolicy);
  PolicyPlaces rooted = place.places();
  rooted.root_key = kA;
  CHECK(load_code(rooted) == ErrorCode::kTrustPolicySignature);
}

TEST_CASE("policy: one that was here and is gone is not the same as none") {
  const Place place;
  place.write_source("");
  CHECK_FALSE(place.load().is_implicit());
  fs::remove(place.file());
  CHECK(load_code(place.places()) == ErrorCode::kTrustPolicyRollback);
}

TEST_CASE("policy: with a root key only what that key signed is read") {
  const Place place;
  const auto root = crypto::EcPrivateKey::generate(crypto::Curve::kP256);
  const auto other = crypto::EcPrivateKey::generate(crypto::Curve::kP256);
  REQUIRE((root && other));
  PolicyPlaces places = place.places();
  places.root_key = root->public_key().fingerprint();
  const std::string text =
      "version = 1\nexpires = 2027-01-01\n[sources.s]\npath = '/srv/models'\n"
      "[[sources.s.signers]]\nkey = '" +
      kA + "'\n";
  const auto sign_by = [&](const crypto::EcPrivateKey& key, const std::string& what) {
    const auto signature = sign_policy(what, key);
    REQUIRE(signature.has_value());
    std::ofstream(signature_file_of(place.file())) << write_policy_signatures({*signature});
  };
  place.write(text);
  CHECK(load_code(places) == ErrorCode::kTrustPolicySignature);
  sign_by(*other, text);
  CHECK(load_code(places) == ErrorCode::kTrustPolicySignature);
  sign_by(*root, text);
  auto loaded = Policy::load(places, kNow);
  REQUIRE(loaded.has_value());
  CHECK(loaded->signed_by() == places.root_key);
  place.write(text + "\n");
  CHECK(load_code(places) == ErrorCode::kTrustPolicySignature);
  const std::string without_expiry = "version = 1\n";
  place.write(without_expiry);
  sign_by(*root, without_expiry);
  CHECK(load_code(places) == ErrorCode::kTrustPolicy);
}

}  // namespace
}  // namespace mlxguard::trust
