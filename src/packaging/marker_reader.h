// SPDX-License-Identifier: Apache-2.0
// The grammar of markers, read from a position in a text that may hold more (a requirement).
#pragma once

#include "packaging/marker.h"

namespace mlxguard::packaging {

struct Marker::Node {
  enum class Kind : std::uint8_t { kComparison, kAnd, kOr };
  struct Operand {
    bool variable = false;
    std::string text;  ///< variable's name or literal
  };
  Kind kind = Kind::kComparison;
  Operand left;
  std::string op;
  Operand right;
  std::vector<std::shared_ptr<const Node>> parts;  ///< of and, or
};

class MarkerReader {
 public:
  explicit MarkerReader(std::string_view text) : text_(text) {}
  /// The whole text is one marker.
  [[nodiscard]] Result<Marker> read();

 private:
  using NodePointer = std::shared_ptr<const Marker::Node>;
  [[nodiscard]] Result<NodePointer> read_or(std::size_t depth);
  [[nodiscard]] Result<NodePointer> read_and(std::size_t depth);
  [[nodiscard]] Result<NodePointer> read_atom(std::size_t depth);
  [[nodiscard]] Result<NodePointer> read_comparison();
  [[nodiscard]] Result<Marker::Node::Operand> read_operand();
  [[nodiscard]] Result<std::string> read_operator();
  [[nodiscard]] bool take_word(std::string_view word);
  void skip_space();
  [[nodiscard]] Error expected(std::string_view what) const;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace mlxguard::packaging
