// SPDX-License-Identifier: Apache-2.0
// The part of verification that walks the tree: from the signed root down to the entries, so that
// each tile is judged by a parent that was judged before. Internal to verify.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "log/merkle.h"
#include "log/tiles.h"
#include "log/verify.h"

namespace mlxguard::log {

/// Findings with a bound; neighbours of one kind are joined into ranges.
class FindingList {
 public:
  FindingList(VerifyReport& report, std::size_t findings_max)
      : report_(report), findings_max_(findings_max) {}

  void file(ErrorCode code, std::string subject, std::string message);
  void entries(ErrorCode code, std::uint64_t first, std::uint64_t last, std::string message);

 private:
  void add(Finding finding);
  VerifyReport& report_;
  std::size_t findings_max_;
};

class TreeVerifier {
 public:
  TreeVerifier(const TileStore& store, std::uint64_t size, const Hash& root, FindingList& findings)
      : store_(store), size_(size), root_(root), findings_(findings) {}

  /// Errors only if files could not be read for reasons of their own (kIo, kPermission).
  [[nodiscard]] Result<void> run();

 private:
  using Hashes = std::optional<std::vector<Hash>>;
  struct Mismatch {
    std::uint64_t index;
    Hash actual;
    Hash expected;
  };

  [[nodiscard]] Result<Hashes> stored(int level, std::uint64_t index, unsigned width) const;
  [[nodiscard]] Result<Hashes> derived(int level, std::uint64_t index, unsigned width) const;
  [[nodiscard]] Result<TreeEdge> trusted_edge();
  [[nodiscard]] std::optional<TreeEdge> choose_edge(const std::vector<int>& levels,
                                                    const std::vector<Hashes>& stored,
                                                    const std::vector<Hashes>& derived);
  [[nodiscard]] Result<void> check_tile(int level, std::uint64_t index, const Hash& expected);
  [[nodiscard]] Result<void> check_bundle(std::uint64_t index, const std::vector<Hash>& expected);
  void compare_shorter(std::uint64_t first, const std::vector<Hash>& actual,
                       const std::vector<Hash>& expected);
  void note_missing(std::uint64_t first, std::uint64_t last);
  void report_mismatches();
  void report_missing();
  void tile_finding(int level, std::uint64_t index, unsigned width, bool is_there);

  const TileStore& store_;
  std::uint64_t size_;
  Hash root_;
  FindingList& findings_;
  std::vector<Mismatch> mismatches_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> missing_;  ///< first and last entry
};

}  // namespace mlxguard::log
