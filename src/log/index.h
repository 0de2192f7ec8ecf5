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
#include "log/row.h"
#include "log/tiles.h"

namespace mlxguard::log {

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
