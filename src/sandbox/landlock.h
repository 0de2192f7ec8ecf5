// SPDX-License-Identifier: Apache-2.0
// Landlock: the kernel refuses this process every file, TCP socket, abstract unix socket and signal
// outside of itself. Needs no privilege, so it is the floor on every machine.
// Limits: binds the calling thread and threads it starts later, never those already running; says
// nothing about descriptors already open, stat(2) or UDP (seccomp refuses those).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::sandbox {

/// The kernel's Landlock version, 0 where there is none.
[[nodiscard]] int landlock_abi();

/// Handles every right that the kernel's version knows (up to 7) and allows none. Needs
/// no_new_privs.
/// Errors: kUnsupportedPlatform without Landlock, kSandbox.
Result<void> landlock_deny_everything(IsolationReport& report);

/// What a process that lives on files and network keeps. A path stands for the file, or the folder
/// with all below it, that it leads to at this moment; one that is not there is left out. Nothing
/// can be executed, and no TCP port listened on.
struct LandlockExceptions {
  std::vector<std::string> readable{};
  std::vector<std::string> writable{};         ///< folders: also to read, make, rename and remove
  std::vector<std::uint16_t> connect_ports{};  ///< TCP, of any host; before ABI 4 every port
};

/// The same with these exceptions. Errors: also kUnsupportedPlatform before ABI 2, where no file
/// could be renamed from one folder into another.
Result<void> landlock_deny_all_but(const LandlockExceptions& exceptions, IsolationReport& report);

}  // namespace mlxguard::sandbox
