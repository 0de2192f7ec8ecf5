// SPDX-License-Identifier: Apache-2.0
// One attack from spawn to outcome, and this process at an isolation level: what the runners share.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "sandbox/host.h"

namespace mlxguard::attacks {

/// ctest's word for "this machine cannot show it".
inline constexpr int kSkipped = 77;

/// Gives up what the level lacks ("no-cgroup": root; "container": namespaces too), and probes.
/// Nothing if the machine itself does not reach the level.
[[nodiscard]] Result<std::optional<sandbox::Host>> host_at_level(const std::string& level);

/// What came of the attack: "succeeded", an errno's name, or "verdict REASON".
[[nodiscard]] Result<std::string> run_attack(const sandbox::Host& host, int program,
                                             const std::string& attack, long system_call = 0);

}  // namespace mlxguard::attacks
