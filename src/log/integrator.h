// SPDX-License-Identifier: Apache-2.0
// Turns the journal into tiles, a signed checkpoint and the index (README.md, steps 6 to 15). All
// calls with DIR/lock.integrate held; one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/ed25519.h"
#include "log/checkpoint.h"
#include "log/files.h"
#include "log/index.h"
#include "log/journal.h"
#include "log/recent.h"
#include "log/tiles.h"

namespace mlxguard::log {

/// What was found when a log was opened after an unclean stop.
struct Recovery {
  std::uint64_t pending_events = 0;  ///< acknowledged, but not in the tree yet
  std::uint64_t torn_bytes = 0;      ///< of a frame that was never acknowledged
  std::uint64_t lost_events = 0;     ///< at least: acknowledged, and damaged on disk since
  std::uint64_t damaged_files = 0;   ///< set aside in DIR/journal/

  [[nodiscard]] bool found_damage() const { return lost_events > 0 || damaged_files > 0; }
  [[nodiscard]] bool any() const { return pending_events > 0 || torn_bytes > 0 || found_damage(); }
};

class Integrator {
 public:
  struct Options {
    std::string dir;
    std::string head_path;
    std::string origin;  ///< for a new log; an old one keeps its own
    const crypto::Ed25519Key* key = nullptr;
  };
  /// Makes a new log, or checks the one that is there against its checkpoint and its last head.
  /// Errors: kLogKey, kLogCheckpoint, kLogRoot, kLogRollback, kLogEntryChanged, ...
  [[nodiscard]] static Result<Integrator> open(Options options);

  enum class Progress : std::uint8_t { kMore, kAllDone };
  /// Takes some thousand events into the tree, so that no other process waits long for the lock:
  /// from `recent` if it has the next one, else from the journal. Errors: kLogJournal if the
  /// journal is damaged; after any error the next call tries again.
  [[nodiscard]] Result<Progress> run(FileLock& append_lock, RecentEvents& recent);
  /// The same after an unclean stop: takes what is intact, sets damaged files aside. `lost_line` is
  /// the record that stands in the place of each event that is lost, so that the others keep their
  /// numbers. Caller: holds DIR/lock exclusively too.
  [[nodiscard]] Result<Recovery> recover(const std::string& lost_line);

  [[nodiscard]] const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  explicit Integrator(Options options)
      : options_(std::move(options)), store_(options_.dir), journal_key_(options_.key->seed()) {}
  [[nodiscard]] std::string path(const char* name) const { return options_.dir + "/" + name; }
  [[nodiscard]] Result<void> load_identity();
  [[nodiscard]] Result<void> start_log();
  [[nodiscard]] Result<void> load();
  [[nodiscard]] Result<void> check_head() const;
  [[nodiscard]] Result<void> reload_if_moved();
  [[nodiscard]] Result<JournalTail> read(const JournalExtent& extent) const;
  [[nodiscard]] Result<bool> take_recent(RecentEvents& recent);
  [[nodiscard]] Result<void> read_tail(FileLock& append_lock);
  [[nodiscard]] Result<void> integrate(std::span<const JournalRecord> records);
  [[nodiscard]] Result<void> sign_and_publish(const TreeWriter& tree);
  [[nodiscard]] Result<void> update_index(std::uint64_t first, std::span<const IndexRow> rows);
  [[nodiscard]] Result<void> set_aside(const std::vector<JournalDamage>& damage);

  Options options_;
  TileStore store_;
  JournalKey journal_key_;
  VerifierKey verifier_;
  std::string checkpoint_text_;
  Checkpoint checkpoint_;
  std::optional<TreeWriter> tree_;  ///< absent after an error: load again
  std::optional<Index> index_;
  JournalCursor cursor_;             ///< behind what is in the tree
  std::optional<JournalTail> tail_;  ///< what was read and is on its way
  std::size_t tail_done_ = 0;
};

}  // namespace mlxguard::log
