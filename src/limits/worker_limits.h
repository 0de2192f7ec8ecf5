// SPDX-License-Identifier: Apache-2.0
// How much of the machine a worker or the gateway may use, when the operator does not say. Pure
// arithmetic on sizes that are known before the process starts; enforced by sandbox/.
// Limits: measured profiles (per model) replace these formulas where there is one.
#pragma once

#include <cstdint>

#include "sandbox/resource_limits.h"

namespace mlxguard::limits {

struct WorkerLimitsInput {
  std::uint64_t model_bytes = 0;       ///< all files of the model together
  std::uint64_t model_files = 0;       ///< each is a descriptor that the worker holds
  std::uint32_t threads = 1;           ///< of BLAS; also the processor quota in cores
  std::uint64_t memory_bytes_max = 0;  ///< the operator's; 0: from the model's size
};

/// Memory: three times the model and 512 MiB. The weights themselves lie in the supervisor's sealed
/// memory and are not charged here; one copy is for an engine that converts or copies them, one for
/// what evaluation holds beside it, one in reserve, and the floor is for libraries, threads and
/// small models. Processor time over the whole life is not limited: a server that works is not a
/// runaway.
[[nodiscard]] sandbox::ResourceLimits worker_limits(const WorkerLimitsInput& input);

/// The gateway: one thread, one descriptor a connection and some memory for its buffers.
[[nodiscard]] sandbox::ResourceLimits gateway_limits(std::uint64_t connections_max);

}  // namespace mlxguard::limits
