// SPDX-License-Identifier: Apache-2.0
// Bounds that only the readers of model files need: a part of base/limits.h, apart so that a change
// here does not rebuild everything.
#pragma once

#include "base/limits.h"

namespace mlxguard::limits {

inline constexpr std::size_t kNpyHeaderBytesMax = 1u << 20;
inline constexpr std::size_t kNpyRecordDepthMax = 8;
inline constexpr std::uint64_t kGgufKeysMax = 100'000;
inline constexpr std::uint32_t kGgufRankMax = 4;
inline constexpr int kGgufArrayDepthMax = 4;
inline constexpr std::uint64_t kMlxfnItemsMax = 1u << 20;  // of any list of an exported function
inline constexpr std::uint64_t kMlxfnRankMax = 64;
inline constexpr std::size_t kMlxfnNameBytesMax = 256;
inline constexpr std::size_t kMlxfnMetadataBytesMax = 8u << 20;
inline constexpr int kMlxfnFunctionsMax = 1024;

// Archives inside of models
inline constexpr std::size_t kZipEntriesMax = 100'000;
inline constexpr std::uint64_t kZipEntryBytesMax = 256ull << 20;    // unpacked, of one entry
inline constexpr std::uint64_t kZipArchiveBytesMax = 512ull << 20;  // unpacked, of all together
inline constexpr std::uint64_t kNpzArrayBytesMax = 1ull << 40;      // unpacked: counted, not kept

}  // namespace mlxguard::limits
