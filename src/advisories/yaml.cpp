// SPDX-License-Identifier: Apache-2.0
// The one includer of the YAML library. Its exceptions end here.
#include <yaml-cpp/yaml.h>

#include "advisories/source.h"
#include "base/limits.h"
#include "codec/json.h"

namespace mlxguard::advisories {
namespace {

constexpr std::size_t kDepthMax = 24;
constexpr std::size_t kNodesMax = 500'000;  // visited: an alias costs what it stands for

Error broken(std::string message) {
  return make_error(ErrorCode::kAdvisoryRecord, std::move(message));
}

class Converter {
 public:
  Result<void> write(const YAML::Node& node, std::size_t depth) {
    if (depth > kDepthMax || ++visited_ > kNodesMax)
      return broken("YAML nested deeper than any record");
    if (node.IsSequence()) {
      json_.begin_array();
      for (const YAML::Node& one : node) MLXGUARD_TRY(write(one, depth + 1));
      json_.end_array();
      return {};
    }
    if (node.IsMap()) {
      json_.begin_object();
      for (const auto& member : node) {
        if (!member.first.IsScalar()) return broken("a YAML key that is no text");
        // What is merged would be passed over: this library knows no merge keys.
        if (member.first.Scalar() == "<<") return broken("YAML with a merge key");
        json_.key(member.first.Scalar());
        MLXGUARD_TRY(write(member.second, depth + 1));
      }
      json_.end_object();
      return {};
    }
    if (node.IsScalar())
      json_.string(node.Scalar());
    else
      json_.null();
    return {};
  }
  [[nodiscard]] std::string take() && { return std::move(json_).take(); }

 private:
  codec::JsonWriter json_;
  std::size_t visited_ = 0;
};

/// The parser recurses for each level of nesting: what could be deep is refused by its indentation
/// and brackets before it is parsed.
bool may_be_deep(std::string_view yaml) {
  std::size_t open = 0, indent = 0;
  bool at_start = true;
  for (const char c : yaml) {
    if (c == '[' || c == '{') ++open;
    if (c == '\n') {
      at_start = true;
      indent = 0;
      continue;
    }
    if (at_start && (c == ' ' || c == '-' || c == '?' || c == ':')) {
      if (++indent > 1000) return true;
    } else {
      at_start = false;
    }
  }
  return open > 10'000;
}

}  // namespace

Result<std::string> yaml_to_json(std::string_view yaml) {
  if (yaml.size() > limits::kAdvisoryRecordBytesMax) return broken("longer than any real record");
  if (may_be_deep(yaml)) return broken("YAML nested deeper than any record");
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() != 1) return broken("expected one YAML document");
    Converter converter;
    MLXGUARD_TRY(converter.write(documents.front(), 0));
    return std::move(converter).take();
  } catch (const std::exception& problem) {
    return broken(std::string("YAML that is malformed: ") + problem.what());
  }
}

}  // namespace mlxguard::advisories
