// SPDX-License-Identifier: Apache-2.0
// What is known about an entry without reading all of it, and the questions that can be asked. The
// index keeps a row for each entry; a reader without an index makes the same rows from the entries.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "record/event.h"

namespace mlxguard::log {

struct IndexRow {
  std::uint64_t index = 0;
  std::int64_t time_ms = 0;
  int severity = 0;  ///< OCSF severity id
  std::string kind;
  std::string outcome;
  std::string code;
  std::string model;
  std::uint64_t bundle_offset = 0;  ///< where the entry's bytes begin in its bundle
  std::uint64_t bytes = 0;
  /// The indexed attributes that the entry has, in the order of the table.
  std::vector<std::pair<record::AttrId, record::AttrValue>> attributes;

  [[nodiscard]] const record::AttrValue* find(record::AttrId id) const;
  friend bool operator==(const IndexRow&, const IndexRow&) = default;
};

/// The rows of the attribute table that are marked as indexed.
[[nodiscard]] const std::vector<record::AttrRow>& indexed_attributes();

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
  int severity_min = 0;  ///< OCSF severity id; 0: any
  /// Indexed attributes that an event must have, with texts or integers that are equal.
  std::vector<std::pair<record::AttrId, record::AttrValue>> attributes{};
  std::optional<std::uint64_t> after_index{};
  std::optional<std::uint64_t> before_index{};
  Order order = Order::kOldestFirst;
  std::size_t limit = 1000;
};

/// Whether a row passes everything but the limit.
[[nodiscard]] bool matches(const Filter& filter, const IndexRow& row);

}  // namespace mlxguard::log
