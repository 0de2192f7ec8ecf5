// SPDX-License-Identifier: Apache-2.0
// The symbolic unpickler: reads one pickle opcode by opcode with a stack and a memo of texts, and
// says what it would import. Nothing is executed, imported or built. Input: bytes chosen by an
// attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "inspect/pickle_scan.h"

namespace mlxguard::inspect {

struct PickleImport {
  std::uint64_t offset = 0;  ///< of the opcode that imports
  ImportDanger danger = ImportDanger::kUnknown;
};

/// What one pickle does, from its first opcode to STOP or to where it could not go on.
struct PickleRun {
  std::string why{};          ///< empty: it reached STOP
  std::size_t end = 0;        ///< behind the last opcode that was read
  std::size_t failed_at = 0;  ///< the opcode that could not be read, where there is one
  int protocol = 0;
  bool has_value = false;  ///< something was left on the stack to be returned
  bool too_large = false;  ///< more than is read; what follows is not known
  bool called = false;  ///< something was called after a name not known to be harmless was imported
  std::map<std::string, PickleImport> imports{};  ///< by dotted name
};

[[nodiscard]] PickleRun run_pickle(std::string_view untrusted_bytes);

/// Letters, digits, dots and underscores: what a module that can be imported is named by. Prose
/// that reads like opcodes seldom is.
[[nodiscard]] bool is_plain_name(std::string_view name);

}  // namespace mlxguard::inspect
