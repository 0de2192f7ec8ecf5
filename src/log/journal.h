// SPDX-License-Identifier: Apache-2.0
// The journal: where a group of events becomes durable with one fdatasync, before the tree takes
// it. Input: files that an attacker may have changed; a frame counts only if its HMAC and every
// leaf hash in it hold. One process writes at a time (DIR/lock); see README.md, steps 3 to 5
// and 15.
#pragma once

#include <list>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/secret.h"
#include "log/merkle.h"

namespace mlxguard::log {

/// HMAC key of the journal, derived from the log's private key.
class JournalKey {
 public:
  explicit JournalKey(const crypto::Secret& log_seed);
  [[nodiscard]] Hash mac(Bytes message) const;

 private:
  crypto::Secret key_;
};

/// An event on its way into the log.
struct JournalRecord {
  Bytes entry;
  Hash leaf;
};

struct JournalFrame {
  std::uint64_t first_index = 0;
  std::vector<JournalRecord> records;  ///< views into the bytes that were parsed; none: a seal
  std::size_t bytes = 0;               ///< of the whole frame
};

/// How much of a frame is checked: a writer that only needs the next index leaves the entries
/// alone.
enum class FrameCheck : std::uint8_t { kMac, kMacAndEntries };

[[nodiscard]] std::string encode_frame(std::uint64_t first_index,
                                       std::span<const JournalRecord> records,
                                       const JournalKey& key);
/// The frame at the front of `untrusted`. Errors: kTruncated if it may be the incomplete end of a
/// file, kLogJournal if it is damaged. Without a key the HMAC is not checked (an outsider's view).
[[nodiscard]] Result<JournalFrame> parse_frame(Bytes untrusted, const JournalKey* key,
                                               FrameCheck check);

/// A stretch of a file that holds no intact frame.
struct JournalDamage {
  std::uint64_t segment = 0;  ///< first index in the file's name
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t first_index = 0;  ///< of the frame that stood there, if its header is intact
  std::uint64_t events = 0;       ///< in that frame; 0 if its header is damaged too
};

/// What a segment's bytes hold.
struct SegmentScan {
  std::vector<JournalFrame> frames;
  std::vector<JournalDamage> damage;
  std::uint64_t end = 0;  ///< behind the last intact frame
  std::uint64_t torn_bytes = 0;  ///< zeros behind the last frame are not counted
};
[[nodiscard]] SegmentScan scan_segment(Bytes untrusted, const JournalKey* key, FrameCheck check);

/// First indices of the files in the journal, ascending; empty if there is no journal.
[[nodiscard]] Result<std::vector<std::uint64_t>> list_segments(const std::string& dir);
/// Names of files that a recovery has set aside.
[[nodiscard]] Result<std::vector<std::string>> list_damaged(const std::string& dir);

/// The journal's files and how long they were at one moment.
struct JournalExtent {
  struct File {
    std::uint64_t segment;
    std::uint64_t bytes;      ///< zeros behind the last frame included
    std::int64_t changed_ns;  ///< a frame over zeros changes this alone
  };
  std::vector<File> files;
};
/// Caller: holds DIR/lock, shared at least, so that every file ends at the end of a frame.
[[nodiscard]] Result<JournalExtent> journal_extent(const std::string& dir);

/// A place between two frames, from which reading goes on.
struct JournalCursor {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  std::uint64_t next_index = 0;  ///< of the event behind this place
};

/// Events of the journal, from an index on.
struct JournalTail {
  std::list<std::string> segments;  ///< bytes that the records view
  std::vector<JournalRecord> records;
  JournalCursor cursor;  ///< behind the last record
  bool at_end = true;    ///< false if there is more, which was left for the next call
  std::vector<JournalDamage> damage;
  std::uint64_t torn_bytes = 0;
  /// Index numbers that no intact frame holds: so many before the record at `position`.
  struct Gap {
    std::size_t position;
    std::uint64_t events;
  };
  std::vector<Gap> gaps;
};
/// Reads events from index `from` on, some tens of megabytes at most. A cursor of an earlier call
/// saves reading what was read; one that does not fit is ignored.
[[nodiscard]] Result<JournalTail> read_journal(const std::string& dir, const JournalExtent& extent,
                                               std::uint64_t from, const JournalKey* key,
                                               const JournalCursor& cursor = {});

/// The writer. All calls with DIR/lock held exclusively; one thread at a time.
class JournalWriter {
 public:
  /// `next_index`: of the next event, as recovery found it.
  [[nodiscard]] static Result<JournalWriter> open(const std::string& dir, std::uint64_t next_index,
                                                  const crypto::Secret& log_seed);
  /// Takes note of what other processes appended; cuts off what one of them left incomplete.
  /// Errors: kLogJournal if the journal is damaged.
  [[nodiscard]] Result<void> refresh();
  /// One frame, durable on return. After an error nothing of it is in the journal.
  [[nodiscard]] Result<void> append(std::span<const JournalRecord> records);
  /// Closes the newest file for writing and starts another, if it holds `bytes_min` or more.
  [[nodiscard]] Result<void> rotate(std::uint64_t bytes_min);
  [[nodiscard]] std::uint64_t next_index() const { return next_index_; }
  /// Behind the last frame.
  [[nodiscard]] JournalCursor cursor() const { return {segment_, offset_, next_index_}; }

 private:
  JournalWriter(std::string dir, const crypto::Secret& log_seed)
      : dir_(std::move(dir)), key_(log_seed) {}
  [[nodiscard]] Result<void> open_segment(std::uint64_t first_index);
  [[nodiscard]] Result<void> open_newest();
  [[nodiscard]] Result<void> check_name() const;
  [[nodiscard]] Result<bool> has_more(std::uint64_t size) const;
  [[nodiscard]] Result<void> read_new_frames();
  [[nodiscard]] Result<void> write_frame(std::span<const JournalRecord> records);

  std::string dir_;
  JournalKey key_;
  UniqueFd fd_;
  std::uint64_t segment_ = 0;
  std::uint64_t offset_ = 0;     ///< behind the last frame
  std::uint64_t allocated_ = 0;  ///< the file's size as far as this writer knows
  std::uint64_t next_index_ = 0;
  bool sealed_ = false;
  bool broken_ = false;  ///< a failed append could not be taken back: no more appends from here
};

/// Removes the files whose events are all below `size`. Caller: holds DIR/lock.integrate.
[[nodiscard]] Result<void> trim_journal(const std::string& dir, std::uint64_t size);

}  // namespace mlxguard::log
