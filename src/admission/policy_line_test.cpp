// SPDX-License-Identifier: Apache-2.0
// The trust policy on the model line: where it is asked, what it keeps from being loaded, and what
// of it is on record.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "admission/model_line.h"
#include "admission/model_store.h"
#include "admission/trust_check.h"
#include "codec/text.h"
#include "crypto/random.h"
#include "inspect/inspector.h"
#include "signature/test_support.h"

namespace mlxguard::admission {
namespace {

using record::Kind;
namespace fs = std::filesystem;
namespace test = signature::test;

/// A signed model, a state folder and a policy of one source that allows the signer.
struct Place : test::ModelOnDisk {
  Place() {
    write("w.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
    write("mlxguard.json", R"({"name": "net", "version": "1.2.0"})");
    sign();
    fs::create_directories(root() / "state/keys");
    fs::permissions(root() / "state", fs::perms::owner_all);
    std::ofstream(root() / "signer.pub") << key.public_key().pem();
  }
  void sign() const { REQUIRE(test::sign_in_place(path(), key).has_value()); }
  void policy(const std::string& in_source, const std::string& rest = {}) {
    std::ofstream(root() / "state/trust.toml")
        << "version = " << ++version << "\n[sources.s]\npath = '" << root().string() << "'\n"
        << in_source << "\n[[sources.s.signers]]\nkey = '" << key.public_key().fingerprint()
        << "'\n"
        << rest << "\n";
  }
  Result<Trust> trust() {
    return Trust::load({root() / "state", {}, {}, {root() / "signer.pub"}}, sink, clock);
  }
  AdmitRequest request() const {
    AdmitRequest made{path(), "net"};
    made.state = root() / "state";
    made.open_inspector = []() -> Result<std::unique_ptr<inspect::Inspector>> {
      return std::unique_ptr<inspect::Inspector>(std::make_unique<inspect::LocalInspector>());
    };
    return made;
  }
  Result<signature::VerifiedModel> admit_it() {
    MLXGUARD_TRY_ASSIGN(const Trust base, trust());
    return admit(request(), base, sink, clock);
  }
  ErrorCode refused_by_all(const AdmitRequest& asked) {
    const auto base = trust();
    REQUIRE(base.has_value());
    const auto admitted = admit(asked, *base, sink, clock);
    REQUIRE_FALSE(admitted.has_value());
    const auto looked = verify_only(asked, *base, sink, clock);
    REQUIRE(looked.has_value());
    const auto* refusal = std::get_if<signature::Refusal>(&*looked);
    REQUIRE(refusal != nullptr);
    CHECK(refusal->error.code == admitted.error().code);
    const auto checked = check_trust(asked, *base, sink, clock);
    REQUIRE((checked.has_value() && checked->refusal.has_value()));
    CHECK(checked->refusal->code == admitted.error().code);
    crypto::SystemRandom random;
    const auto store = artifact::Store::open(root() / "state", random);
    REQUIRE(store.has_value());
    StoreRequest keep{path(), "net", {}, {}};
    keep.open_inspector = asked.open_inspector;
    const auto stored = add_to_store(keep, *store, *base, sink, clock);
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error().code == admitted.error().code);
    CHECK(store->list()->empty());
    return admitted.error().code;
  }
  ErrorCode refused_by_all() { return refused_by_all(request()); }

