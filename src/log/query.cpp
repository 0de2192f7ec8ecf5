// SPDX-License-Identifier: Apache-2.0
#include "log/query.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "base/limits.h"
#include "codec/json.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

std::string text_member(const codec::JsonValue& object, std::string_view name) {
  const auto text = object.member(name).and_then(
      [](const codec::JsonValue& value) { return value.as_string(); });
  return text.has_value() ? std::string(*text) : std::string();
}

LogRecord record_of(IndexRow row, std::string line) {
  LogRecord record;
  record.index = row.index;
  record.time = WallTime(std::chrono::milliseconds(row.time_ms));
  record.severity = row.severity;
  record.kind = std::move(row.kind);
  record.model = std::move(row.model);
  record.outcome = std::move(row.outcome);
  record.code = std::move(row.code);
  record.attributes = std::move(row.attributes);
  record.json = std::move(line);
  const auto document = codec::JsonDocument::parse(record.json);
  if (!document.has_value() || !document->root().is(codec::JsonKind::kObject)) return record;
  record.message = text_member(document->root(), "message");
  const auto ours = document->root().find("unmapped");
  if (ours.has_value() && ours->is(codec::JsonKind::kObject)) {
    record.route = text_member(*ours, record::describe(record::AttrId::kRoute).name);
  }
  return record;
}

}  // namespace

Result<LogReader> LogReader::open(const std::filesystem::path& dir) {
  MLXGUARD_TRY_ASSIGN(Cursor cursor, Cursor::open(dir));
  return LogReader(dir, std::move(cursor));
}

void LogReader::open_index() {
  if (index_.has_value() && index_->is_current()) return;
  index_.reset();
  auto index = Index::open((dir_ / layout::kIndex).string(), cursor_.identity(),
                           Index::Access::kRead);
  if (index.has_value()) index_.emplace(*std::move(index));
}

Result<Answer> LogReader::query(const Filter& filter) {
  Answer found;
  Result<void> done = answer(filter, found);
  if (!done.has_value() && index_.has_value() && done.error().code == ErrorCode::kLogIndex) {
    // A writer holds the index just now, or it is damaged.
    index_.reset();
    found = {};
    done = read_newer(filter, 0, filter.limit + 1, found.records);
  }
  if (!done.has_value()) return std::move(done).error();
  found.more = found.records.size() > filter.limit;
  if (found.more) found.records.resize(filter.limit);
  return found;
}

/// One record more than the limit, if there is one.
Result<void> LogReader::answer(const Filter& filter, Answer& answer) {
  open_index();
  std::uint64_t indexed = 0;
  if (index_.has_value()) {
    MLXGUARD_TRY_ASSIGN(indexed, index_->size());
  }
  const std::size_t wanted = filter.limit + 1;
  if (filter.order == Order::kOldestFirst) {
    if (indexed > 0) MLXGUARD_TRY(read_indexed(filter, wanted, answer.records));
    if (answer.records.size() >= wanted) return {};
    return read_newer(filter, indexed, wanted - answer.records.size(), answer.records);
  }
  MLXGUARD_TRY(read_newer(filter, indexed, wanted, answer.records));
  if (answer.records.size() >= wanted || indexed == 0) return {};
  Filter older = filter;
  older.before_index = std::min(filter.before_index.value_or(indexed), indexed);
  return read_indexed(std::move(older), wanted - answer.records.size(), answer.records);
}

/// Reads the log from `from` to its end; keeps the first or last `limit` that match.
Result<void> LogReader::read_newer(const Filter& filter, std::uint64_t from, std::size_t limit,
                                   std::vector<LogRecord>& records) {
  if (filter.after_index.has_value()) from = std::max(from, *filter.after_index + 1);
  MLXGUARD_TRY_ASSIGN(Cursor cursor, Cursor::open(dir_, from));
  std::deque<std::pair<IndexRow, std::string>> kept;
  for (bool at_end = false; !at_end;) {
    MLXGUARD_TRY_ASSIGN(std::vector<LogEntry> entries, cursor.next());
    at_end = entries.empty();
    for (LogEntry& entry : entries) {
      at_end = at_end || (filter.before_index && entry.index >= *filter.before_index);
      IndexRow row = row_of(entry.index, as_bytes(entry.line), 0);
      if (!matches(filter, row)) continue;
      if (filter.order == Order::kNewestFirst && kept.size() == limit) kept.pop_front();
      if (kept.size() < limit) kept.emplace_back(std::move(row), std::move(entry.line));
      at_end = at_end || (filter.order == Order::kOldestFirst && kept.size() == limit);
    }
  }
  if (filter.order == Order::kNewestFirst) std::reverse(kept.begin(), kept.end());
  for (auto& [row, line] : kept) records.push_back(record_of(std::move(row), std::move(line)));
  return {};
}

Result<void> LogReader::read_indexed(Filter filter, std::size_t limit,
                                     std::vector<LogRecord>& records) {
  filter.limit = limit;
  // A log may have grown since, but an entry keeps its place: its bundle only gets longer.
  MLXGUARD_TRY_ASSIGN(const std::uint64_t log_size, index_->size());
  MLXGUARD_TRY_ASSIGN(std::vector<IndexRow> rows, index_->select(filter));
  for (IndexRow& row : rows) {
    MLXGUARD_TRY_ASSIGN(
        std::string line, store_.entry(std::max(log_size, row.index + 1), row.index,
                                       row.bundle_offset, static_cast<std::size_t>(row.bytes)));
    records.push_back(record_of(std::move(row), std::move(line)));
  }
  return {};
}

Result<Answer> LogReader::last(std::size_t count) {
  Filter filter;
  filter.order = Order::kNewestFirst;
  filter.limit = count;
  MLXGUARD_TRY_ASSIGN(Answer answer, query(filter));
  std::reverse(answer.records.begin(), answer.records.end());
  return answer;
}

}  // namespace mlxguard::log
