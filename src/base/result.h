// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. Member names follow std::expected, which libstdc++ 12 offers only
// in C++23 and hides from older clang (docs/adr/0001-result.md); it can replace this class later.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error_codes.h"

namespace mlxguard {

/// Where in our source an Error was made.
struct SourceLine {
  const char* file;
  int line;
};

/// What went wrong: a stable code for machines, one sentence for people.
/// The message is lower case without a full stop and says what was expected and found; it holds no
/// secret. `subject` is the file, tensor or field it is about; `expected`/`actual` are set where a
/// comparison failed (digests, sizes); `hint` says what the user can do.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  SourceLine where{"", 0};
  std::string subject;
  std::string expected;
  std::string actual;
  std::string hint;

  /// Prefixes the message with what was being done: `error.with("loading model", name)`.
  [[nodiscard]] Error with(std::string_view doing, std::string_view what = {}) && {
    std::string prefix(doing);
    if (!what.empty()) prefix.append(" ").append(what);
    message = prefix + ": " + message;
    return std::move(*this);
  }
  [[nodiscard]] Error about(std::string subject_name) && {
    subject = std::move(subject_name);
    return std::move(*this);
  }
  [[nodiscard]] Error compared(std::string expected_value, std::string actual_value) && {
    expected = std::move(expected_value);
    actual = std::move(actual_value);
    return std::move(*this);
  }
  [[nodiscard]] Error hinting(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
};

/// Makes an Error that remembers the caller's source line.
inline Error make_error(ErrorCode code, std::string message, const char* file = __builtin_FILE(),
                        int line = __builtin_LINE()) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  error.where = {file, line};
  return error;
}

template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, Error> && !std::is_reference_v<T>);

 public:
  using value_type = T;
  using error_type = Error;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit, as
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // in std::expected

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& value() & { return checked(); }
  [[nodiscard]] const T& value() const& { return const_cast<Result*>(this)->checked(); }
  [[nodiscard]] T&& value() && { return std::move(checked()); }
  [[nodiscard]] T& operator*() & { return checked(); }
  [[nodiscard]] const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
  [[nodiscard]] T&& operator*() && { return std::move(checked()); }
  [[nodiscard]] T* operator->() { return &checked(); }
  [[nodiscard]] const T* operator->() const { return &const_cast<Result*>(this)->checked(); }

  [[nodiscard]] const Error& error() const& {
    MLXGUARD_CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] Error&& error() && {
    MLXGUARD_CHECK(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

  template <class U>
  [[nodiscard]] T value_or(U&& fallback) && {
    return has_value() ? std::move(checked()) : static_cast<T>(std::forward<U>(fallback));
  }
  template <class F>
  [[nodiscard]] auto and_then(F&& next) && -> std::invoke_result_t<F, T&&> {
    if (!has_value()) return std::move(*this).error();
    return std::forward<F>(next)(std::move(checked()));
  }
  template <class F>
  [[nodiscard]] auto transform(F&& map) && -> Result<std::invoke_result_t<F, T&&>> {
    if (!has_value()) return std::move(*this).error();
    return std::forward<F>(map)(std::move(checked()));
  }

 private:
  T& checked() {
    MLXGUARD_CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit, as in std::expected

  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const { MLXGUARD_CHECK(has_value()); }
  [[nodiscard]] const Error& error() const& {
    MLXGUARD_CHECK(error_.has_value());
    return *error_;
  }
  [[nodiscard]] Error&& error() && {
    MLXGUARD_CHECK(error_.has_value());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace mlxguard

#define MLXGUARD_CONCAT_INNER(a, b) a##b
#define MLXGUARD_CONCAT(a, b) MLXGUARD_CONCAT_INNER(a, b)

/// Returns the error of `expression` from the enclosing function, if it has one.
#define MLXGUARD_TRY(expression)                                             \
  do {                                                                       \
    if (auto mlxguard_result = (expression); !mlxguard_result.has_value()) { \
      return std::move(mlxguard_result).error();                             \
    }                                                                        \
  } while (false)

#define MLXGUARD_TRY_ASSIGN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                      \
  if (!temporary.has_value()) return std::move(temporary).error();    \
  declaration = *std::move(temporary) /* NOLINT(bugprone-macro-parentheses) */

/// Declares or assigns from a Result, or returns its error: MLXGUARD_TRY_ASSIGN(auto fd,
/// open(...));
#define MLXGUARD_TRY_ASSIGN(declaration, ...) \
  MLXGUARD_TRY_ASSIGN_INNER(MLXGUARD_CONCAT(mlxguard_try_, __LINE__), declaration, (__VA_ARGS__))
