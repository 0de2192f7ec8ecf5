// SPDX-License-Identifier: Apache-2.0
#include "log/index.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "base/limits.h"
#include "codec/json.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

// A new number makes every index be built again: raise it with any change below.
constexpr int kSchemaVersion = 1;
constexpr int kBusyMillisecondsMax = 5000;
/// What a process may leave in the write-ahead file when it closes: the next one reads it in less
/// time than the syncs take that put it into the database.
constexpr off_t kLeftInWalBytesMax = 256 << 10;
constexpr const char* kSchema =
    "CREATE TABLE log(identity TEXT NOT NULL);"
    "CREATE TABLE events(idx INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind TEXT NOT NULL,"
    " outcome TEXT NOT NULL, code TEXT, model TEXT, bundle_offset INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL);"
    "CREATE INDEX events_time ON events(time_ms);"
    "CREATE INDEX events_kind ON events(kind);"
    "CREATE INDEX events_model ON events(model) WHERE model IS NOT NULL;"
    "CREATE INDEX events_code ON events(code) WHERE code IS NOT NULL;"
    "CREATE INDEX events_outcome ON events(outcome) WHERE outcome <> 'success';";
constexpr const char* kColumns = "idx, time_ms, kind, outcome, code, model, bundle_offset, bytes";

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

Error index_error(sqlite3* database, const char* doing) {
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(database);
  const ErrorCode kind = (code & 0xff) == SQLITE_FULL ? ErrorCode::kNoSpace : ErrorCode::kLogIndex;
  const char* message = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
  return make_error(kind, std::string(doing) + ": " + message).about(layout::kIndex);
}

Result<void> execute(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return index_error(database, "index");
  }
  return {};
}

Result<Statement> prepare(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK) {
    return index_error(database, "prepare");
  }
  return Statement(statement);
}

/// Parameters are bound in the order they are added: no value ever becomes part of the SQL text.
class Binder {
 public:
  explicit Binder(sqlite3_stmt* statement) : statement_(statement) {}
  void integer(std::int64_t value) { note(sqlite3_bind_int64(statement_, ++position_, value)); }
  void text(std::string_view value) {
    note(sqlite3_bind_text64(statement_, ++position_, value.data(), value.size(), SQLITE_TRANSIENT,
                             SQLITE_UTF8));
  }
  /// Valid until the statement is reset: `value` must live as long.
  void text_view(std::string_view value) {
    note(sqlite3_bind_text64(statement_, ++position_, value.data(), value.size(), SQLITE_STATIC,
                             SQLITE_UTF8));
  }
  void text_or_null(std::string_view value) {
    if (value.empty()) {
      note(sqlite3_bind_null(statement_, ++position_));
    } else {
      text_view(value);
    }
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  void note(int result) { ok_ = ok_ && result == SQLITE_OK; }
  sqlite3_stmt* statement_;
  int position_ = 0;
  bool ok_ = true;
};

std::string column_text(sqlite3_stmt* statement, int column) {
  const int bytes = sqlite3_column_bytes(statement, column);
  const void* text = sqlite3_column_blob(statement, column);
  if (text == nullptr || bytes <= 0) return {};
  return {static_cast<const char*>(text), static_cast<std::size_t>(bytes)};
}

IndexRow read_row(sqlite3_stmt* statement) {
  IndexRow row;
  row.index = static_cast<std::uint64_t>(sqlite3_column_int64(statement, 0));
  row.time_ms = sqlite3_column_int64(statement, 1);
  row.kind = column_text(statement, 2);
  row.outcome = column_text(statement, 3);
  row.code = column_text(statement, 4);
  row.model = column_text(statement, 5);
  row.bundle_offset = static_cast<std::uint64_t>(sqlite3_column_int64(statement, 6));
  row.bytes = static_cast<std::uint64_t>(sqlite3_column_int64(statement, 7));
  return row;
}

std::string string_member(const codec::JsonValue& object, std::string_view name) {
  const auto member = object.find(name);
  if (!member.has_value()) return {};
  const auto text = member->as_string();
  return text.has_value() ? std::string(*text) : std::string();
}

/// Reads `"<name>":"<text>"` at the front of `rest`, and the comma before it if there is one.
/// Nothing if another member stands there, or if the text has an escape.
std::optional<std::string_view> take_member(std::string_view& rest, std::string_view name) {
  std::string_view at = rest;
  if (at.starts_with(',')) at.remove_prefix(1);
  if (!at.starts_with('"') || at.substr(1, name.size()) != name ||
      at.substr(1 + name.size(), 3) != "\":\"") {
    return std::nullopt;
  }
  at.remove_prefix(name.size() + 4);
  const std::size_t end = at.find_first_of("\"\\");
  if (end == std::string_view::npos || at[end] != '"') return std::nullopt;
  rest = at.substr(end + 1);
  return at.substr(0, end);
}

/// The columns of a record in the form that ocsf.cpp writes, without parsing all of it. A quote
/// inside a JSON string is always escaped, so what is looked for can only stand where a member
/// begins. False leaves the work to the parser.
bool read_plain_record(std::string_view line, IndexRow& row) {
  constexpr std::string_view kTime = "{\"time\":";
  constexpr std::string_view kOurs = ",\"unmapped\":{\"kind\":";
  if (!line.starts_with(kTime)) return false;
  const char* const end_of_line = line.data() + line.size();
  const auto [after, bad] = std::from_chars(line.data() + kTime.size(), end_of_line, row.time_ms);
  if (bad != std::errc() || after == end_of_line || *after != ',') return false;
  const std::size_t ours = line.find(kOurs);
  if (ours == std::string_view::npos) return false;
  std::string_view rest = line.substr(ours + std::string_view(",\"unmapped\":{").size());
  const auto kind = take_member(rest, "kind");
  const auto outcome = take_member(rest, "outcome");
  if (!kind.has_value() || !outcome.has_value()) return false;
  const auto code = take_member(rest, "code");
  const auto model = take_member(rest, "model");
  if (!model.has_value() && rest.starts_with(",\"model\"")) return false;  // with an escape
  row.kind = *kind;
  row.outcome = *outcome;
  row.code = code.value_or(std::string_view());
  row.model = model.value_or(std::string_view());
  return true;
}

void remove_files(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
}

}  // namespace

