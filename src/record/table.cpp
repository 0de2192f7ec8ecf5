// SPDX-License-Identifier: Apache-2.0
#include "record/table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mlxguard::record {
namespace {

// One list of required attributes for each kind, with one more element so that none is empty.
namespace required {
using enum AttrId;
#define MLXGUARD_KIND_LIST(enumerator, name, line, class_uid, activity, severity, meaning, ...) \
  constexpr AttrId enumerator##List[] = {__VA_ARGS__ __VA_OPT__(, ) kRequest};
MLXGUARD_EVENT_TABLE(MLXGUARD_KIND_LIST)
#undef MLXGUARD_KIND_LIST
}  // namespace required

template <std::size_t size>
constexpr std::span<const AttrId> without_last(const AttrId (&list)[size]) {
  return std::span<const AttrId>(list).first(size - 1);
}

constexpr KindRow kRows[] = {
#define MLXGUARD_KIND_ROW(enumerator, name, line, class_uid, activity, severity, meaning, ...) \
  {Kind::enumerator, name,     Line::line, class_uid, \
   activity,         severity, meaning,    without_last(required::enumerator##List)},
    MLXGUARD_EVENT_TABLE(MLXGUARD_KIND_ROW)
#undef MLXGUARD_KIND_ROW
};

constexpr std::string_view kSeverities[] = {"unknown", "informational", "low",  "medium",
                                            "high",    "critical",      "fatal"};

/// Levenshtein's distance.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

const KindRow& describe(Kind kind) {
  const auto index = static_cast<std::size_t>(kind);
  MLXGUARD_CHECK(index < std::size(kRows));
  return kRows[index];
}

const KindRow* find_kind(std::string_view name) {
  for (const KindRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::span<const KindRow> all_kinds() { return kRows; }

std::vector<std::string_view> kinds_near(std::string_view name) {
  constexpr std::size_t kNamesMax = 3;
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const KindRow& row : kRows) {
    const std::string_view last = row.name.substr(row.name.find('.') + 1);
    near.emplace_back(std::min(distance(name, row.name), distance(name, last)), row.name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kNamesMax; ++i) names.push_back(near[i].second);
  return names;
}

std::string_view severity_name(int severity_id) {
  if (severity_id < 0 || severity_id >= static_cast<int>(std::size(kSeverities))) return "other";
  return kSeverities[severity_id];
}

int find_severity(std::string_view name) {
  for (std::size_t i = 1; i < std::size(kSeverities); ++i) {
    if (kSeverities[i] == name) return static_cast<int>(i);
  }
  return 0;
}

}  // namespace mlxguard::record
