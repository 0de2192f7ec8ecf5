// SPDX-License-Identifier: Apache-2.0
#include "admission/sign_line.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "admission/full_sink.h"
#include "admission/model_line.h"
#include "signature/test_support.h"

namespace mlxguard::admission {
namespace {

using record::Kind;
using record::Outcome;
namespace fs = std::filesystem;
namespace test = signature::test;

struct Workplace : test::ModelOnDisk {
  Workplace() : keys(root() / "keys") {
    write("a.txt", "hello\n");
    const auto secret = crypto::Secret::copy_of(as_bytes("a good passphrase"));
    REQUIRE(keys.create("signer", crypto::Curve::kP256, secret).has_value());
  }
  Result<Signed> sign_it(record::Sink& to, std::string key_name = "signer",
                         std::string passphrase = "a good passphrase") {
    const SignRequest request{
        path(), std::move(key_name), [this, passphrase] {
          ++asked;
          return Result<crypto::Secret>(crypto::Secret::copy_of(as_bytes(passphrase)));
        }};
    return sign(request, keys, to, clock);
  }
  crypto::KeyStore keys;
  record::RecordingSink sink;
  SystemClock clock;
  int asked = 0;
};

TEST_CASE("sign line: what it signs is admitted, and both uses are on record") {
  Workplace work;
  auto done = work.sign_it(work.sink);
  REQUIRE(done.has_value());
  CHECK(done->signature_file == work.path() / "model.sig");
  CHECK(done->files == 1);
  CHECK(done->bytes == 6);
  const auto events = work.sink.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kKeyUsed);
  CHECK(events[1].kind == Kind::kModelSigned);
  CHECK(events[1].outcome == Outcome::kSuccess);
  auto trusted = signature::TrustedKeys::load(work.keys, {});
  REQUIRE(trusted.has_value());
  auto admitted = admit({work.path(), {}}, Trust::of_keys(*trusted), work.sink, work.clock);
  REQUIRE(admitted.has_value());
  CHECK(admitted->root_digest() == done->root_digest);
  CHECK(admitted->signer() == done->signer);
}

TEST_CASE("sign line: a key that does not open is on record, and nothing is signed") {
  Workplace work;
  const auto refused_with = [&](ErrorCode code) {
    const auto event = work.sink.events().back();
    CHECK(event.kind == Kind::kKeyRefused);
    CHECK(event.code == code);
    CHECK_FALSE(fs::exists(work.path() / "model.sig"));
  };
  CHECK(work.sign_it(work.sink, "signer", "a wrong passphrase").error().code ==
        ErrorCode::kKeyPassphrase);
  refused_with(ErrorCode::kKeyPassphrase);
  work.asked = 0;
  CHECK(work.sign_it(work.sink, "nobody").error().code == ErrorCode::kKeyNotFound);
  refused_with(ErrorCode::kKeyNotFound);
  CHECK(work.sign_it(work.sink, "../signer").error().code == ErrorCode::kKeyName);
  refused_with(ErrorCode::kKeyName);
  CHECK(work.asked == 0);
  REQUIRE(::chmod((work.root() / "keys/signer.key").c_str(), 0644) == 0);
  CHECK(work.sign_it(work.sink).error().code == ErrorCode::kKeyPermissions);
  refused_with(ErrorCode::kKeyPermissions);
}

TEST_CASE("sign line: a model that cannot be signed leaves a failed event") {
  Workplace work;
  fs::create_symlink("a.txt", work.path() / "b.txt");
  CHECK(work.sign_it(work.sink).error().code == ErrorCode::kArtifactSymlink);
  const auto event = work.sink.events().back();
  CHECK(event.kind == Kind::kModelSigned);
  CHECK(event.outcome == Outcome::kRefused);
  CHECK(event.code == ErrorCode::kArtifactSymlink);
}

TEST_CASE("sign line: without a durable record there is no signature") {
  Workplace work;
  for (int budget = 0; budget < 2; ++budget) {
    FullSink full(budget);
    CHECK(work.sign_it(full).error().code == ErrorCode::kLogWrite);
    CHECK_FALSE(fs::exists(work.path() / "model.sig"));
  }
}

}  // namespace
}  // namespace mlxguard::admission
