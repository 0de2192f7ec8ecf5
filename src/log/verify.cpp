// SPDX-License-Identifier: Apache-2.0
#include "log/verify.h"

#include "base/limits.h"
#include "codec/text.h"
#include "log/files.h"
#include "log/index.h"
#include "log/journal.h"
#include "log/layout.h"
#include "log/verify_tree.h"

namespace mlxguard::log {
namespace {

/// What belongs together in a log that is being written: taken while its integrator stands still.
struct Snapshot {
  std::optional<std::string> checkpoint;
  std::optional<std::string> head;
  std::optional<std::string> vkey;
  JournalExtent journal;
  std::optional<std::uint64_t> index_size;
};

class LogVerifier {
 public:
  LogVerifier(std::string dir, const VerifyOptions& options)
      : dir_(std::move(dir)),
        options_(options),
        store_(dir_),
        findings_(report_, options.findings_max) {}

  Result<VerifyReport> run() {
    MLXGUARD_TRY(take_lock(layout::kIntegrateLock));
    MLXGUARD_TRY(take_snapshot());
    if (!choose_key() || !open_heads()) return finish();
    MLXGUARD_TRY(check_journal(checkpoint_->size));
    locks_.clear();
    TreeVerifier tree(store_, checkpoint_->size, checkpoint_->root, findings_);
    MLXGUARD_TRY(tree.run());
    const bool tree_is_whole = report_.ok();
    MLXGUARD_TRY(check_against_heads(tree_is_whole));
    MLXGUARD_TRY(check_index(tree_is_whole));
    return finish();
  }

 private:
  [[nodiscard]] std::string path(const char* name) const { return dir_ + "/" + name; }

  Result<VerifyReport> finish() {
    if (checkpoint_.has_value()) {
      report_.origin = checkpoint_->origin;
      report_.size = checkpoint_->size;
      report_.root = codec::to_base64(Bytes(checkpoint_->root));
    }
    return std::move(report_);
  }

  /// A writer holds these for moments only. A copy of a log has no locks, and no writer either.
  Result<void> take_lock(const char* name) {
    auto lock = FileLock::open_existing(path(name));
    if (!lock.has_value()) {
      if (lock.error().code == ErrorCode::kNotFound) return {};
      return std::move(lock).error();
    }
    MLXGUARD_TRY_ASSIGN([[maybe_unused]] const bool held, lock->acquire(FileLock::Mode::kShared));
    locks_.push_back(*std::move(lock));
    return {};
  }

  static Result<std::optional<std::string>> read_if_there(const std::string& file) {
    auto text = read_file(file, limits::kCheckpointBytesMax);
    if (text.has_value()) return std::optional<std::string>(*std::move(text));
    if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
    if (text.error().code == ErrorCode::kTooLarge) return std::optional<std::string>("");
    return std::move(text).error();
  }

  [[nodiscard]] std::string head_path() const {
    if (!options_.head_path.empty()) return options_.head_path.string();
    std::string dir = dir_;
    while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
    return (std::filesystem::path(dir).parent_path() / layout::kHead).string();
  }

  Result<void> take_snapshot() {
    MLXGUARD_TRY_ASSIGN(snapshot_.checkpoint, read_if_there(path(layout::kCheckpoint)));
    MLXGUARD_TRY_ASSIGN(snapshot_.head, read_if_there(head_path()));
    MLXGUARD_TRY_ASSIGN(snapshot_.vkey, read_if_there(path(layout::kVerifierKey)));
    if (!snapshot_.checkpoint.has_value() && !snapshot_.vkey.has_value() &&
        !snapshot_.head.has_value()) {
      return make_error(ErrorCode::kLogNotFound, "there is no event log here").about(dir_);
    }
    const std::size_t held = locks_.size();
    MLXGUARD_TRY(take_lock(layout::kAppendLock));
    MLXGUARD_TRY_ASSIGN(snapshot_.journal, journal_extent(dir_));
    if (locks_.size() > held) locks_.pop_back();  // closing the file lets the lock go
    return {};
  }

