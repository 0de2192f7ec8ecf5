// SPDX-License-Identifier: Apache-2.0
#include "record/attributes.h"

#include "base/check.h"

namespace mlxguard::record {
namespace {

constexpr std::string_view object_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

constexpr std::string_view member_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

constexpr AttrRow kRows[] = {
#define MLXGUARD_ATTR_ROW(enumerator, name, type, ocsf, indexed, bytes_max, meaning)        \
  {AttrId::enumerator, name,      AttrType::type, object_of(ocsf), member_of(ocsf), \
   Indexed::indexed,   bytes_max, meaning},
    MLXGUARD_ATTRIBUTE_TABLE(MLXGUARD_ATTR_ROW)
#undef MLXGUARD_ATTR_ROW
};

}  // namespace

const AttrRow& describe(AttrId id) {
  const auto index = static_cast<std::size_t>(id);
  MLXGUARD_CHECK(index < std::size(kRows));
  return kRows[index];
}

const AttrRow* find_attribute(std::string_view name) {
  for (const AttrRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const AttrRow* find_attribute(std::uint16_t untrusted_number) {
  return untrusted_number < std::size(kRows) ? &kRows[untrusted_number] : nullptr;
}

std::span<const AttrRow> all_attributes() { return kRows; }

AttrType type_of(const AttrValue& value) { return static_cast<AttrType>(value.index()); }

}  // namespace mlxguard::record
