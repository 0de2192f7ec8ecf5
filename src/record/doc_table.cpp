// SPDX-License-Identifier: Apache-2.0
#include "record/doc_table.h"

#include "record/table.h"

namespace mlxguard::record {
namespace {

std::string_view name_of(Line line) {
  switch (line) {
    case Line::kModel:
      return "model";
    case Line::kRequest:
      return "request";
    case Line::kHost:
      return "host";
    case Line::kOperator:
      return "operator";
  }
  return "";
}

}  // namespace

std::string markdown_table_of_kinds() {
  std::string out = "| kind | line | OCSF class.activity | severity | meaning | always with |\n";
  out += "| --- | --- | --- | --- | --- | --- |\n";
  for (const KindRow& row : all_kinds()) {
    out += "| `" + std::string(row.name) + "` | " + std::string(name_of(row.line)) + " | " +
           std::to_string(row.class_uid) + "." + std::to_string(row.activity_id) + " | " +
           std::string(severity_name(row.severity_id)) + " | " + std::string(row.meaning) + " |";
    for (const AttrId id : row.required) out += " `" + std::string(describe(id).name) + "`";
    out += " |\n";
  }
  return out;
}

std::string markdown_table_of_attributes() {
  constexpr std::string_view kTypes[] = {"text", "integer", "number", "true or false"};
  std::string out = "| attribute | type | OCSF | meaning |\n| --- | --- | --- | --- |\n";
  for (const AttrRow& row : all_attributes()) {
    out += "| `" + std::string(row.name) + "` | " +
           std::string(kTypes[static_cast<std::size_t>(row.type)]) + " |";
    if (!row.ocsf_member.empty()) {
      out += " `" + std::string(row.ocsf_object) + (row.ocsf_object.empty() ? "" : ".") +
             std::string(row.ocsf_member) + "`";
    }
    out += " | " + std::string(row.meaning) + " |\n";
  }
  return out;
}

}  // namespace mlxguard::record
