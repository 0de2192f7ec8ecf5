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

std::string_view severity_name(int severity_id) {
  constexpr std::string_view kNames[] = {"unknown", "informational", "low",  "medium",
                                         "high",    "critical",      "fatal"};
  return severity_id >= 0 && severity_id < 7 ? kNames[severity_id] : "other";
}

}  // namespace

std::string markdown_table_of_kinds() {
  std::string out = "| kind | line | OCSF class.activity | severity | meaning |\n";
  out += "| --- | --- | --- | --- | --- |\n";
  for (const KindRow& row : all_kinds()) {
    out += "| `" + std::string(row.name) + "` | " + std::string(name_of(row.line)) + " | " +
           std::to_string(row.class_uid) + "." + std::to_string(row.activity_id) + " | " +
           std::string(severity_name(row.severity_id)) + " | " + std::string(row.meaning) + " |\n";
  }
  return out;
}

}  // namespace mlxguard::record
