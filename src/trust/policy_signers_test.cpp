// SPDX-License-Identifier: Apache-2.0
// Who counts as one signer and who as two: a threshold asks for people, and what is signed with is
// keys and certificates.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>

#include "codec/text.h"
#include "trust/policy.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;
using crypto::EcPrivateKey;

const WallTime kNow =
    WallTime(std::chrono::milliseconds(codec::from_rfc3339("2026-06-01T00:00:00Z").value()));

/// A state folder with the keys a, b and c, and an authority's file.
class Place {
 public:
  Place() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-signers-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    fs::create_directory(root_ / "keys");
    fs::permissions(root_ / "keys", fs::perms::owner_all);
    put("a", a_);
    put("b", b_);
    put("c", c_);
    for (const char* const name : {"ca.pem", "same.pem"}) {
      std::ofstream(root_ / name)
          << "-----BEGIN CERTIFICATE-----\nYXV0aG9yaXR5\n-----END CERTIFICATE-----\n";
    }
    authority_ = authority_digest_of(root_ / "ca.pem").value();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  void put(const std::string& name, const EcPrivateKey& key) const {
    std::ofstream(root_ / "keys" / (name + ".pub")) << key.public_key().pem();
  }
  void rotate(const std::string& name, const EcPrivateKey& from, const EcPrivateKey& to) const {
    Rotation rotation{.old_key = from.public_key(), .new_key = to.public_key()};
    rotation.at = kNow;
    std::ofstream(root_ / "keys" / (name + ".rotation"))
        << write_rotation(rotation, from, to).value();
  }
  [[nodiscard]] Result<Policy> load(const std::string& signers, int threshold,
                                    const std::string& top = {}) const {
    std::ofstream(root_ / "trust.toml")
        << "version = 1\n" + top + "\n[sources.s]\npath = '/srv'\nthreshold = " << threshold << "\n"
        << signers;
    return Policy::load({root_, {}, {}, {}}, kNow);
  }
  [[nodiscard]] static std::string key_rule(const std::string& key) {
    return "[[sources.s.signers]]\nkey = '" + key + "'\n";
  }
  [[nodiscard]] std::string certificate_rule(const std::string& identity,
                                             const std::string& file = "ca.pem") const {
    return "[[sources.s.signers]]\nca = '" + (root_ / file).string() + "'\nidentity = '" +
           identity + "'\n";
  }
  [[nodiscard]] static Signer by_key(const EcPrivateKey& key) {
    Signer signer;
    signer.fingerprint = key.public_key().fingerprint();
    signer.name = "key";
    return signer;
  }
  [[nodiscard]] Signer by_certificate(const EcPrivateKey& key, const std::string& identity) const {
    Signer signer = by_key(key);
    signer.kind = Signer::Kind::kCertificate;
    signer.authority = authority_;
    signer.identities = {identity};
    return signer;
  }
  [[nodiscard]] const fs::path& root() const { return root_; }

  EcPrivateKey a_ = EcPrivateKey::generate(crypto::Curve::kP256).value();
  EcPrivateKey b_ = EcPrivateKey::generate(crypto::Curve::kP384).value();
  EcPrivateKey c_ = EcPrivateKey::generate(crypto::Curve::kP521).value();

 private:
  fs::path root_;
  std::string authority_;
};

/// How many count, or what refuses it.
std::string outcome(const Policy& policy, std::vector<Signer> signers) {
  Claim claim;
  claim.location = "/srv/m";
  claim.root_digests = {std::string(64, '5')};
  claim.signers = std::move(signers);
  const auto approval = policy.decide(claim, kNow);
  if (!approval) return std::string(name_of(approval.error().code));
  return std::to_string(approval->signers().size());
}

TEST_CASE("signers: a key and a certificate of the same key are one") {
  const Place place;
  const Policy two =
      place.load(place.key_rule("a") + place.certificate_rule("email:a@x.org"), 2).value();
  const Signer key = place.by_key(place.a_);
  const Signer certificate = place.by_certificate(place.a_, "email:a@x.org");
  CHECK(outcome(two, {key, certificate}) == "trust.threshold");
  CHECK(outcome(two, {certificate, key}) == "trust.threshold");
  CHECK(outcome(two, {key, place.by_certificate(place.b_, "email:a@x.org")}) == "2");
  // Either of them stands for the one, whichever comes first.
  const Policy one = place.load(place.key_rule("a"), 1).value();
  const Signer other = place.by_certificate(place.a_, "email:nobody@x.org");
  CHECK(outcome(one, {other, key}) == "1");
  CHECK(outcome(one, {key, other}) == "1");
  CHECK(outcome(one, {other}) == "trust.signer");
}

