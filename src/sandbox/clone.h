// SPDX-License-Identifier: Apache-2.0
// The clone system call with a pidfd, and the pipes that parent and child talk over. Internal to
// sandbox/.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::sandbox {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

enum class PipeMode : std::uint8_t { kBlocking, kNonBlocking };

/// Both ends are closed by exec.
[[nodiscard]] Result<Pipe> make_pipe(PipeMode mode = PipeMode::kBlocking);

struct Cloned {
  pid_t pid = -1;  ///< 0 in the child
  UniqueFd pidfd;  ///< the parent's
};

/// Like fork, with namespaces and a pidfd. All signals are blocked in the child, so that no handler
/// of the parent's runs in it; they are as before in the parent. The child may only make system
/// calls.
/// Errors keep the kernel's: kPermission where it does not permit the namespaces.
[[nodiscard]] Result<Cloned> clone_process(unsigned long namespace_flags);

}  // namespace mlxguard::sandbox
