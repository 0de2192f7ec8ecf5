// SPDX-License-Identifier: Apache-2.0
// The child's side of spawn, between clone and exec. The parent may have threads, so a copy of any
// of their locks may be held for ever here: no allocation, no C++ library, only system calls on
// memory that the parent prepared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sandbox/rlimits.h"

namespace mlxguard::sandbox {

/// Everything that the child needs, prepared before clone; it outlives the call in the child's
/// copy.
struct ChildOrders {
  int go_read;       ///< one byte comes when the parent has written id maps and joined the cgroup
  int go_write;      ///< the parent's end, to close here
  int status_write;  ///< a ChildFailure goes here; closed by a successful exec
  int input;   ///< becomes 0
  int output;  ///< becomes 1 and 2
  std::span<const int> descriptors;
  std::span<int> moved;  ///< scratch space, as long as descriptors
  std::span<const Rlimit> rlimits;
  int binary_fd;
  char* const* arguments;
  char* const* environment;
};

enum class ChildStep : std::int32_t {
  kParentGone,
  kSignals,
  kSession,
  kDescriptors,
  kRlimits,
  kExec,
};

struct ChildFailure {
  ChildStep step;
  std::int32_t error_number;
};

/// Carries out the orders; never returns.
[[noreturn]] void run_child(const ChildOrders& orders) noexcept;

}  // namespace mlxguard::sandbox
