// SPDX-License-Identifier: Apache-2.0
#include "front/auth.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "codec/text.h"

namespace mlxguard::front {
namespace {

/// The key of "Bearer KEY" (the scheme's case does not matter), or nothing.
std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  if (!equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  return authorization;
}

}  // namespace

Result<Authenticator> Authenticator::create(const std::vector<KeyHash>& keys,
                                            Anonymous anonymous, Bytes event_hash_key) {
  constexpr std::size_t kHashKeyBytesMin = 16;
  if (event_hash_key.size() < kHashKeyBytesMin) {
    return make_error(ErrorCode::kWorkerProtocol, "expected a key for the hashes in events");
  }
  std::vector<Key> out;
  for (const KeyHash& key : keys) {
    Key entry{key.name, {}};
    if (key.sha256.size() != entry.hash.size()) {
      return make_error(ErrorCode::kWorkerProtocol, "expected an API key's SHA-256");
    }
    std::copy(key.sha256.begin(), key.sha256.end(), entry.hash.begin());
    out.push_back(std::move(entry));
  }
  return Authenticator(std::move(out), anonymous, crypto::Secret::copy_of(event_hash_key));
}

Result<Identity> Authenticator::authenticate(std::string_view authorization,
                                             std::string_view x_api_key) const {
  const bool presented_any = !authorization.empty() || !x_api_key.empty();
  const auto presented = authorization.empty() ? std::optional(x_api_key) : bearer(authorization);
  if (presented && !presented->empty()) {
    const crypto::Sha256Digest hash = crypto::sha256(as_bytes(*presented));
    const Key* found = nullptr;
    // No early end: every key is compared, whichever matched.
    for (const Key& key : keys_) {
      if (crypto::equal_constant_time(hash, key.hash)) found = &key;
    }
    if (found != nullptr) return Identity(found->name, false);
  }
  if (anonymous_ == Anonymous::kAllowed) return Identity(anonymous_name_, true);
  if (!presented_any) {
    return make_error(ErrorCode::kUnauthenticated,
                      "expected an API key as Authorization: Bearer KEY, or as x-api-key");
  }
  return make_error(ErrorCode::kCredentialsInvalid, "the API key is not known");
}

std::string Authenticator::event_hash(std::string_view authorization,
                                      std::string_view x_api_key) const {
  std::string_view presented = x_api_key;
  if (!authorization.empty()) presented = bearer(authorization).value_or(authorization);
  if (presented.empty()) return {};
  const auto hash = crypto::hmac_sha256(event_hash_key_.bytes(), as_bytes(presented));
  return "hmac-sha256:" + codec::to_hex(hash);
}

}  // namespace mlxguard::front
