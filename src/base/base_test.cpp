// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <set>
#include <string>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/os_error.h"
#include "base/result.h"
#include "base/unique_fd.h"

using namespace mlxguard;

namespace {
Result<int> half(int number) {
  if (number % 2 != 0) return make_error(ErrorCode::kJsonRange, "expected an even number");
  return number / 2;
}
Result<int> quarter(int number) {
  MLXGUARD_TRY_ASSIGN(const int once, half(number));
  MLXGUARD_TRY(half(once));
  return half(once);
}
}  // namespace

TEST_CASE("result: TRY returns the first error and passes values through") {
  CHECK(quarter(8).value() == 2);
  CHECK(quarter(6).error().code == ErrorCode::kJsonRange);
  CHECK(half(4).and_then(half).value() == 1);
  CHECK(half(4).transform([](int value) { return std::to_string(value); }).value() == "2");
  CHECK(half(3).value_or(7) == 7);
}

TEST_CASE("error: context stands before the message, source line is the maker's") {
  const Error error = make_error(ErrorCode::kIo, "short read").with("loading", "model.safetensors");
  CHECK(error.message == "loading model.safetensors: short read");
  CHECK(error.where.line > 0);
}

TEST_CASE("error codes: numbers and names are unique, each name finds its row") {
  std::set<std::string_view> names;
#define MLXGUARD_CHECK_ROW(number, enumerator, row_name, exit_class, row_meaning) \
  CHECK(names.insert(row_name).second);                                           \
  CHECK(find_error_code(row_name)->code == ErrorCode::enumerator);                \
  CHECK(describe(ErrorCode::enumerator).meaning.size() > 8);
  MLXGUARD_ERROR_TABLE(MLXGUARD_CHECK_ROW)
#undef MLXGUARD_CHECK_ROW
  CHECK(find_error_code("no.such.code") == nullptr);
}

TEST_CASE("os_error: errno becomes a code of its own where users act on it") {
  CHECK(os_error("open", "x", ENOENT).code == ErrorCode::kNotFound);
  CHECK(os_error("write", "x", ENOSPC).code == ErrorCode::kNoSpace);
  CHECK(os_error("read", "x", EIO).code == ErrorCode::kIo);
}

TEST_CASE("unique_fd: owns exactly once, also across a self-move") {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = first.get();
  UniqueFd second = std::move(first);
  CHECK(!first.is_open());  // NOLINT(bugprone-use-after-move): the moved-from state is specified
  CHECK(second.get() == number);
  second.reset();
  CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("checked arithmetic: overflow is an answer") {
  CHECK(!checked_mul<std::uint64_t>(1ull << 33, 1ull << 33));
  CHECK(!checked_add<std::int64_t>(INT64_MAX, 1));
  CHECK(!checked_cast<std::uint32_t>(std::int64_t{-1}));
  CHECK(checked_cast<std::uint8_t>(255) == 255);
}

TEST_CASE("byte_reader: never reads past the end and does not move on failure") {
  const std::uint8_t bytes[] = {1, 0, 0, 0, 9};
  ByteReader reader{Bytes(bytes)};
  CHECK(reader.read<std::uint32_t>().value() == 1);
  CHECK(reader.read<std::uint64_t>().error().code == ErrorCode::kTruncated);
  CHECK(reader.take(2).error().code == ErrorCode::kTruncated);
  CHECK(reader.read<std::uint8_t>().value() == 9);
  CHECK(reader.at_end());
}
