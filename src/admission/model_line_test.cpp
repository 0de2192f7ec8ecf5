// SPDX-License-Identifier: Apache-2.0
#include "admission/model_line.h"

#include <doctest/doctest.h>

#include "admission/full_sink.h"
#include "signature/test_support.h"

namespace mlxguard::admission {
namespace {

using record::Kind;
using record::Outcome;
namespace fs = std::filesystem;
namespace test = signature::test;

struct Signed : test::ModelOnDisk {
  Signed() {
    write("a.txt", "hello\n");
    write("b.txt", "world\n");
    REQUIRE(test::sign_in_place(path(), key).has_value());
  }
  Result<signature::VerifiedModel> admit_it(record::Sink& to) {
    return admit({path(), "served"}, trusted, to, clock);
  }
  auto verify_it(record::Sink& to) { return verify_only({path(), {}}, trusted, to, clock); }

  crypto::EcPrivateKey key = test::new_key();
  Trust trusted = Trust::of_keys(test::trusting(key));
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

std::vector<Kind> kinds(const record::RecordingSink& sink) {
  std::vector<Kind> out;
  for (const auto& event : sink.events()) out.push_back(event.kind);
  return out;
}

TEST_CASE("model line: each station leaves its event, in order") {
  Signed model;
  auto admitted = model.admit_it(model.sink);
  REQUIRE(admitted.has_value());
  CHECK(admitted->name() == "served");
  CHECK(kinds(model.sink) ==
        std::vector<Kind>{Kind::kModelOpened, Kind::kModelSnapshot, Kind::kModelVerified});
  const auto last = model.sink.events().back();
  CHECK(last.model == "served");
  CHECK(last.outcome == Outcome::kSuccess);
  CHECK(field(last, "root_digest") == admitted->root_digest());
  CHECK(field(last, "signer") == model.key.public_key().fingerprint());
  CHECK(field(last, "signer_name") == "signer");
  CHECK(field(last, "files") == "2");
  CHECK(field(last, "bytes") == "12");
  CHECK(field(last, "duration_us") != "absent");
}

TEST_CASE("model line: a refusal is on record with file, expected and actual digest") {
  Signed model;
  model.write("a.txt", "hellO\n");
  auto refused = model.admit_it(model.sink);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kDigestMismatch);
  const auto event = model.sink.events().back();
  CHECK(event.kind == Kind::kModelRefused);
  CHECK(event.outcome == Outcome::kRefused);
  CHECK(event.model == "served");
  CHECK(event.code == ErrorCode::kDigestMismatch);
  CHECK(field(event, "subject") == "a.txt");
  CHECK(field(event, "expected") == refused.error().expected);
  CHECK(field(event, "actual") == refused.error().actual);
  CHECK(field(event, "findings") == "1");
}

TEST_CASE("model line: names are refused before any byte is copied") {
  Signed model;
  model.write("extra", "x");
  model.write("a.txt", "changed");
  auto refused = model.admit_it(model.sink);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kFileUnsigned);
  CHECK(kinds(model.sink) == std::vector<Kind>{Kind::kModelOpened, Kind::kModelRefused});
}

TEST_CASE("model line: whatever stops it early is on record too") {
  Signed model;
  const auto code_of_last = [&](const fs::path& path, const Trust& trusted) {
    auto refused = admit({path, {}}, trusted, model.sink, model.clock);
    REQUIRE_FALSE(refused.has_value());
    const auto event = model.sink.events().back();
    CHECK(event.kind == Kind::kModelRefused);
    CHECK(event.code == refused.error().code);
    return refused.error().code;
  };
  CHECK(code_of_last(model.root() / "nothing", model.trusted) == ErrorCode::kArtifactNotFound);
  CHECK(model.sink.events().back().outcome == Outcome::kFailed);
  CHECK(model.sink.events().back().model == "nothing");
  CHECK(code_of_last(model.path(), Trust::of_keys({})) == ErrorCode::kNoTrustedKeys);
  CHECK(code_of_last(model.path(), Trust::of_keys(test::trusting(test::new_key()))) ==
        ErrorCode::kSignerUntrusted);
  fs::create_symlink("model", model.root() / "link");
  CHECK(code_of_last(model.root() / "link", model.trusted) == ErrorCode::kArtifactSymlink);
  fs::remove(model.path() / "model.sig");
  CHECK(code_of_last(model.path() / "", model.trusted) == ErrorCode::kSignatureMissing);
  CHECK(model.sink.events().back().model == "model");
}

TEST_CASE("model line: an event that cannot be made durable stops it, wherever it stands") {
  Signed model;
  for (int budget = 0; budget < 3; ++budget) {
    FullSink full(budget);
    auto refused = model.admit_it(full);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::kLogWrite);
  }
  FullSink enough(3);
  CHECK(model.admit_it(enough).has_value());
  for (int budget = 0; budget < 2; ++budget) {
    FullSink full(budget);
    auto refused = model.verify_it(full);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::kLogWrite);
  }
  model.write("a.txt", "changed");
  FullSink full(1);
  auto refused = model.verify_it(full);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kLogWrite);
}

TEST_CASE("verify only: reports what was verified") {
  Signed model;
  auto answer = model.verify_it(model.sink);
  REQUIRE(answer.has_value());
  const auto* report = std::get_if<signature::VerifyReport>(&*answer);
  REQUIRE(report != nullptr);
  CHECK(report->files == 2);
  CHECK(report->bytes == 12);
  CHECK(report->signer_name == "signer");
  CHECK(kinds(model.sink) == std::vector<Kind>{Kind::kModelOpened, Kind::kModelVerified});
}

TEST_CASE("verify only: lists every finding, and its event counts them") {
  Signed model;
  model.write("a.txt", "changed");
  model.write("extra", "x");
  fs::remove(model.path() / "b.txt");
  auto answer = model.verify_it(model.sink);
  REQUIRE(answer.has_value());
  const auto* refusal = std::get_if<signature::Refusal>(&*answer);
  REQUIRE(refusal != nullptr);
  CHECK(refusal->error.code == ErrorCode::kDigestMismatch);
  REQUIRE(refusal->findings.size() == 3);
  CHECK(refusal->findings[1].code == ErrorCode::kFileMissing);
  CHECK(refusal->findings[2].code == ErrorCode::kFileUnsigned);
  CHECK(field(model.sink.events().back(), "findings") == "3");
}

TEST_CASE(
    "verify only: a refusal without findings lists itself; what could not be done is an error") {
  Signed model;
  fs::remove(model.path() / "model.sig");
  auto answer = model.verify_it(model.sink);
  REQUIRE(answer.has_value());
  const auto* refusal = std::get_if<signature::Refusal>(&*answer);
  REQUIRE(refusal != nullptr);
  REQUIRE(refusal->findings.size() == 1);
  CHECK(refusal->findings[0].code == ErrorCode::kSignatureMissing);
  auto failed = verify_only({model.root() / "nothing", {}}, model.trusted, model.sink, model.clock);
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().code == ErrorCode::kArtifactNotFound);
}

}  // namespace
}  // namespace mlxguard::admission
