// SPDX-License-Identifier: Apache-2.0
// An attack is a function run inside a locked process as if its code had been taken over (T10 in
// docs/threat-model.md). Its outcome is a value: 0 if it succeeded, else the errno it met; where
// the kernel ends the process instead, the verdict is the outcome. attack_runner compares it
// exactly.
#pragma once

#include <cerrno>
#include <span>
#include <string_view>

namespace mlxguard::attacks {

struct Context {
  int runner_pid;      ///< as the runner's pid namespace numbers it
  long system_call{};  ///< for the attack "call_by_number"
};

struct Attack {
  std::string_view name;
  int (*run)(const Context& context);
  void (*before_lock)() = nullptr;
};

/// One table for each file of attacks.
[[nodiscard]] std::span<const Attack> file_attacks();
[[nodiscard]] std::span<const Attack> standard_stream_attacks();
[[nodiscard]] std::span<const Attack> network_attacks();
[[nodiscard]] std::span<const Attack> process_attacks();
[[nodiscard]] std::span<const Attack> memory_attacks();
[[nodiscard]] std::span<const Attack> kernel_attacks();
[[nodiscard]] std::span<const Attack> limit_attacks();

inline int outcome_of(long result) { return result < 0 ? errno : 0; }

}  // namespace mlxguard::attacks
