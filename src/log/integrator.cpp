// SPDX-License-Identifier: Apache-2.0
#include "log/integrator.h"

#include <stdio.h>
#include <unistd.h>

#include <set>

#include "base/limits.h"
#include "base/os_error.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

constexpr std::uint64_t kLostEventsMax = 1'000'000;
constexpr const char* kHeadHint =
    "run `mlxguard log verify`; to keep logging, move the log's folder and log.head aside";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Error rollback(std::string message) {
  return make_error(ErrorCode::kLogRollback, std::move(message)).hinting(kHeadHint);
}

}  // namespace

Result<Integrator> Integrator::open(Options options) {
  Integrator integrator(std::move(options));
  MLXGUARD_TRY(integrator.load_identity());
  MLXGUARD_TRY(integrator.load());
  MLXGUARD_TRY(integrator.check_head());
  MLXGUARD_TRY(integrator.tree_->remove_stale_partials());
  // An old head is a checkpoint that this process's predecessor could not copy any more.
  const std::string& head_path = integrator.options_.head_path;
  const auto head = read_file(head_path, limits::kCheckpointBytesMax);
  if (!head.has_value() || *head != integrator.checkpoint_text_) {
    MLXGUARD_TRY(replace_file(head_path, integrator.checkpoint_text_));
  }
  MLXGUARD_TRY(integrator.update_index(integrator.checkpoint_.size, {}));
  return integrator;
}

Result<void> Integrator::load_identity() {
  const crypto::Ed25519PublicKey key = options_.key->public_key();
  const auto vkey = read_file(path(layout::kVerifierKey), limits::kCheckpointBytesMax);
  if (vkey.has_value()) {
    MLXGUARD_TRY_ASSIGN(verifier_, VerifierKey::parse(*vkey));
    if (verifier_.key != key) {
      return make_error(ErrorCode::kLogKey, "the log was signed with another key than this one")
          .about(path(layout::kVerifierKey))
          .hinting("put the log's key back, or move the log's folder and log.head aside");
    }
  } else if (vkey.error().code != ErrorCode::kNotFound) {
    return vkey.error();
  }
  if (exists(path(layout::kCheckpoint))) {
    if (vkey.has_value()) return {};
    // The key file says whose log this is; only the origin is taken from the checkpoint, and its
    // signature, which covers the origin, is checked next.
    MLXGUARD_TRY_ASSIGN(const std::string note,
                        read_file(path(layout::kCheckpoint), limits::kCheckpointBytesMax));
    verifier_ = {note.substr(0, note.find('\n')), key};
    MLXGUARD_TRY_ASSIGN([[maybe_unused]] const Checkpoint signed_by_key,
                        open_checkpoint(note, verifier_));
    return replace_file(path(layout::kVerifierKey), verifier_.text() + "\n");
  }
  if (exists(options_.head_path) || exists(path("tile"))) {
    return rollback("the log has no checkpoint, but there was one").about(layout::kCheckpoint);
  }
  return start_log();
}

Result<void> Integrator::start_log() {
  if (!is_origin(options_.origin)) {
    return make_error(ErrorCode::kConfig, "expected a log origin without spaces and '+'");
  }
  verifier_ = {options_.origin, options_.key->public_key()};
  MLXGUARD_TRY(replace_file(path(layout::kVerifierKey), verifier_.text() + "\n"));
  const std::string note = sign_checkpoint({options_.origin, 0, empty_root()}, *options_.key);
  MLXGUARD_TRY(replace_file(path(layout::kCheckpoint), note));
  return replace_file(options_.head_path, note);
}

Result<void> Integrator::load() {
  tree_.reset();
  MLXGUARD_TRY_ASSIGN(checkpoint_text_,
                      read_file(path(layout::kCheckpoint), limits::kCheckpointBytesMax));
  MLXGUARD_TRY_ASSIGN(checkpoint_, open_checkpoint(checkpoint_text_, verifier_));
  MLXGUARD_TRY_ASSIGN(TreeWriter tree,
                      TreeWriter::load(store_, checkpoint_.size, checkpoint_.root));
  tree_.emplace(std::move(tree));
  return {};
}

Result<void> Integrator::check_head() const {
  const auto text = read_file(options_.head_path, limits::kCheckpointBytesMax);
  if (!text.has_value()) {
    if (text.error().code != ErrorCode::kNotFound) return text.error();
    if (checkpoint_.size == 0) return {};  // a new log whose maker died before the copy was made
    return rollback("the copy of the log's last checkpoint is missing").about(options_.head_path);
  }
  if (*text == checkpoint_text_)
    return {};  // the very checkpoint whose signature and root are checked
  auto head = open_checkpoint(*text, verifier_);
  if (!head.has_value()) return std::move(head).error().about(options_.head_path);
  if (head->size > checkpoint_.size) {
    return rollback("the log is older than the head that was seen last")
        .about(layout::kCheckpoint)
        .compared(std::to_string(head->size), std::to_string(checkpoint_.size));
  }
  MLXGUARD_TRY_ASSIGN(const Hash root, root_at(head->size, store_.reader()));
  if (root != head->root) {
    return rollback("the log is not an extension of the head that was seen last")
        .about(layout::kCheckpoint);
  }
  return {};
}

