// SPDX-License-Identifier: Apache-2.0
#include "front/auth.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::front;

namespace {

KeyHash key_of(const std::string& name, std::string_view key) {
  const auto hash = crypto::sha256(as_bytes(key));
  return {name, {hash.begin(), hash.end()}};
}

Authenticator authenticator(Anonymous anonymous = Anonymous::kRefused) {
  return Authenticator::create({key_of("alice", "key-a"), key_of("bob", "key-b")}, anonymous,
                               as_bytes("a secret of 16 bytes"))
      .value();
}

}  // namespace

TEST_CASE("auth: a known key is its owner's, in either header") {
  const Authenticator auth = authenticator();
  CHECK(auth.authenticate("Bearer key-a", "").value().name() == "alice");
  CHECK(auth.authenticate("bearer key-b", "").value().name() == "bob");
  CHECK(auth.authenticate("", "key-b").value().name() == "bob");
}

TEST_CASE("auth: no key and a wrong key are told apart, and both refused") {
  const Authenticator auth = authenticator();
  CHECK(auth.authenticate("", "").error().code == ErrorCode::kUnauthenticated);
  for (const char* wrong : {"Bearer key-c", "Bearer key-", "Bearer key-aa", "Bearer ", "key-a",
                            "Basic key-a", "Bearer\tkey-a", "Bearer key-a "}) {
    CHECK(auth.authenticate(wrong, "").error().code == ErrorCode::kCredentialsInvalid);
  }
  CHECK(auth.authenticate("", "key-c").error().code == ErrorCode::kCredentialsInvalid);
}

TEST_CASE("auth: the hash of a key is not a key") {
  const auto hash = crypto::sha256(as_bytes("key-a"));
  const std::string text(hash.begin(), hash.end());
  CHECK(authenticator().authenticate("", text).error().code == ErrorCode::kCredentialsInvalid);
}

TEST_CASE("auth: the authorization header decides when both are given") {
  CHECK(authenticator().authenticate("Bearer wrong", "key-a").error().code ==
        ErrorCode::kCredentialsInvalid);
}

TEST_CASE("auth: anonymous access is allowed only when told so, and a key still names its owner") {
  const Authenticator open = authenticator(Anonymous::kAllowed);
  CHECK(open.authenticate("", "").value().name() == "anonymous");
  CHECK(open.authenticate("Bearer anything", "").value().name() == "anonymous");
  CHECK(open.authenticate("Bearer key-a", "").value().name() == "alice");
  const Authenticator nobody =
      Authenticator::create({}, Anonymous::kRefused, as_bytes("a secret of 16 bytes")).value();
  CHECK(nobody.authenticate("Bearer key-a", "").error().code == ErrorCode::kCredentialsInvalid);
}

TEST_CASE("auth: a hash of another length is an error of the protocol") {
  CHECK(Authenticator::create({{"short", {1, 2, 3}}}, Anonymous::kRefused,
                              as_bytes("a secret of 16 bytes"))
            .error().code ==
        ErrorCode::kWorkerProtocol);
}

TEST_CASE("auth: a key for the hashes in events is needed") {
  CHECK(Authenticator::create({}, Anonymous::kRefused, {}).error().code ==
        ErrorCode::kWorkerProtocol);
  CHECK(Authenticator::create({}, Anonymous::kRefused, as_bytes("short")).error().code ==
        ErrorCode::kWorkerProtocol);
}
