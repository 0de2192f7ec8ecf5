// SPDX-License-Identifier: Apache-2.0
// Certificates in DER and PEM, and revocation lists, as a bundle or an operator's file may hold
// them. Whatever is read has to give itself back, and nobody vouches for it who was not named.
#include <string_view>

#include "base/check.h"
#include "crypto/certificate.h"

namespace {

using namespace mlxguard;
using crypto::Certificate;

void check_one(const Certificate& certificate) {
  auto again = Certificate::from_der(certificate.der());
  MLXGUARD_CHECK(again.has_value() && again->fingerprint() == certificate.fingerprint());
  (void)certificate.subject();
  (void)certificate.serial();
  for (const std::string& identity : certificate.identities()) {
    MLXGUARD_CHECK(identity.find('\0') == std::string::npos);
  }
  (void)certificate.public_key();
  (void)certificate.check_may_sign(WallTime(std::chrono::seconds(1'900'000'000)));
}

void check_trusted_by_nobody(const Certificate& leaf, std::string_view list) {
  crypto::ChainTrust trust;
  trust.now = WallTime(std::chrono::seconds(1'900'000'000));
  MLXGUARD_CHECK(!crypto::verify_chain(leaf, {}, trust).has_value());
  trust.crls.emplace_back(list);
  MLXGUARD_CHECK(!crypto::verify_chain(leaf, {}, trust).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto one = Certificate::from_der({data, size})) {
    check_one(*one);
    check_trusted_by_nobody(*one, text);
  }
  if (auto many = Certificate::from_pem(text)) {
    for (const Certificate& one : *many) check_one(one);
    check_trusted_by_nobody(many->front(), text);
  }
  return 0;
}
