// SPDX-License-Identifier: Apache-2.0
// A JSON object that one or more keys signed, as text: a DSSE envelope. Each kind of record has a
// type of its own, which is signed too: a signature made for one kind is never good for another,
// nor for a model.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "codec/json.h"
#include "crypto/ec_key.h"
#include "crypto/signer.h"

namespace mlxguard::trust {

/// What is signed of a payload (DSSE's pre-authentication encoding).
[[nodiscard]] std::vector<std::uint8_t> signed_bytes(std::string_view type,
                                                     std::string_view payload);

/// Errors: those of the signers.
[[nodiscard]] Result<std::string> write_signed(
    std::string_view type, std::string_view payload,
    std::initializer_list<const crypto::Signer*> signers);

/// An envelope whose form is good and whose payload is JSON; nothing is believed before verify().
class SignedRecord {
 public:
  /// kKeyRecord for anything but one envelope of this type; kTooLarge.
  [[nodiscard]] static Result<SignedRecord> parse(
      std::string_view text, std::string_view type,
      std::size_t bytes_max = limits::kKeyRecordBytesMax);
  [[nodiscard]] codec::JsonValue body() const { return body_.root(); }
  /// Exactly these keys signed it, in this order; else kKeyRecord.
  [[nodiscard]] Result<void> verify(std::initializer_list<const crypto::EcPublicKey*> keys) const;

 private:
  struct Signature {
    std::string key_id;
    std::vector<std::uint8_t> bytes;
  };
  SignedRecord(codec::JsonDocument body, std::vector<std::uint8_t> message,
               std::vector<Signature> signatures)
      : body_(std::move(body)), message_(std::move(message)), signatures_(std::move(signatures)) {}
  codec::JsonDocument body_;
  std::vector<std::uint8_t> message_;
  std::vector<Signature> signatures_;
};

/// A reader's error as what it means here: the record is not in order.
[[nodiscard]] Error as_key_record_error(Error error);
template <class T>
[[nodiscard]] Result<T> as_key_record_error(Result<T> result) {
  if (result) return result;
  return as_key_record_error(std::move(result).error());
}

}  // namespace mlxguard::trust
