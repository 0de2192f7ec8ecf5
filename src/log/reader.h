// SPDX-License-Identifier: Apache-2.0
// Reads a log from a place of the reader's own: tiles first, then the journal behind them. Needs no
// key, no index and no write permission, takes no lock and changes nothing, so it never waits for a
// writer and no writer waits for it. Input: files that an attacker may have changed; what proves
// them is `log verify`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "log/checkpoint.h"
#include "log/journal.h"
#include "log/tiles.h"

namespace mlxguard::log {

struct LogEntry {
  std::uint64_t index = 0;
  std::string line;
};

class Cursor {
 public:
  /// How far a cursor reads. The journal is some hundred milliseconds ahead of the checkpoint, and
  /// its last frame may not be durable yet; what the checkpoint covers is durable and signed.
  enum class Until : std::uint8_t { kCheckpoint, kJournal };

  /// Errors: kLogNotFound; kLogCheckpoint if the log's key or checkpoint makes no sense.
  [[nodiscard]] static Result<Cursor> open(const std::filesystem::path& dir,
                                           std::uint64_t position = 0,
                                           Until until = Until::kJournal);

  /// The entries from the position on, in order, some thousand at most; none if there is nothing
  /// new yet. Entries that are damaged in the journal are left out: the next index is higher then.
  [[nodiscard]] Result<std::vector<LogEntry>> next();
  /// Of the next entry.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// Number of entries that the newest checkpoint covers.
  [[nodiscard]] Result<std::uint64_t> checkpoint_size();
  /// The log's `vkey`, without a line end.
  [[nodiscard]] const std::string& identity() const { return identity_; }

 private:
  Cursor(std::string dir, std::uint64_t position, Until until)
      : store_(std::move(dir)), position_(position), until_(until) {}
  [[nodiscard]] Result<std::vector<LogEntry>> from_tiles(std::uint64_t size);
  [[nodiscard]] Result<std::vector<LogEntry>> from_journal();

  TileStore store_;
  std::uint64_t position_;
  Until until_;
  std::string identity_;
  VerifierKey key_;
  std::string checkpoint_text_;
  std::uint64_t checkpoint_size_ = 0;
  JournalCursor journal_;
};

}  // namespace mlxguard::log
