// SPDX-License-Identifier: Apache-2.0
// Questions to the log. The index chooses rows of what it has; what is newer, or all of the log if
// there is no usable index, is read from the log itself. Needs no key, takes no lock and changes
// nothing, so it works beside a running supervisor and from a copy that nobody may write.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "log/index.h"
#include "log/reader.h"

namespace mlxguard::log {

struct LogRecord {
  std::uint64_t index = 0;
  WallTime time{};
  int severity = 0;
  std::string kind;
  std::string model;
  std::string outcome;
  std::string code;
  std::string message;
  std::vector<std::pair<record::AttrId, record::AttrValue>> attributes;  ///< those of the index
  std::string route;
  std::string json;  ///< the line as it stands in the log
};

struct Answer {
  std::vector<LogRecord> records;
  bool more = false;  ///< the limit left some out
};

class LogReader {
 public:
  /// Errors: kLogNotFound, kLogCheckpoint.
  [[nodiscard]] static Result<LogReader> open(const std::filesystem::path& dir);

  /// Events by the filter, in its order. Everything that was acknowledged before the call is seen.
  [[nodiscard]] Result<Answer> query(const Filter& filter);
  /// The last `count`, oldest first.
  [[nodiscard]] Result<Answer> last(std::size_t count);

 private:
  explicit LogReader(std::filesystem::path dir, Cursor cursor)
      : dir_(std::move(dir)), store_(dir_.string()), cursor_(std::move(cursor)) {}
  void open_index();
  [[nodiscard]] Result<void> answer(const Filter& filter, Answer& answer);
  [[nodiscard]] Result<void> read_newer(const Filter& filter, std::uint64_t from, std::size_t limit,
                                        std::vector<LogRecord>& records);
  [[nodiscard]] Result<void> read_indexed(Filter filter, std::size_t limit,
                                          std::vector<LogRecord>& records);

  std::filesystem::path dir_;
  TileStore store_;
  Cursor cursor_;               ///< knows the log's identity and its checkpoint
  std::optional<Index> index_;  ///< absent: the log itself is read
};

}  // namespace mlxguard::log
