// SPDX-License-Identifier: Apache-2.0
// The index: one SQLite row for each entry, for questions. Never the truth: it is made from the
// tiles, can be made again, and answers are read from the tiles. Sole includer of SQLite is
// index.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "log/tiles.h"
#include "record/event.h"

namespace mlxguard::log {

struct IndexRow {
  std::uint64_t index = 0;
  std::int64_t time_ms = 0;
  std::string kind;
  std::string outcome;
  std::string code;
  std::string model;
  std::uint64_t bundle_offset = 0;  ///< where the entry's bytes begin in its bundle
  std::uint64_t bytes = 0;

  friend bool operator==(const IndexRow&, const IndexRow&) = default;
};

/// What the index says about an entry. An entry that is no record of ours gets empty columns.
[[nodiscard]] IndexRow row_of(std::uint64_t index, Bytes entry, std::uint64_t bundle_offset);

enum class Order : std::uint8_t { kOldestFirst, kNewestFirst };

struct Filter {
  std::optional<WallTime> since{};  ///< at or after
  std::optional<WallTime> until{};  ///< before
  std::optional<record::Kind> kind{};
  std::string kind_prefix{};  ///< such as "model." for a whole line; empty: any
  std::string model{};
  std::optional<record::Outcome> outcome{};
  std::optional<ErrorCode> code{};
  std::optional<std::uint64_t> after_index{};
  Order order = Order::kOldestFirst;
  std::size_t limit = 1000;
};

class Index {
 public:
  enum class Access : std::uint8_t { kRead, kWrite };

  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;
  ~Index();

  /// kWrite creates what is missing and starts anew if the file is damaged, of another log or of
  /// another version. kRead: kNotFound, kLogIndex.
  [[nodiscard]] static Result<Index> open(const std::string& path, const std::string& log_identity,
                                          Access access);
  /// Entries that are in the index: it holds all of them below this number.
  [[nodiscard]] Result<std::uint64_t> size();
  /// Rows that continue the index, in one transaction. After a power failure the index may end
  /// earlier.
  [[nodiscard]] Result<void> add(std::span<const IndexRow> rows);
  [[nodiscard]] Result<std::vector<IndexRow>> select(const Filter& filter);
  /// Every row in order, until `visit` returns an error.
  [[nodiscard]] Result<void> each(const std::function<Result<void>(const IndexRow& row)>& visit);
  /// False if the file under this name is not the one that is open.
  [[nodiscard]] bool is_current() const;

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  [[nodiscard]] Result<void> prepare_file(const std::string& log_identity, Access access);
  std::unique_ptr<Impl> impl_;
};

/// Adds rows for all entries from the index's size up to `log_size`, from the bundles.
[[nodiscard]] Result<void> catch_up_index(Index& index, const TileStore& store,
                                          std::uint64_t log_size);

}  // namespace mlxguard::log