TEST_CASE("signers: two certificates of one identity fill one place") {
  const Place place;
  const Policy policy =
      place.load(place.certificate_rule("email:a@x.org") + place.key_rule("c"), 2).value();
  const Signer one = place.by_certificate(place.a_, "email:a@x.org");
  const Signer two = place.by_certificate(place.b_, "email:a@x.org");
  CHECK(outcome(policy, {one, two}) == "trust.threshold");
  CHECK(outcome(policy, {one, two, place.by_key(place.c_)}) == "2");
}

TEST_CASE("signers: a key and its successor are one, also where the policy lists both") {
  const Place place;
  const std::string both = place.key_rule("a") + place.key_rule("b");
  CHECK(outcome(place.load(both, 2).value(), {place.by_key(place.a_), place.by_key(place.b_)}) ==
        "2");
  place.rotate("a", place.a_, place.b_);
  const Policy policy = place.load(both + place.key_rule("c"), 2).value();
  const Signer a = place.by_key(place.a_);
  const Signer b = place.by_key(place.b_);
  const Signer c = place.by_key(place.c_);
  CHECK(outcome(policy, {a, b}) == "trust.threshold");
  CHECK(outcome(policy, {b, a}) == "trust.threshold");
  CHECK(outcome(policy, {a, b, c}) == "2");
  CHECK(outcome(policy, {b, c}) == "2");
  // Two keys that both were replaced by a third are its holder's, too.
  place.rotate("c", place.c_, place.b_);
  const Policy merged = place.load(both + place.key_rule("c"), 2).value();
  CHECK(outcome(merged, {a, c}) == "trust.threshold");
}

TEST_CASE("signers: as many count as can be paired off, whatever their order") {
  const Place place;
  // a fits both rules, b only one of them: greedy pairing would lose b.
  const Policy policy =
      place.load(place.certificate_rule("email:a@x.org") + place.certificate_rule("dns:x.org"), 2)
          .value();
  Signer both = place.by_certificate(place.a_, "email:a@x.org");
  both.identities.emplace_back("dns:x.org");
  const Signer one = place.by_certificate(place.b_, "email:a@x.org");
  CHECK(outcome(policy, {both, one}) == "2");
  CHECK(outcome(policy, {one, both}) == "2");
  CHECK(outcome(policy, {both, both}) == "trust.threshold");
}

TEST_CASE("signers: one signer under two names is a slip that the policy is refused for") {
  const Place place;
  place.put("copy", place.a_);
  const std::string fingerprint = place.a_.public_key().fingerprint();
  for (const std::string& second : {place.key_rule("copy"), place.key_rule(fingerprint)}) {
    const auto policy = place.load(place.key_rule("a") + second, 2);
    REQUIRE_FALSE(policy.has_value());
    CHECK(policy.error().code == ErrorCode::kTrustPolicy);
    CHECK(policy.error().subject == "sources.s");
  }
  const auto twice = place.load(
      place.certificate_rule("email:a@x.org") + place.certificate_rule("a@x.org", "same.pem"), 2);
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error().code == ErrorCode::kTrustPolicy);
}

TEST_CASE("signers: a revoked one does not count, and the others do") {
  const Place place;
  const std::string all = place.key_rule("a") + place.key_rule("b") + place.key_rule("c");
  const std::string revoked = "[revoked]\nkeys = ['" + place.a_.public_key().fingerprint() + "']\n";
  const Policy policy = place.load(all, 2, revoked).value();
  const Signer a = place.by_key(place.a_);
  const Signer b = place.by_key(place.b_);
  CHECK(outcome(policy, {a, b}) == "trust.threshold");
  CHECK(outcome(policy, {a, b, place.by_key(place.c_)}) == "2");
  CHECK(outcome(policy, {a}) == "key.revoked");
  CHECK(outcome(policy, {place.by_certificate(place.a_, "email:a@x.org")}) == "key.revoked");
}

TEST_CASE("signers: who has a revoked key's place does not get it by a rotation") {
  const Place place;
  place.rotate("a", place.a_, place.b_);
  const Policy policy = place.load(place.key_rule("a"), 1).value();
  CHECK(outcome(policy, {place.by_key(place.b_)}) == "1");
  const std::string revoked = "[revoked]\nkeys = ['" + place.a_.public_key().fingerprint() + "']\n";
  const Policy after = place.load(place.key_rule("a"), 1, revoked).value();
  CHECK(outcome(after, {place.by_key(place.b_)}) == "trust.signer");
}

}  // namespace
}  // namespace mlxguard::trust
