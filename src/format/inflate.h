// SPDX-License-Identifier: Apache-2.0
// Unpacks deflate within bounds; the only user of zlib. Input: bytes chosen by an attacker.
#pragma once

#include <cstdint>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::format {

enum class Wrapper : int { kRaw = -15, kZlib = 15, kGzip = 15 + 16 };

struct InflateBounds {
  std::uint64_t total_bytes_max = 0;  ///< more is an error
  std::uint64_t kept_bytes_max = 0;   ///< what comes behind is counted, not kept
};

struct Inflated {
  std::vector<std::uint8_t> kept{};
  std::uint64_t total_bytes = 0;
  std::uint64_t packed_bytes = 0;  ///< how much of the input the stream took
  std::uint32_t crc32 = 0;         ///< of all of it
};

/// One stream from the beginning of `packed`. Errors: kTooLarge; kArchive: malformed or cut off.
[[nodiscard]] Result<Inflated> inflate(Bytes packed, Wrapper wrapper, InflateBounds bounds);

/// zlib's checksum of a ZIP entry that is stored as it is.
[[nodiscard]] std::uint32_t crc32_of(Bytes bytes);

}  // namespace mlxguard::format
