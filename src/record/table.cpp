// SPDX-License-Identifier: Apache-2.0
#include "record/table.h"

#include "base/check.h"

namespace mlxguard::record {
namespace {

constexpr KindRow kRows[] = {
#define MLXGUARD_KIND_ROW(enumerator, name, line, class_uid, activity, severity, meaning) \
  {Kind::enumerator, name, Line::line, class_uid, activity, severity, meaning},
    MLXGUARD_EVENT_TABLE(MLXGUARD_KIND_ROW)
#undef MLXGUARD_KIND_ROW
};

}  // namespace

const KindRow& describe(Kind kind) {
  for (const KindRow& row : kRows) {
    if (row.kind == kind) return row;
  }
  MLXGUARD_CHECK(false);
}

const KindRow* find_kind(std::string_view name) {
  for (const KindRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::span<const KindRow> all_kinds() { return kRows; }

}  // namespace mlxguard::record
