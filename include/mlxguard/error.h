// SPDX-License-Identifier: Apache-2.0
// Error and Result of the public API. Nothing here throws, except value() of a Result without one.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "mlxguard/version.h"

namespace mlxguard {
MLXGUARD_V1 {

/// What went wrong. `code` is stable and never reused: match on it, not on the words.
struct Error {
  enum class Kind {
    kRefused = 1,  ///< looked, and said no: bad signature, untrusted signer, malformed header
    kUsage = 2,    ///< wrong configuration or arguments
    kFailed = 3,   ///< could not be carried out: file missing, disk full
  };
  Kind kind = Kind::kFailed;
  int number = 0;        ///< of the code: 5xx signature, 6xx format, 12xx trust policy, ...
  std::string code;      ///< such as "signature.digest_mismatch"
  std::string message;   ///< one sentence for people; holds no secret
  std::string subject;   ///< the file or tensor it is about; may be empty
  std::string expected;  ///< where a comparison failed
  std::string actual;
  std::string hint;  ///< what the user can do; may be empty
};

/// A value or an Error, with the member names of std::expected.
template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTBEGIN(google-explicit-constructor): `return value;` and `return error;` are the point
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// std::logic_error without a value.
  T& value() & { return check(), std::get<0>(state_); }
  const T& value() const& { return check(), std::get<0>(state_); }
  T&& value() && { return check(), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  void check() const {
    if (!has_value()) {
      throw std::logic_error("mlxguard: " + error().message + " [" + error().code + "]");
    }
  }
  std::variant<T, Error> state_;
};

}  // namespace v1
}  // namespace mlxguard
