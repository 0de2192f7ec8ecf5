// SPDX-License-Identifier: Apache-2.0
// How much is read at a time by whoever reads a file to its end.
#pragma once

#include <cstddef>

namespace mlxguard {

/// Read, hashed and copied on before it leaves the core's own cache. No larger: where a copy is
/// long, some processors write it past the cache, and hashing then waits for memory (BLAKE3 takes
/// twice as long).
inline constexpr std::size_t kCopyStepBytes = 64u << 10;

}  // namespace mlxguard