Result<void> Integrator::reload_if_moved() {
  MLXGUARD_TRY_ASSIGN(const std::string text,
                      read_file(path(layout::kCheckpoint), limits::kCheckpointBytesMax));
  if (tree_.has_value() && text == checkpoint_text_) return {};
  tail_.reset();
  cursor_ = {};
  // Another process only ever extends the tree that this one has seen.
  MLXGUARD_TRY_ASSIGN(const Checkpoint moved, open_checkpoint(text, verifier_));
  if (moved.size < checkpoint_.size) {
    return rollback("the log became older while it was in use").about(layout::kCheckpoint);
  }
  MLXGUARD_TRY_ASSIGN(const Hash root, root_at(checkpoint_.size, store_.reader()));
  if (root != checkpoint_.root) {
    return rollback("the log was replaced while it was in use").about(layout::kCheckpoint);
  }
  MLXGUARD_TRY(load());
  return check_head();
}

Result<Integrator::Progress> Integrator::run(FileLock& append_lock, RecentEvents& recent) {
  MLXGUARD_TRY(reload_if_moved());
  MLXGUARD_TRY_ASSIGN(const bool taken, take_recent(recent));
  if (taken) return Progress::kMore;
  if (!tail_.has_value()) MLXGUARD_TRY(read_tail(append_lock));
  const std::span<const JournalRecord> rest = std::span(tail_->records).subspan(tail_done_);
  const std::size_t count = std::min(limits::kLogIntegrationEventsMax, rest.size());
  if (count > 0) MLXGUARD_TRY(integrate(rest.first(count)));
  tail_done_ += count;
  if (tail_done_ < tail_->records.size()) return Progress::kMore;
  const bool at_end = tail_->at_end;
  cursor_ = tail_->cursor;
  tail_.reset();
  // Earlier calls may have left the index behind, for want of space.
  MLXGUARD_TRY(update_index(checkpoint_.size, {}));
  MLXGUARD_TRY(trim_journal(options_.dir, checkpoint_.size));
  return at_end ? Progress::kAllDone : Progress::kMore;
}

/// True if there was something to take.
Result<bool> Integrator::take_recent(RecentEvents& recent) {
  if (tail_.has_value()) return false;  // the journal's events come first
  const std::vector<RecentGroup> groups =
      recent.take(checkpoint_.size, limits::kLogIntegrationEventsMax);
  if (groups.empty()) return false;
  std::vector<JournalRecord> records;
  for (const RecentGroup& group : groups) {
    for (const EventLine& line : group.lines) records.push_back({as_bytes(line.text), line.leaf});
  }
  MLXGUARD_TRY(integrate(records));
  cursor_ = groups.back().cursor;
  MLXGUARD_TRY(trim_journal(options_.dir, checkpoint_.size));
  return true;
}

Result<void> Integrator::read_tail(FileLock& append_lock) {
  JournalExtent extent;
  {
    MLXGUARD_TRY_ASSIGN(const LockGuard lock,
                        LockGuard::take(append_lock, FileLock::Mode::kShared));
    MLXGUARD_TRY_ASSIGN(extent, journal_extent(options_.dir));
  }
  MLXGUARD_TRY_ASSIGN(JournalTail tail, read(extent));
  if (!tail.damage.empty() || !tail.gaps.empty()) {
    return make_error(ErrorCode::kLogJournal, "the journal is damaged")
        .hinting("run `mlxguard log verify`; a restart recovers what is intact");
  }
  tail_ = std::move(tail);
  tail_done_ = 0;
  return {};
}