  /// Whose signature counts. False if nobody's can.
  bool choose_key() {
    std::optional<VerifierKey> named;
    if (snapshot_.vkey.has_value()) {
      auto parsed = VerifierKey::parse(*snapshot_.vkey);
      if (parsed.has_value()) named = *std::move(parsed);
    }
    if (!named.has_value()) {
      findings_.file(ErrorCode::kLogCheckpoint, layout::kVerifierKey,
                     "the log's public key is missing or malformed");
    }
    if (!options_.public_key.has_value()) {
      if (!named.has_value()) return false;
      key_ = *named;
      return true;
    }
    if (named.has_value() && named->key != *options_.public_key) {
      findings_.file(ErrorCode::kLogCheckpoint, layout::kVerifierKey,
                     "the log names another public key than the one it should have");
      named.reset();
    }
    key_.key = *options_.public_key;
    // The origin is covered by the signature, so the text that claims it may be asked for it.
    const std::optional<std::string>& text =
        snapshot_.checkpoint.has_value() ? snapshot_.checkpoint : snapshot_.head;
    key_.name = named.has_value()  ? named->name
                : text.has_value() ? text->substr(0, text->find('\n'))
                                   : std::string();
    return true;
  }

  /// True if there is a checkpoint to compare the log with.
  bool open_heads() {
    if (snapshot_.head.has_value()) head_ = open_one(*snapshot_.head, layout::kHead);
    if (options_.previous_checkpoint.has_value()) {
      previous_ = open_one(*options_.previous_checkpoint, "previous checkpoint");
    }
    if (!snapshot_.checkpoint.has_value()) {
      findings_.file(ErrorCode::kLogCheckpoint, layout::kCheckpoint, "the checkpoint is missing");
    } else {
      checkpoint_ = open_one(*snapshot_.checkpoint, layout::kCheckpoint);
    }
    if (!snapshot_.head.has_value() && options_.head == VerifyOptions::Head::kRequired) {
      findings_.file(ErrorCode::kLogRollback, layout::kHead,
                     "the copy of the last checkpoint is missing: the log may have been cut back");
    }
    // With a broken checkpoint its copy still says what the log should hold.
    if (!checkpoint_.has_value()) checkpoint_ = head_;
    return checkpoint_.has_value();
  }

  std::optional<Checkpoint> open_one(const std::string& text, const char* subject) {
    auto checkpoint = open_checkpoint(text, key_);
    if (checkpoint.has_value()) return *std::move(checkpoint);
    findings_.file(ErrorCode::kLogCheckpoint, subject, checkpoint.error().message);
    return std::nullopt;
  }

  Result<void> check_journal(std::uint64_t size) {
    std::optional<JournalKey> key;
    if (options_.log_key != nullptr) key.emplace(options_.log_key->seed());
    JournalCursor cursor;
    for (std::uint64_t from = size;;) {
      auto tail =
          read_journal(dir_, snapshot_.journal, from, key.has_value() ? &*key : nullptr, cursor);
      if (!tail.has_value()) {
        if (tail.error().code != ErrorCode::kLogJournal) return std::move(tail).error();
        findings_.file(ErrorCode::kLogJournal, layout::kJournalFolder, tail.error().message);
        break;
      }
      for (const JournalDamage& damage : tail->damage) {
        findings_.file(ErrorCode::kLogJournal, layout::journal_segment(damage.segment),
                       "damaged at byte " + std::to_string(damage.offset));
      }
      for (const JournalTail::Gap& gap : tail->gaps) {
        // The journal goes on behind events that neither it nor the checkpoint has.
        findings_.file(ErrorCode::kLogTruncated, layout::kJournalFolder,
                       std::to_string(gap.events) + " events before entry " +
                           std::to_string(from + gap.position + gap.events) + " are missing");
      }
      report_.journal_events += tail->records.size();
      cursor = tail->cursor;
      from = cursor.next_index;
      if (tail->at_end) break;
    }
    MLXGUARD_TRY_ASSIGN(const std::vector<std::string> set_aside, list_damaged(dir_));
    for (const std::string& name : set_aside) {
      findings_.file(ErrorCode::kLogJournal, std::string(layout::kJournalFolder) + "/" + name,
                     "a recovery set this damaged file aside; events may be lost");
    }
    return note_index_size();
  }

  Result<void> note_index_size() {
    auto index = Index::open(path(layout::kIndex), key_.text(), Index::Access::kRead);
    if (!index.has_value()) return {};  // judged in check_index
    const auto size = index->size();
    if (size.has_value()) snapshot_.index_size = *size;
    return {};
  }

