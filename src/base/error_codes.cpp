// SPDX-License-Identifier: Apache-2.0
#include "base/error_codes.h"

#include <array>

#include "base/check.h"

namespace mlxguard {
namespace {

constexpr ErrorCodeRow kRows[] = {
#define MLXGUARD_TABLE_ROW(number, enumerator, name, exit_class, meaning) \
  {ErrorCode::enumerator, name, ExitClass::exit_class, meaning},
    MLXGUARD_ERROR_TABLE(MLXGUARD_TABLE_ROW)
#undef MLXGUARD_TABLE_ROW
};

}  // namespace

const ErrorCodeRow& describe(ErrorCode code) {
  for (const ErrorCodeRow& row : kRows) {
    if (row.code == code) return row;
  }
  MLXGUARD_CHECK(false);
}

std::string_view name_of(ErrorCode code) { return describe(code).name; }

const ErrorCodeRow* find_error_code(std::string_view name) {
  for (const ErrorCodeRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace mlxguard
