// SPDX-License-Identifier: Apache-2.0
// The lock of the mirror: put on when its socket is bound and its keys are read, before any thread
// is started and any byte of a client or of upstream is read. There is no way to leave it off.
// Limits: the state folder stays open as a whole, since log, cache and advisories are in it; the
// network stays open to the ports of upstream and of name servers, on any host (addresses.h decides
// which).
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::mirror {

struct MirrorSandboxOptions {
  std::filesystem::path state;
  std::string ca_bundle;
  std::uint16_t upstream_port = 443;
  std::string proxy;
  std::filesystem::path allow_list;
};

[[nodiscard]] Result<sandbox::IsolationReport> lock_this_mirror(
    const MirrorSandboxOptions& options);
[[nodiscard]] std::string to_json(const sandbox::IsolationReport& report);

}  // namespace mlxguard::mirror
