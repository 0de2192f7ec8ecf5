// SPDX-License-Identifier: Apache-2.0
// Questions to the log: rows are chosen by the index, records are read from the tiles. Needs no key
// and changes nothing, so it works beside a running supervisor.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "log/index.h"

namespace mlxguard::log {

struct LogRecord {
  std::uint64_t index = 0;
  WallTime time{};
  std::string kind;
  std::string model;
  std::string outcome;
  std::string code;
  std::string message;
  std::string json;  ///< the line as it stands in the log
};

class LogReader {
 public:
  /// Errors: kLogNotFound; kLogIndex if there is no usable index (opening the log for writing makes
  /// it).
  [[nodiscard]] static Result<LogReader> open(const std::filesystem::path& dir);

  /// Events that the index knows, by the filter, in its order.
  [[nodiscard]] Result<std::vector<LogRecord>> query(const Filter& filter);
  /// The last `count`, oldest first.
  [[nodiscard]] Result<std::vector<LogRecord>> last(std::size_t count);
  /// What came after `index` and passes the filter: call again and again to follow the log.
  [[nodiscard]] Result<std::vector<LogRecord>> after(std::uint64_t index, Filter filter = {});
  /// Number of events that can be asked for.
  [[nodiscard]] Result<std::uint64_t> size();

 private:
  LogReader(std::string dir, Index index) : store_(std::move(dir)), index_(std::move(index)) {}
  [[nodiscard]] Result<void> reopen_if_replaced();

  TileStore store_;
  Index index_;
  std::string identity_;
};

}  // namespace mlxguard::log
