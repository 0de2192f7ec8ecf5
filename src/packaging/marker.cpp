// SPDX-License-Identifier: Apache-2.0
#include "packaging/marker.h"

#include <algorithm>

#include "packaging/marker_reader.h"
#include "packaging/name.h"
#include "packaging/scan.h"
#include "packaging/specifier.h"

namespace mlxguard::packaging {
namespace {

using Node = Marker::Node;

Error undefined(const Node& node) {
  return make_error(ErrorCode::kMarker, "a comparison without a meaning: " + node.left.text + " " +
                                            node.op + " " + node.right.text);
}

bool is_version_variable(std::string_view name) {
  return name == "python_version" || name == "python_full_version" ||
         name == "implementation_version" || name == "platform_release";
}

Result<bool> compare_texts(const Node& node, std::string_view left, std::string_view right) {
  if (node.op == "==" || node.op == "<=" || node.op == ">=") return left == right;
  if (node.op == "!=") return left != right;
  if (node.op == "<" || node.op == ">") return false;
  if (node.op == "in") return right.find(left) != std::string_view::npos;
  if (node.op == "not in") return right.find(left) == std::string_view::npos;
  return undefined(node);
}

Result<bool> compare(const Node& node, const MarkerEnvironment& environment) {
  const std::string& name = node.left.variable ? node.left.text : node.right.text;
  if (!node.left.variable && !node.right.variable) {
    return undefined(node);  // two texts: nothing is asked about the environment
  }
  if (name == "extras" || name == "dependency_groups") {
    const bool member = node.op == "in" || node.op == "not in";
    if (node.left.variable || !member) return undefined(node);
    const auto& set = name == "extras" ? environment.extras : environment.dependency_groups;
    return set.contains(normalize_name(node.left.text)) == (node.op == "in");
  }
  const auto known = environment.values.find(name);
  if (known == environment.values.end()) return undefined(node);
  // Where both sides are variables, the right one is compared by its name, as installers do.
  const std::string_view left = node.left.variable ? known->second : node.left.text;
  const std::string_view right = node.left.variable ? node.right.text : known->second;
  if (is_version_variable(name) && node.op != "in" && node.op != "not in") {
    if (const auto specifier = Specifier::parse(node.op + std::string(right))) {
      if (specifier->op() == Specifier::Operator::kArbitrary) {  // also of what is no version
        return ascii_lower(left) == ascii_lower(specifier->version_text());
      }
      const auto version = Version::parse(left);
      return version && specifier->matches(*version, left);
    }
  }
  return compare_texts(node, left, right);
}

Result<bool> evaluate_node(const Node& node, const MarkerEnvironment& environment) {
  if (node.kind == Node::Kind::kComparison) return compare(node, environment);
  // Every part is evaluated: a comparison without a meaning is one, whatever the others say.
  bool all = true;
  bool any = false;
  for (const auto& part : node.parts) {
    MLXGUARD_TRY_ASSIGN(const bool value, evaluate_node(*part, environment));
    all = all && value;
    any = any || value;
  }
  return node.kind == Node::Kind::kAnd ? all : any;
}

std::string operand_text(const Node::Operand& operand) {
  if (operand.variable) return operand.text;
  const char quote = operand.text.find('"') == std::string::npos ? '"' : '\'';
  return quote + operand.text + quote;
}

std::string node_text(const Node& node, bool outermost) {
  if (node.kind == Node::Kind::kComparison) {
    return operand_text(node.left) + " " + node.op + " " + operand_text(node.right);
  }
  std::string out;
  for (const auto& part : node.parts) {
    if (!out.empty()) out += node.kind == Node::Kind::kAnd ? " and " : " or ";
    const bool binds = node.kind == Node::Kind::kOr && part->kind == Node::Kind::kAnd;
    out += node_text(*part, binds);
  }
  return outermost ? out : "(" + out + ")";
}

}  // namespace

MarkerEnvironment linux_environment(std::string_view python_full_version) {
  const std::size_t first = python_full_version.find('.');
  const std::size_t second =
      first == std::string_view::npos ? first : python_full_version.find('.', first + 1);
  MarkerEnvironment environment;
  environment.values = {
      {"python_version", std::string(python_full_version.substr(0, second))},
      {"python_full_version", std::string(python_full_version)},
      {"implementation_version", std::string(python_full_version)},
      {"implementation_name", "cpython"},
      {"platform_python_implementation", "CPython"},
      {"os_name", "posix"},
      {"sys_platform", "linux"},
      {"platform_system", "Linux"},
      {"platform_machine", "x86_64"},
      {"platform_release", ""},
      {"platform_version", ""},
      {"extra", ""},
  };
  return environment;
}

Result<Marker> Marker::parse(std::string_view text) { return MarkerReader(text).read(); }

Result<bool> Marker::evaluate(const MarkerEnvironment& environment) const {
  return evaluate_node(*root_, environment);
}

Result<bool> Marker::evaluate(const MarkerEnvironment& environment,
                              std::span<const std::string> extras) const {
  MarkerEnvironment asked = environment;
  asked.values["extra"] = "";
  MLXGUARD_TRY_ASSIGN(bool holds, evaluate(asked));
  for (const std::string& extra : extras) {
    if (holds) break;
    asked.values["extra"] = normalize_name(extra);
    MLXGUARD_TRY_ASSIGN(holds, evaluate(asked));
  }
  return holds;
}

std::string Marker::text() const { return node_text(*root_, true); }

}  // namespace mlxguard::packaging
