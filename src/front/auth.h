// SPDX-License-Identifier: Apache-2.0
// API keys. The gateway knows only SHA-256 hashes of keys, and compares with every one of them in
// constant time, so that neither a match nor its place shows in the time taken.
// Input: header values chosen by a client.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

namespace mlxguard::front {

enum class Anonymous : std::uint8_t { kRefused, kAllowed };

/// An API key as it is configured: never the key itself.
struct KeyHash {
  std::string name;                  ///< who, for the log
  std::vector<std::uint8_t> sha256;  ///< of the key's text
};

/// Who asks. Made only by Authenticator.
class Identity {
 public:
  [[nodiscard]] const std::string& name() const { return *name_; }
  [[nodiscard]] bool is_anonymous() const { return anonymous_; }

 private:
  friend class Authenticator;
  Identity(const std::string& name, bool anonymous) : name_(&name), anonymous_(anonymous) {}
  const std::string* name_;  ///< owned by the Authenticator
  bool anonymous_;
};

class Authenticator {
 public:
  /// `event_hash_key`: for event_hash(), at least 16 bytes. Errors: kWorkerProtocol for a shorter
  /// one, or a hash that is not a SHA-256.
  [[nodiscard]] static Result<Authenticator> create(const std::vector<KeyHash>& keys,
                                                    Anonymous anonymous, Bytes event_hash_key);

  /// `authorization` as "Bearer KEY" first, then `x_api_key`. Errors: kUnauthenticated when there
  /// is neither, kCredentialsInvalid.
  [[nodiscard]] Result<Identity> authenticate(std::string_view authorization,
                                              std::string_view x_api_key) const;
  /// What the event of a failed authentication says about the credentials that were presented:
  /// HMAC-SHA-256, so that equal guesses can be seen and none can be looked up. Empty if nothing
  /// was presented.
  [[nodiscard]] std::string event_hash(std::string_view authorization,
                                       std::string_view x_api_key) const;

 private:
  struct Key {
    std::string name;
    crypto::Sha256Digest hash;
  };
  Authenticator(std::vector<Key> keys, Anonymous anonymous, crypto::Secret event_hash_key)
      : keys_(std::move(keys)),
        anonymous_(anonymous),
        event_hash_key_(std::move(event_hash_key)) {}

  std::vector<Key> keys_;
  Anonymous anonymous_;
  crypto::Secret event_hash_key_;
  std::string anonymous_name_ = "anonymous";
};

}  // namespace mlxguard::front
