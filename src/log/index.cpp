// SPDX-License-Identifier: Apache-2.0
#include "log/index.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

// A new number makes every index be built again: raise it with any change below.
constexpr int kSchemaVersion = 2;
constexpr int kBusyMillisecondsMax = 5000;
/// What a process may leave in the write-ahead file when it closes: the next one reads it in less
/// time than the syncs take that put it into the database.
constexpr off_t kLeftInWalBytesMax = 256 << 10;
constexpr const char* kFixedColumns =
    "idx, time_ms, severity, kind, outcome, code, model, bundle_offset, bytes";
constexpr int kFixedColumnsCount = 9;

std::string in_quotes(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string all_columns() {
  std::string columns = kFixedColumns;
  for (const record::AttrRow& row : indexed_attributes()) columns += ", " + in_quotes(row.name);
  return columns;
}

/// A column for each indexed attribute of the table, and a search tree for those that are texts.
std::string schema() {
  std::string columns;
  std::string trees;
  for (const record::AttrRow& row : indexed_attributes()) {
    const bool is_text = row.type == record::AttrType::kText;
    columns += ", " + in_quotes(row.name) + (is_text ? " TEXT" : " INTEGER");
    if (!is_text) continue;
    trees += "CREATE INDEX " + in_quotes("events_" + std::string(row.name)) + " ON events(" +
             in_quotes(row.name) + ") WHERE " + in_quotes(row.name) + " IS NOT NULL;";
  }
  return "CREATE TABLE log(identity TEXT NOT NULL);"
         "CREATE TABLE events(idx INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
         " severity INTEGER NOT NULL, kind TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT,"
         " model TEXT, bundle_offset INTEGER NOT NULL, bytes INTEGER NOT NULL" +
         columns +
         ");"
         "CREATE INDEX events_time ON events(time_ms);"
         "CREATE INDEX events_kind ON events(kind);"
         "CREATE INDEX events_model ON events(model) WHERE model IS NOT NULL;"
         "CREATE INDEX events_code ON events(code) WHERE code IS NOT NULL;"
         "CREATE INDEX events_outcome ON events(outcome) WHERE outcome <> 'success';" +
         trees;
}

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
  int column = 0;
  row.index = static_cast<std::uint64_t>(sqlite3_column_int64(statement, column++));
  row.time_ms = sqlite3_column_int64(statement, column++);
  row.severity = sqlite3_column_int(statement, column++);
  row.kind = column_text(statement, column++);
  row.outcome = column_text(statement, column++);
  row.code = column_text(statement, column++);
  row.model = column_text(statement, column++);
  row.bundle_offset = static_cast<std::uint64_t>(sqlite3_column_int64(statement, column++));
  row.bytes = static_cast<std::uint64_t>(sqlite3_column_int64(statement, column++));
  for (const record::AttrRow& attribute : indexed_attributes()) {
    const int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_INTEGER) {
      row.attributes.emplace_back(attribute.id, sqlite3_column_int64(statement, column));
    } else if (type != SQLITE_NULL) {
      row.attributes.emplace_back(attribute.id, column_text(statement, column));
    }
    ++column;
  }
  return row;
}

/// One parameter for each indexed attribute: the row's value, or NULL.
template <class Bind>
void bind_attributes(Bind& binder, const IndexRow& row) {
  for (const record::AttrRow& attribute : indexed_attributes()) {
    const record::AttrValue* value = row.find(attribute.id);
    const auto* words = value == nullptr ? nullptr : std::get_if<std::string>(value);
    const auto* integer = value == nullptr ? nullptr : std::get_if<std::int64_t>(value);
    if (words != nullptr) {
      binder.text_view(*words);
    } else if (integer != nullptr) {
      binder.integer(*integer);
    } else {
      binder.text_or_null({});
    }
  }
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
  // A reader has another way to its answer; a writer has not.
  sqlite3_busy_timeout(database, access == Access::kWrite ? kBusyMillisecondsMax : 0);
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
    MLXGUARD_TRY(execute(database, schema().c_str()));
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
    std::string sql = "INSERT INTO events(" + all_columns() + ") VALUES(?";
    const std::size_t columns = kFixedColumnsCount + indexed_attributes().size();
    for (std::size_t i = 1; i < columns; ++i) sql += ",?";
    sql += ")";
    MLXGUARD_TRY_ASSIGN(impl_->insert, prepare(database, sql));
  }
  MLXGUARD_TRY(execute(database, "BEGIN IMMEDIATE"));
  sqlite3_stmt* insert = impl_->insert.get();
  bool ok = true;
  for (const IndexRow& row : rows) {
    Binder binder(insert);
    binder.integer(static_cast<std::int64_t>(row.index));
    binder.integer(row.time_ms);
    binder.integer(row.severity);
    binder.text_view(row.kind);
    binder.text_view(row.outcome);
    binder.text_or_null(row.code);
    binder.text_or_null(row.model);
    binder.integer(static_cast<std::int64_t>(row.bundle_offset));
    binder.integer(static_cast<std::int64_t>(row.bytes));
    bind_attributes(binder, row);
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
  std::string sql = "SELECT " + all_columns() + " FROM events WHERE 1";
  if (filter.since.has_value()) sql += " AND time_ms >= ?";
  if (filter.until.has_value()) sql += " AND time_ms < ?";
  if (filter.kind.has_value()) sql += " AND kind = ?";
  if (!filter.kind_prefix.empty()) sql += " AND substr(kind, 1, ?) = ?";
  if (!filter.model.empty()) sql += " AND model = ?";
  if (filter.outcome.has_value()) sql += " AND outcome = ?";
  if (filter.code.has_value()) sql += " AND code = ?";
  if (filter.severity_min > 0) sql += " AND severity >= ?";
  for (const auto& [id, value] : filter.attributes) {
    sql += " AND " + in_quotes(record::describe(id).name) + " = ?";
  }
  if (filter.after_index.has_value()) sql += " AND idx > ?";
  if (filter.before_index.has_value()) sql += " AND idx < ?";
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
  if (filter.severity_min > 0) binder.integer(filter.severity_min);
  for (const auto& [id, value] : filter.attributes) {
    if (const auto* words = std::get_if<std::string>(&value)) {
      binder.text(*words);
    } else {
      binder.integer(std::get<std::int64_t>(value));
    }
  }
  if (filter.after_index.has_value()) {
    binder.integer(static_cast<std::int64_t>(*filter.after_index));
  }
  if (filter.before_index.has_value()) {
    binder.integer(static_cast<std::int64_t>(*filter.before_index));
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
  const std::string sql = "SELECT " + all_columns() + " FROM events ORDER BY idx";
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
