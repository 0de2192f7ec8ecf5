// SPDX-License-Identifier: Apache-2.0
// ResourceLimits: how much of the machine a process may use, as one value. cgroup.h enforces the
// first three where there are cgroups, rlimits.h the rest and a rougher form of the first where
// there are none.
#pragma once

#include <cstdint>
#include <optional>

namespace mlxguard::sandbox {

struct ResourceLimits {
  std::optional<std::uint64_t> memory_bytes_max;
  std::optional<double> cpu_cores_max;           ///< 0.5 = half of one core's time
  std::optional<std::uint64_t> pids_max;         ///< processes and threads
  std::optional<std::uint64_t> cpu_seconds_max;  ///< over the process's whole life
  std::optional<std::uint64_t> file_bytes_max;   ///< any one file or memfd it grows
  std::uint64_t open_files_max = 64;
};

}  // namespace mlxguard::sandbox
