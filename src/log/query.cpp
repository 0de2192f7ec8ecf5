// SPDX-License-Identifier: Apache-2.0
#include "log/query.h"

#include <algorithm>

#include "base/limits.h"
#include "codec/json.h"
#include "log/files.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

Result<Index> open_index(const std::string& dir, const std::string& identity) {
  auto index = Index::open(dir + "/" + layout::kIndex, identity, Index::Access::kRead);
  if (index.has_value()) return index;
  return make_error(ErrorCode::kLogIndex,
                    "the log's index cannot be read: " + index.error().message)
      .about(layout::kIndex)
      .hinting("any command that writes to the log makes its index again");
}

}  // namespace

Result<LogReader> LogReader::open(const std::filesystem::path& dir) {
  const std::string folder = dir.string();
  const auto vkey = read_file(folder + "/" + layout::kVerifierKey, limits::kCheckpointBytesMax);
  if (!vkey.has_value()) {
    if (vkey.error().code != ErrorCode::kNotFound) return vkey.error();
    return make_error(ErrorCode::kLogNotFound, "there is no event log here").about(folder);
  }
  std::string identity = *vkey;
  while (identity.ends_with('\n')) identity.pop_back();
  MLXGUARD_TRY_ASSIGN(Index index, open_index(folder, identity));
  LogReader reader(folder, std::move(index));
  reader.identity_ = std::move(identity);
  return reader;
}

Result<void> LogReader::reopen_if_replaced() {
  if (index_.is_current()) return {};
  MLXGUARD_TRY_ASSIGN(index_, open_index(store_.dir(), identity_));
  return {};
}

Result<std::uint64_t> LogReader::size() {
  MLXGUARD_TRY(reopen_if_replaced());
  return index_.size();
}

Result<std::vector<LogRecord>> LogReader::query(const Filter& filter) {
  MLXGUARD_TRY(reopen_if_replaced());
  // A log may have grown since, but an entry keeps its place: its bundle only gets longer.
  MLXGUARD_TRY_ASSIGN(const std::uint64_t log_size, index_.size());
  MLXGUARD_TRY_ASSIGN(std::vector<IndexRow> rows, index_.select(filter));
  std::vector<LogRecord> records;
  records.reserve(rows.size());
  for (IndexRow& row : rows) {
    LogRecord record;
    record.index = row.index;
    record.time = WallTime(std::chrono::milliseconds(row.time_ms));
    record.kind = std::move(row.kind);
    record.model = std::move(row.model);
    record.outcome = std::move(row.outcome);
    record.code = std::move(row.code);
    MLXGUARD_TRY_ASSIGN(
        record.json, store_.entry(std::max(log_size, row.index + 1), row.index, row.bundle_offset,
                                  static_cast<std::size_t>(row.bytes)));
    const auto document = codec::JsonDocument::parse(record.json);
    if (document.has_value()) {
      const auto message = document->root().member("message").and_then(
          [](const codec::JsonValue& value) { return value.as_string(); });
      if (message.has_value()) record.message = std::string(*message);
    }
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::vector<LogRecord>> LogReader::last(std::size_t count) {
  Filter filter;
  filter.order = Order::kNewestFirst;
  filter.limit = count;
  MLXGUARD_TRY_ASSIGN(std::vector<LogRecord> records, query(filter));
  std::reverse(records.begin(), records.end());
  return records;
}

Result<std::vector<LogRecord>> LogReader::after(std::uint64_t index, Filter filter) {
  filter.after_index = index;
  filter.order = Order::kOldestFirst;
  return query(filter);
}

}  // namespace mlxguard::log
