// SPDX-License-Identifier: Apache-2.0
// Every name that the event log has on disk, in one place. The tile names are those of C2SP
// tlog-tiles, so that any tool that knows them can read the log as static files.
#pragma once

#include <cstdint>
#include <string>

namespace mlxguard::log::layout {

inline constexpr unsigned kTileWidth = 256;  ///< hashes in a full tile, entries in a full bundle
inline constexpr int kLevelsMax = 8;         ///< 256^8 leaves are more than a 64-bit size can count

// Inside the log's folder:
inline constexpr const char* kCheckpoint = "checkpoint";
inline constexpr const char* kVerifierKey = "log.vkey";
inline constexpr const char* kAppendLock = "lock";
inline constexpr const char* kIntegrateLock = "lock.integrate";
inline constexpr const char* kUsersLock = "lock.users";
inline constexpr const char* kQueueSuffix = ".queue";
inline constexpr const char* kIndex = "index.sqlite";
inline constexpr const char* kJournalFolder = "journal";
inline constexpr const char* kDamagedPrefix = "damaged-";
// Beside it, in the state folder:
inline constexpr const char* kHead = "log.head";
inline constexpr const char* kLogKey = "log.ed25519";
inline constexpr const char* kTemporarySuffix = ".tmp";

/// "x001/x234/067"
[[nodiscard]] std::string tile_number(std::uint64_t index);
/// "tile/<level>/<index>", or "tile/<level>/<index>.p/<width>" for width < 256.
[[nodiscard]] std::string tile(int level, std::uint64_t index, unsigned width);
/// "tile/entries/<index>" and ".p/<width>".
[[nodiscard]] std::string bundle(std::uint64_t index, unsigned width);
/// The folder that holds the partial forms of a tile: "tile/<level>/<index>.p".
[[nodiscard]] std::string tile_partials(int level, std::uint64_t index);
[[nodiscard]] std::string bundle_partials(std::uint64_t index);
/// "journal/<first index, 20 digits>"
[[nodiscard]] std::string journal_segment(std::uint64_t first_index);

}  // namespace mlxguard::log::layout
