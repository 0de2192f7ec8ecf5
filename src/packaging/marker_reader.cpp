// SPDX-License-Identifier: Apache-2.0
#include "packaging/marker_reader.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "packaging/name.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

constexpr std::array<std::string_view, 14> kVariables{"python_version",
                                                      "python_full_version",
                                                      "os_name",
                                                      "sys_platform",
                                                      "platform_release",
                                                      "platform_system",
                                                      "platform_version",
                                                      "platform_machine",
                                                      "platform_python_implementation",
                                                      "implementation_name",
                                                      "implementation_version",
                                                      "extra",
                                                      "extras",
                                                      "dependency_groups"};

bool is_word(char c) { return is_ascii_alphanumeric(c) || c == '_'; }

/// The variable of a spelling that PEP 345 still allowed, or nothing.
std::string variable_of(std::string_view word) {
  std::string name(word);
  constexpr std::array<std::string_view, 5> kDotted{"os.name", "sys.platform", "platform.version",
                                                    "platform.machine",
                                                    "platform.python_implementation"};
  if (std::find(kDotted.begin(), kDotted.end(), word) != kDotted.end()) {
    std::replace(name.begin(), name.end(), '.', '_');
  }
  if (name == "python_implementation") name = "platform_python_implementation";
  return std::find(kVariables.begin(), kVariables.end(), name) != kVariables.end() ? name : "";
}

/// Names of extras and groups are compared as PEP 503 normalises them.
void normalize_names(Marker::Node& node) {
  const auto normalize = [](const Marker::Node::Operand& variable, Marker::Node::Operand& value) {
    if (variable.variable && !value.variable && variable.text == "extra") {
      value.text = normalize_name(value.text);
    }
  };
  normalize(node.left, node.right);
  normalize(node.right, node.left);
  if (node.right.variable && !node.left.variable &&
      (node.right.text == "extras" || node.right.text == "dependency_groups")) {
    node.left.text = normalize_name(node.left.text);
  }
}

}  // namespace

Error MarkerReader::expected(std::string_view what) const {
  return make_error(ErrorCode::kMarker,
                    "expected " + std::string(what) + " at column " + std::to_string(at_ + 1))
      .about(std::string(text_));
}

void MarkerReader::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
}

bool MarkerReader::take_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  const std::size_t end = at_ + word.size();
  if (end < text_.size() && is_word(text_[end])) return false;
  at_ = end;
  return true;
}

Result<Marker> MarkerReader::read() {
  if (text_.size() > limits::kMarkerBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a marker longer than any real one");
  }
  MLXGUARD_TRY_ASSIGN(NodePointer root, read_or(0));
  if (at_ != text_.size()) return expected("the end of the marker");
  return Marker(std::move(root));
}

Result<MarkerReader::NodePointer> MarkerReader::read_or(std::size_t depth) {
  if (depth > limits::kMarkerDepthMax) {
    return make_error(ErrorCode::kTooLarge, "a marker nested deeper than any real one");
  }
  MLXGUARD_TRY_ASSIGN(NodePointer first, read_and(depth));
  skip_space();
  if (!take_word("or")) return first;
  auto node = std::make_shared<Marker::Node>();
  node->kind = Marker::Node::Kind::kOr;
  node->parts.push_back(std::move(first));
  do {
    MLXGUARD_TRY_ASSIGN(NodePointer next, read_and(depth));
    node->parts.push_back(std::move(next));
    skip_space();
  } while (take_word("or"));
  return NodePointer(std::move(node));
}

Result<MarkerReader::NodePointer> MarkerReader::read_and(std::size_t depth) {
  MLXGUARD_TRY_ASSIGN(NodePointer first, read_atom(depth));
  skip_space();
  if (!take_word("and")) return first;
  auto node = std::make_shared<Marker::Node>();
  node->kind = Marker::Node::Kind::kAnd;
  node->parts.push_back(std::move(first));
  do {
    MLXGUARD_TRY_ASSIGN(NodePointer next, read_atom(depth));
    node->parts.push_back(std::move(next));
    skip_space();
  } while (take_word("and"));
  return NodePointer(std::move(node));
}

Result<MarkerReader::NodePointer> MarkerReader::read_atom(std::size_t depth) {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '(') return read_comparison();
  ++at_;
  MLXGUARD_TRY_ASSIGN(NodePointer inner, read_or(depth + 1));
  skip_space();
  if (at_ >= text_.size() || text_[at_] != ')') return expected("a closing parenthesis");
  ++at_;
  skip_space();
  return inner;
}

Result<MarkerReader::NodePointer> MarkerReader::read_comparison() {
  auto node = std::make_shared<Marker::Node>();
  MLXGUARD_TRY_ASSIGN(node->left, read_operand());
  MLXGUARD_TRY_ASSIGN(node->op, read_operator());
  MLXGUARD_TRY_ASSIGN(node->right, read_operand());
  skip_space();
  normalize_names(*node);
  return NodePointer(std::move(node));
}

Result<Marker::Node::Operand> MarkerReader::read_operand() {
  skip_space();
  if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return expected("a closing quote");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    if (value.find_first_of("\\\n\r") != std::string::npos) {
      return expected("a text without backslashes");
    }
    at_ = end + 1;
    return Marker::Node::Operand{false, std::move(value)};
  }
  std::size_t end = at_;
  while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.')) ++end;
  std::string name = variable_of(text_.substr(at_, end - at_));
  if (name.empty()) return expected("a variable of PEP 508 or a quoted text");
  at_ = end;
  return Marker::Node::Operand{true, std::move(name)};
}

Result<std::string> MarkerReader::read_operator() {
  skip_space();
  if (take_word("in")) return std::string("in");
  if (take_word("not")) {
    const std::size_t before = at_;
    skip_space();
    if (at_ == before || !take_word("in")) return expected("`in` after `not`");
    return std::string("not in");
  }
  for (const std::string_view op : {"===", "==", "~=", "!=", "<=", ">=", "<", ">"}) {
    if (text_.substr(at_, op.size()) == op) {
      at_ += op.size();
      return std::string(op);
    }
  }
  return expected("an operator");
}

}  // namespace mlxguard::packaging