struct Index::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    struct stat wal {};
    if (database != nullptr && ::stat((path + "-wal").c_str(), &wal) == 0 &&
        wal.st_size <= kLeftInWalBytesMax) {
      sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
  }
  std::string path;
  Database database;
  Statement insert;
  ino_t inode = 0;
};

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;
Index::~Index() = default;

IndexRow row_of(std::uint64_t index, Bytes entry, std::uint64_t bundle_offset) {
  IndexRow row;
  row.index = index;
  row.bundle_offset = bundle_offset;
  row.bytes = entry.size();
  if (read_plain_record(as_text(entry), row)) return row;
  row.time_ms = 0;
  const auto document = codec::JsonDocument::parse(as_text(entry));
  if (!document.has_value() || !document->root().is(codec::JsonKind::kObject)) return row;
  if (const auto time = document->root().find("time"); time.has_value()) {
    row.time_ms = time->as_int64().value_or(0);
  }
  const auto ours = document->root().find("unmapped");
  if (!ours.has_value() || !ours->is(codec::JsonKind::kObject)) return row;
  row.kind = string_member(*ours, "kind");
  row.outcome = string_member(*ours, "outcome");
  row.code = string_member(*ours, "code");
  row.model = string_member(*ours, "model");
  return row;
}

Result<Index> Index::open(const std::string& path, const std::string& log_identity, Access access) {
  const int flags = (access == Access::kWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                              : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
  for (int attempt = 0;; ++attempt) {
    auto impl = std::make_unique<Impl>();
    impl->path = path;
    sqlite3* database = nullptr;
    const int opened = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
    impl->database.reset(database);
    Index index(std::move(impl));
    Result<void> ready = opened == SQLITE_OK ? index.prepare_file(log_identity, access)
                                             : index_error(database, "open");
    if (ready.has_value()) return index;
    if (access == Access::kRead || attempt > 0 || ready.error().code == ErrorCode::kNoSpace) {
      return std::move(ready).error();
    }
    // Damaged, of another version or of another log: it can be made again from the tiles.
    index = Index(std::make_unique<Impl>());
    remove_files(path);
  }
}

Result<void> Index::prepare_file(const std::string& log_identity, Access access) {
  sqlite3* database = impl_->database.get();
  sqlite3_busy_timeout(database, kBusyMillisecondsMax);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (access == Access::kWrite) {
    // A commit that a power failure takes back is made again from the tiles: only the order of
    // writes matters, and NORMAL keeps it.
    MLXGUARD_TRY(execute(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"));
  }
  int version = 0;
  {
    MLXGUARD_TRY_ASSIGN(const Statement query, prepare(database, "PRAGMA user_version"));
    if (sqlite3_step(query.get()) != SQLITE_ROW) return index_error(database, "version");
    version = sqlite3_column_int(query.get(), 0);
  }
  if (version == 0 && access == Access::kWrite) {
    const std::string mark = "PRAGMA user_version=" + std::to_string(kSchemaVersion) + "; COMMIT;";
    MLXGUARD_TRY(execute(database, "BEGIN IMMEDIATE;"));
    MLXGUARD_TRY(execute(database, kSchema));
    MLXGUARD_TRY_ASSIGN(const Statement insert, prepare(database, "INSERT INTO log VALUES(?)"));
    Binder(insert.get()).text(log_identity);
    if (sqlite3_step(insert.get()) != SQLITE_DONE) return index_error(database, "insert");
    MLXGUARD_TRY(execute(database, mark.c_str()));
  } else if (version != kSchemaVersion) {
    return make_error(ErrorCode::kLogIndex, "an index of another version").about(layout::kIndex);
  }
  MLXGUARD_TRY_ASSIGN(const Statement identity, prepare(database, "SELECT identity FROM log"));
  if (sqlite3_step(identity.get()) != SQLITE_ROW ||
      column_text(identity.get(), 0) != log_identity) {
    return make_error(ErrorCode::kLogIndex, "the index of another log").about(layout::kIndex);
  }
  struct stat status {};
  if (::stat(impl_->path.c_str(), &status) == 0) impl_->inode = status.st_ino;
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const std::uint64_t readable, size());
  return {};
}

bool Index::is_current() const {
  struct stat status {};
  return ::stat(impl_->path.c_str(), &status) == 0 && status.st_ino == impl_->inode;
}

Result<std::uint64_t> Index::size() {
  sqlite3* database = impl_->database.get();
  MLXGUARD_TRY_ASSIGN(const Statement query, prepare(database, "SELECT max(idx) FROM events"));
  if (sqlite3_step(query.get()) != SQLITE_ROW) return index_error(database, "size");
  if (sqlite3_column_type(query.get(), 0) == SQLITE_NULL) return std::uint64_t{0};
  return static_cast<std::uint64_t>(sqlite3_column_int64(query.get(), 0)) + 1;
}

Result<void> Index::add(std::span<const IndexRow> rows) {
  sqlite3* database = impl_->database.get();
  if (impl_->insert == nullptr) {
    const std::string sql =
        std::string("INSERT INTO events(") + kColumns + ") VALUES(?,?,?,?,?,?,?,?)";
    MLXGUARD_TRY_ASSIGN(impl_->insert, prepare(database, sql));
  }
  MLXGUARD_TRY(execute(database, "BEGIN IMMEDIATE"));
  sqlite3_stmt* insert = impl_->insert.get();
  bool ok = true;
  for (const IndexRow& row : rows) {
    Binder binder(insert);
    binder.integer(static_cast<std::int64_t>(row.index));
    binder.integer(row.time_ms);
    binder.text_view(row.kind);
    binder.text_view(row.outcome);
    binder.text_or_null(row.code);
    binder.text_or_null(row.model);
    binder.integer(static_cast<std::int64_t>(row.bundle_offset));
    binder.integer(static_cast<std::int64_t>(row.bytes));
    ok = binder.ok() && sqlite3_step(insert) == SQLITE_DONE;
    if (!ok) break;
    sqlite3_reset(insert);
  }
  Result<void> done = ok ? Result<void>() : index_error(database, "insert");
  sqlite3_reset(insert);
  sqlite3_clear_bindings(insert);
  if (done.has_value()) done = execute(database, "COMMIT");
  if (!done.has_value()) (void)execute(database, "ROLLBACK");
  return done;
}

Result<std::vector<IndexRow>> Index::select(const Filter& filter) {
  std::string sql = std::string("SELECT ") + kColumns + " FROM events WHERE 1";
  if (filter.since.has_value()) sql += " AND time_ms >= ?";
  if (filter.until.has_value()) sql += " AND time_ms < ?";
  if (filter.kind.has_value()) sql += " AND kind = ?";
  if (!filter.kind_prefix.empty()) sql += " AND substr(kind, 1, ?) = ?";
  if (!filter.model.empty()) sql += " AND model = ?";
  if (filter.outcome.has_value()) sql += " AND outcome = ?";
  if (filter.code.has_value()) sql += " AND code = ?";
  if (filter.after_index.has_value()) sql += " AND idx > ?";
  sql +=
      filter.order == Order::kNewestFirst ? " ORDER BY idx DESC LIMIT ?" : " ORDER BY idx LIMIT ?";
  sqlite3* database = impl_->database.get();
  MLXGUARD_TRY_ASSIGN(const Statement query, prepare(database, sql));
  Binder binder(query.get());
  if (filter.since.has_value()) binder.integer(filter.since->time_since_epoch().count());
  if (filter.until.has_value()) binder.integer(filter.until->time_since_epoch().count());
  if (filter.kind.has_value()) binder.text(describe(*filter.kind).name);
  if (!filter.kind_prefix.empty()) {
    binder.integer(static_cast<std::int64_t>(filter.kind_prefix.size()));
    binder.text(filter.kind_prefix);
  }
  if (!filter.model.empty()) binder.text(filter.model);
  if (filter.outcome.has_value()) binder.text(name_of(*filter.outcome));
  if (filter.code.has_value()) binder.text(name_of(*filter.code));
  if (filter.after_index.has_value()) {
    binder.integer(static_cast<std::int64_t>(*filter.after_index));
  }
  binder.integer(static_cast<std::int64_t>(filter.limit));
  if (!binder.ok()) return index_error(database, "bind");
  std::vector<IndexRow> rows;
  int step = 0;
  while ((step = sqlite3_step(query.get())) == SQLITE_ROW) rows.push_back(read_row(query.get()));
  if (step != SQLITE_DONE) return index_error(database, "select");
  return rows;
}

Result<void> Index::each(const std::function<Result<void>(const IndexRow& row)>& visit) {
  sqlite3* database = impl_->database.get();
  const std::string sql = std::string("SELECT ") + kColumns + " FROM events ORDER BY idx";
  MLXGUARD_TRY_ASSIGN(const Statement query, prepare(database, sql));
  int step = 0;
  while ((step = sqlite3_step(query.get())) == SQLITE_ROW)
    MLXGUARD_TRY(visit(read_row(query.get())));
  if (step != SQLITE_DONE) return index_error(database, "select");
  return {};
}

Result<void> catch_up_index(Index& index, const TileStore& store, std::uint64_t log_size) {
  MLXGUARD_TRY_ASSIGN(std::uint64_t next, index.size());
  std::vector<IndexRow> rows;
  while (next < log_size) {
    const std::uint64_t bundle_index = next / layout::kTileWidth;
    const std::uint64_t first = bundle_index * layout::kTileWidth;
    const auto width =
        static_cast<unsigned>(std::min<std::uint64_t>(layout::kTileWidth, log_size - first));
    MLXGUARD_TRY_ASSIGN(const BundleFile file, store.bundle(bundle_index, width));
    const BundleView view = parse_bundle(as_bytes(file.bytes), width);
    if (view.entries.size() != width) {
      return make_error(ErrorCode::kLogEntryMissing, "a bundle lacks entries")
          .about(layout::bundle(bundle_index, width));
    }
    for (; next < first + width; ++next) {
      const std::size_t i = static_cast<std::size_t>(next - first);
      rows.push_back(row_of(next, view.entries[i], view.offsets[i]));
    }
    if (rows.size() >= limits::kLogIntegrationEventsMax || next == log_size) {
      MLXGUARD_TRY(index.add(rows));
      rows.clear();
    }
  }
  return {};
}

}  // namespace mlxguard::log