  Result<void> check_against_heads(bool tree_is_whole) {
    struct Seen {
      const std::optional<Checkpoint>& checkpoint;
      const char* name;
    };
    for (const Seen seen : {Seen{head_, layout::kHead}, Seen{previous_, "previous checkpoint"}}) {
      if (!seen.checkpoint.has_value()) continue;
      if (seen.checkpoint->size > checkpoint_->size) {
        findings_.file(ErrorCode::kLogRollback, layout::kCheckpoint,
                       std::string("the log has ") + std::to_string(checkpoint_->size) +
                           " entries, but had " + std::to_string(seen.checkpoint->size) + " by " +
                           seen.name);
        continue;
      }
      // In a damaged tree the root of an earlier size says nothing that is not said already.
      if (!tree_is_whole) continue;
      MLXGUARD_TRY_ASSIGN(const Hash root, root_at(seen.checkpoint->size, store_.reader()));
      if (root != seen.checkpoint->root) {
        findings_.file(ErrorCode::kLogRollback, layout::kCheckpoint,
                       std::string("the log is not an extension of ") + seen.name);
      }
    }
    return {};
  }

  Result<void> check_index(bool tree_is_whole) {
    if (snapshot_.index_size.has_value() && *snapshot_.index_size > checkpoint_->size) {
      findings_.file(ErrorCode::kLogTruncated, layout::kIndex,
                     "the index knows " + std::to_string(*snapshot_.index_size) +
                         " entries, the log has " + std::to_string(checkpoint_->size));
      return {};
    }
    const auto there = read_file(path(layout::kIndex), 0);
    if (!there.has_value() && there.error().code == ErrorCode::kNotFound) return {};
    auto index = Index::open(path(layout::kIndex), key_.text(), Index::Access::kRead);
    Result<void> compared;
    if (index.has_value()) {
      if (!tree_is_whole) return {};
      compared = compare_rows(*index);
    } else {
      compared = std::move(index).error();
    }
    if (!compared.has_value()) {
      if (compared.error().code != ErrorCode::kLogIndex) return compared;
      findings_.file(ErrorCode::kLogIndex, layout::kIndex, compared.error().message);
    }
    return {};
  }

  /// The index answers questions, so a row that hides or bends an entry must show.
  Result<void> compare_rows(Index& index) {
    std::uint64_t next = 0;
    std::uint64_t bundle_index = UINT64_MAX;
    BundleFile file;
    BundleView view;
    return index.each([&](const IndexRow& row) -> Result<void> {
      if (row.index >= checkpoint_->size) return {};  // logged since the snapshot was taken
      if (row.index != next) {
        return make_error(ErrorCode::kLogIndex,
                          "the index has no row for entry " + std::to_string(next));
      }
      ++next;
      const std::uint64_t wanted = row.index / layout::kTileWidth;
      if (wanted != bundle_index) {
        const auto width = static_cast<unsigned>(std::min<std::uint64_t>(
            layout::kTileWidth, checkpoint_->size - wanted * layout::kTileWidth));
        MLXGUARD_TRY_ASSIGN(file, store_.bundle(wanted, width));
        view = parse_bundle(as_bytes(file.bytes), width);
        bundle_index = wanted;
      }
      const std::size_t i = static_cast<std::size_t>(row.index % layout::kTileWidth);
      if (i >= view.entries.size() || row_of(row.index, view.entries[i], view.offsets[i]) != row) {
        return make_error(ErrorCode::kLogIndex, "the index does not say what entry " +
                                                    std::to_string(row.index) + " says");
      }
      return {};
    });
  }

  std::string dir_;
  const VerifyOptions& options_;
  VerifyReport report_;
  TileStore store_;
  FindingList findings_;
  std::vector<FileLock> locks_;
  Snapshot snapshot_;
  VerifierKey key_;
  std::optional<Checkpoint> checkpoint_;
  std::optional<Checkpoint> head_;
  std::optional<Checkpoint> previous_;
};

}  // namespace

Result<VerifyReport> verify_log(const std::filesystem::path& dir, const VerifyOptions& options) {
  return LogVerifier(dir.string(), options).run();
}

}  // namespace mlxguard::log