  crypto::EcPrivateKey key = test::new_key();
  int version = 0;
  record::RecordingSink sink;
  SystemClock clock;
};

std::string field(const record::Event& event, const std::string& name) {
  for (const auto& [id, value] : event.attributes) {
    if (record::describe(id).name != name) continue;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  }
  return "absent";
}

TEST_CASE("policy line: an allowed model is admitted, and its event names the source") {
  Place place;
  place.policy("formats = ['safetensors']\nmin_version = '1'");
  REQUIRE(place.admit_it().has_value());
  const auto last = place.sink.events().back();
  CHECK(last.kind == Kind::kModelVerified);
  CHECK(field(last, "source") == "s");
  CHECK(field(last, "mode") == "enforce");
  CHECK(field(last, "basis") == "digests");
}

TEST_CASE("policy line: what is known before a file is read refuses before one is read") {
  Place place;
  place.policy("not_after = 2001-01-01");
  CHECK(place.refused_by_all() == ErrorCode::kTrustWindow);
  for (const auto& event : place.sink.events()) CHECK(event.kind != Kind::kModelSnapshot);
}

TEST_CASE("policy line: what only the bytes tell refuses after their digests were checked") {
  Place place;
  place.policy("formats = ['gguf']");
  CHECK(place.refused_by_all() == ErrorCode::kTrustFormat);
  place.policy("min_version = '1.3'");
  CHECK(place.refused_by_all() == ErrorCode::kTrustVersion);
  place.write("w.safetensors", "changed");
  CHECK(place.admit_it().error().code == ErrorCode::kDigestMismatch);
}

TEST_CASE("policy line: a refusal is on record with source, rule, expected and actual") {
  Place place;
  place.policy("formats = ['gguf']");
  CHECK(place.admit_it().error().code == ErrorCode::kTrustFormat);
  const auto last = place.sink.events().back();
  CHECK(last.kind == Kind::kModelRefused);
  CHECK(field(last, "source") == "s");
  CHECK(field(last, "rule") == "format");
  CHECK(field(last, "expected") == "gguf");
  CHECK(field(last, "actual") == "safetensors");
}

TEST_CASE(
    "policy line: a source that warns admits, with an event for every condition that failed") {
  Place place;
  place.policy("mode = 'warn'\nformats = ['gguf']\nmin_version = '9'");
  int told = 0;
  auto request = place.request();
  request.judged = [&](const trust::Judgement& judgement) {
    for (const auto& one : judgement.conditions) {
      told += one.state == trust::Condition::State::kFailed ? 1 : 0;
    }
  };
  const auto base = place.trust();
  REQUIRE(base.has_value());
  REQUIRE(admit(request, *base, place.sink, place.clock).has_value());
  CHECK(told == 2);
  std::vector<std::string> rules;
  for (const auto& event : place.sink.events()) {
    if (event.kind != Kind::kModelWarned) continue;
    rules.push_back(field(event, "rule"));
    CHECK(event.outcome == record::Outcome::kSuccess);
  }
  CHECK(rules == std::vector<std::string>{"format", "version"});
}

TEST_CASE("policy line: a policy that cannot be used is on record, and nothing is looked at") {
  Place place;
  place.policy("", "mode = 3");
  CHECK(place.trust().error().code == ErrorCode::kTrustPolicy);
  CHECK(place.sink.events().back().kind == Kind::kPolicyRefused);
  CHECK(place.sink.events().back().code == ErrorCode::kTrustPolicy);
}

TEST_CASE("policy line: only what was admitted raises the lowest version") {
  Place place;
  place.policy("rollback = 'refuse'");
  const auto base = place.trust();
  REQUIRE(base.has_value());
  place.write("mlxguard.json", R"({"version": "2.0.0"})");
  place.sign();
  REQUIRE(verify_only(place.request(), *base, place.sink, place.clock).has_value());
  REQUIRE_FALSE(check_trust(place.request(), *base, place.sink, place.clock)->refusal.has_value());
  place.write("mlxguard.json", R"({"version": "1.0.0"})");
  place.sign();
  CHECK(admit(place.request(), *base, place.sink, place.clock).has_value());
  place.write("mlxguard.json", R"({"version": "2.0.0"})");
  place.sign();
  CHECK(admit(place.request(), *base, place.sink, place.clock).has_value());
  place.write("mlxguard.json", R"({"version": "1.0.0"})");
  place.sign();
  CHECK(place.refused_by_all() == ErrorCode::kTrustVersion);
}

TEST_CASE("policy line: findings refuse, are on record, and need somebody who can look") {
  Place place;
  place.policy("refuse_findings = ['severity:high']");
  REQUIRE(place.admit_it().has_value());
  place.write("run.sh", "#!/bin/sh\ntrue\n");
  place.sign();
  CHECK(place.refused_by_all() == ErrorCode::kTrustFinding);
  bool inspected = false;
  for (const auto& event : place.sink.events()) inspected |= event.kind == Kind::kModelInspected;
  CHECK(inspected);
  fs::remove(place.path() / "run.sh");
  place.sign();
  auto blind = place.request();
  blind.open_inspector = {};
  CHECK(place.refused_by_all(blind) == ErrorCode::kInspectIncomplete);
}

TEST_CASE("policy line: where a model really is decides about its source") {
  Place place;
  place.policy("");
  fs::create_directory(place.root() / "elsewhere");
  auto through_link = place.request();
  through_link.path = place.root() / "elsewhere/../model";
  const auto base = place.trust();
  REQUIRE(base.has_value());
  CHECK(admit(through_link, *base, place.sink, place.clock).has_value());
  std::ofstream(place.root() / "state/trust.toml")
      << "version = 9\n[sources.s]\npath = '" << (place.root() / "elsewhere").string()
      << "'\n[[sources.s.signers]]\nkey = '" << place.key.public_key().fingerprint() << "'\n";
  CHECK(place.refused_by_all(through_link) == ErrorCode::kTrustNoSource);
}

TEST_CASE(
    "policy line: a further signature counts if it lists the same files, and if it verifies") {
  Place place;
  const auto second = test::new_key();
  std::ofstream(place.root() / "state/keys/second.pub") << second.public_key().pem();
  place.policy("threshold = 2",
               "[[sources.s.signers]]\nkey = '" + second.public_key().fingerprint() + "'");
  const auto add = [&](const crypto::EcPrivateKey& by) {
    const auto folder = artifact::ModelFolder::open(place.path());
    REQUIRE(folder.has_value());
    const auto signed_model = signature::sign_model(*folder, by);
    REQUIRE(signed_model.has_value());
    REQUIRE(signature::put_further_bundle(*folder, place.path(), "second", signed_model->bundle)
                .has_value());
  };
  CHECK(place.refused_by_all() == ErrorCode::kTrustThreshold);
  add(second);
  CHECK(place.admit_it().has_value());
  add(test::new_key());  // of nobody that is known
  CHECK(place.refused_by_all() == ErrorCode::kTrustThreshold);
  add(second);
  place.write("more.txt", "more");
  place.sign();  // the second one's is over the old list now
  CHECK(place.refused_by_all() == ErrorCode::kTrustThreshold);
}

TEST_CASE("policy line: an approval is good for its own model only") {
  Place place;
  trust::Claim other;
  other.root_digests = {std::string(64, '0')};
  trust::Signer signer;
  signer.fingerprint = place.key.public_key().fingerprint();
  other.signers = {signer};
  const auto approval = trust::Policy::implicit().decide(other, place.clock.now());
  REQUIRE(approval.has_value());
  auto verifier = signature::Verifier::open(*artifact::ModelFolder::open(place.path()),
                                            place.path(), test::trusting(place.key));
  REQUIRE(verifier.has_value());
  REQUIRE(verifier->check_names().has_value());
  REQUIRE(verifier->take_snapshot({}).has_value());
  REQUIRE(verifier->check_digests().has_value());
  const auto refused = verifier->verify("net", *approval);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kTrustNoSource);
}

TEST_CASE("policy line: the hub's cache folder names the id, unless the caller does") {
  CHECK(origin_at("/h/models--org--net/snapshots/1", "").hugging_face == "org/net");
  CHECK(origin_at("/h/models--org--a--b/x", "").hugging_face == "org/a--b");
  CHECK(origin_at("/h/models--org--net", "other/one").hugging_face == "other/one");
  for (const char* path : {"/h/models--org", "/h/models----net", "/h/models--org--", "/srv/net"}) {
    CHECK(origin_at(path, "").hugging_face.empty());
  }
}

}  // namespace
}  // namespace mlxguard::admission