Result<Recovery> Integrator::recover(const std::string& lost_line) {
  MLXGUARD_TRY(reload_if_moved());
  MLXGUARD_TRY_ASSIGN(const JournalExtent extent, journal_extent(options_.dir));
  Recovery recovery;
  std::vector<JournalDamage> damage;
  while (true) {
    MLXGUARD_TRY_ASSIGN(const JournalTail tail, read(extent));
    recovery.pending_events += tail.records.size();
    recovery.torn_bytes += tail.torn_bytes;
    damage.insert(damage.end(), tail.damage.begin(), tail.damage.end());
    std::vector<JournalRecord> records = tail.records;
    // From the back, so that the positions of the gaps before stay right.
    for (auto gap = tail.gaps.rbegin(); gap != tail.gaps.rend(); ++gap) {
      recovery.lost_events += gap->events;
      if (recovery.lost_events > kLostEventsMax) {
        return make_error(ErrorCode::kLogJournal, "the journal skips more events than can be lost")
            .hinting("run `mlxguard log verify`; move the journal's files aside to go on");
      }
      const JournalRecord lost{as_bytes(lost_line), leaf_hash(as_bytes(lost_line))};
      records.insert(records.begin() + static_cast<std::ptrdiff_t>(gap->position), gap->events,
                     lost);
    }
    for (std::span<const JournalRecord> rest = records; !rest.empty();) {
      const std::size_t count = std::min(limits::kLogIntegrationEventsMax, rest.size());
      MLXGUARD_TRY(integrate(rest.first(count)));
      rest = rest.subspan(count);
    }
    cursor_ = tail.cursor;
    if (tail.at_end) break;
  }
  if (!damage.empty()) {
    std::set<std::uint64_t> files;
    for (const JournalDamage& found : damage) files.insert(found.segment);
    recovery.damaged_files = files.size();
    MLXGUARD_TRY(set_aside(damage));
  }
  MLXGUARD_TRY(trim_journal(options_.dir, checkpoint_.size));
  return recovery;
}

Result<JournalTail> Integrator::read(const JournalExtent& extent) const {
  return read_journal(options_.dir, extent, checkpoint_.size, &journal_key_, cursor_);
}

Result<void> Integrator::integrate(std::span<const JournalRecord> records) {
  TreeWriter tree = *std::move(tree_);
  tree_.reset();  // an error on the way leaves it so: the next call loads what is durable
  const std::uint64_t first = checkpoint_.size;
  std::vector<IndexRow> rows;
  rows.reserve(records.size());
  for (const JournalRecord& record : records) {
    const std::uint64_t index = tree.size();
    MLXGUARD_TRY_ASSIGN(const std::uint64_t offset, tree.add(record.entry, record.leaf));
    rows.push_back(row_of(index, record.entry, offset));
  }
  MLXGUARD_TRY(tree.commit());
  MLXGUARD_TRY(sign_and_publish(tree));
  MLXGUARD_TRY(update_index(first, rows));
  MLXGUARD_TRY(tree.remove_stale_partials());
  tree_.emplace(std::move(tree));
  return {};
}

Result<void> Integrator::sign_and_publish(const TreeWriter& tree) {
  const Checkpoint next{verifier_.name, tree.size(), tree.root()};
  const std::string text = sign_checkpoint(next, *options_.key);
  // Both texts are on the disk before either has its name; then the head follows the checkpoint: a
  // log is never older than its head.
  FileBatch batch;
  MLXGUARD_TRY(batch.add(path(layout::kCheckpoint), as_bytes(text)));
  MLXGUARD_TRY(batch.add(options_.head_path, as_bytes(text)));
  MLXGUARD_TRY(batch.commit(FileBatch::Names::kOneAfterAnother));
  checkpoint_ = next;
  checkpoint_text_ = text;
  return {};
}

Result<void> Integrator::update_index(std::uint64_t first, std::span<const IndexRow> rows) {
  if (!index_.has_value() || !index_->is_current()) {
    MLXGUARD_TRY_ASSIGN(Index index,
                        Index::open(path(layout::kIndex), verifier_.text(), Index::Access::kWrite));
    index_.emplace(std::move(index));
  }
  MLXGUARD_TRY_ASSIGN(const std::uint64_t size, index_->size());
  if (size > checkpoint_.size) {
    return make_error(ErrorCode::kLogTruncated, "the index knows entries that the log has not")
        .compared(std::to_string(size), std::to_string(checkpoint_.size))
        .hinting("run `mlxguard log verify`");
  }
  Result<void> done = size == first && !rows.empty()
                          ? index_->add(rows)
                          : catch_up_index(*index_, store_, checkpoint_.size);
  if (!done.has_value()) index_.reset();
  return done;
}

Result<void> Integrator::set_aside(const std::vector<JournalDamage>& damage) {
  std::set<std::uint64_t> damaged;
  for (const JournalDamage& found : damage) damaged.insert(found.segment);
  MLXGUARD_TRY_ASSIGN(const std::vector<std::uint64_t> segments, list_segments(options_.dir));
  // All that is intact is in the tree now, so no file is needed any more; the damaged ones are kept
  // for whoever wants to know what happened.
  for (const std::uint64_t segment : segments) {
    const std::string from = options_.dir + "/" + layout::journal_segment(segment);
    if (!damaged.contains(segment)) {
      if (::unlink(from.c_str()) != 0) return os_error("unlink", from);
      continue;
    }
    std::string to;
    int attempt = 0;
    do {
      to = path(layout::kJournalFolder) + "/" + layout::kDamagedPrefix + std::to_string(segment) +
           "-" + std::to_string(attempt++);
    } while (exists(to));
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error("rename", from);
  }
  cursor_ = {};
  return sync_folder(path(layout::kJournalFolder));
}

}  // namespace mlxguard::log
