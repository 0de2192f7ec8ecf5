// SPDX-License-Identifier: Apache-2.0
#include "signature/findings.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "codec/text.h"

namespace mlxguard::signature {
namespace {

struct Sides {
  Findings changed;
  Findings ends;
  Findings missing;
  Findings unsigned_files;

  Findings take() && {
    std::move(ends.begin(), ends.end(), std::back_inserter(changed));
    std::move(missing.begin(), missing.end(), std::back_inserter(changed));
    std::move(unsigned_files.begin(), unsigned_files.end(), std::back_inserter(changed));
    return std::move(changed);
  }
};

Error missing_error(const artifact::FileDigest& file) {
  return make_error(ErrorCode::kFileMissing, "a signed file is not there")
      .about(file.name)
      .compared(codec::to_hex(file.digest), "");
}

Error unsigned_error(const std::string& name, std::string actual) {
  return make_error(ErrorCode::kFileUnsigned, "a file that the signature does not cover")
      .about(name)
      .compared("", std::move(actual));
}

/// The resources of one name, from `begin` on.
template <class Item>
std::span<const Item> group_at(std::span<const Item> sorted, std::size_t begin) {
  std::size_t end = begin;
  while (end < sorted.size() && sorted[end].name == sorted[begin].name) ++end;
  return sorted.subspan(begin, end - begin);
}

/// Walks both sorted lists once. `same` is called for the groups of a name on both sides.
template <class Present, class Same, class Unsigned>
void walk(std::span<const artifact::FileDigest> signed_files, std::span<const Present> present,
          Sides& sides, const Same& same, const Unsigned& describe) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < signed_files.size() || j < present.size()) {
    if (j == present.size() ||
        (i < signed_files.size() && signed_files[i].name < present[j].name)) {
      sides.missing.push_back(missing_error(signed_files[i]));
      i += group_at(signed_files, i).size();
    } else if (i == signed_files.size() || present[j].name < signed_files[i].name) {
      sides.unsigned_files.push_back(describe(present[j]));
      j += group_at(present, j).size();
    } else {
      const auto expected = group_at(signed_files, i);
      const auto actual = group_at(present, j);
      same(expected, actual);
      i += expected.size();
      j += actual.size();
    }
  }
}

void compare_end(std::span<const artifact::FileDigest> shards, const artifact::FileEntry& file,
                 Sides& sides) {
  const std::uint64_t end = shards.back().start_bytes + shards.back().size_bytes;
  if (end == file.size_bytes) return;
  sides.ends.push_back(
      make_error(ErrorCode::kShard, "the file ends elsewhere than its signed shards")
          .about(file.name)
          .compared(std::to_string(end) + " bytes", std::to_string(file.size_bytes) + " bytes"));
}

void compare_ranges(std::span<const artifact::FileDigest> expected,
                    std::span<const artifact::FileDigest> actual, Sides& sides) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool there = i < actual.size();
    if (there && expected[i].digest == actual[i].digest) continue;
    std::string message = "the file's bytes differ from the signed digest";
    if (expected.size() > 1) {
      message += " from byte " + std::to_string(expected[i].start_bytes) + " on";
    }
    sides.changed.push_back(make_error(ErrorCode::kDigestMismatch, std::move(message))
                                .about(expected[i].name)
                                .compared(codec::to_hex(expected[i].digest),
                                          there ? codec::to_hex(actual[i].digest) : std::string()));
  }
}

}  // namespace

Findings compare_names(std::span<const artifact::FileDigest> signed_files,
                       std::span<const artifact::FileEntry> present, std::uint64_t shard_bytes) {
  Sides sides;
  walk(
      signed_files, present, sides,
      [&](std::span<const artifact::FileDigest> expected,
          std::span<const artifact::FileEntry> actual) {
        if (shard_bytes > 0) compare_end(expected, actual.front(), sides);
      },
      [](const artifact::FileEntry& file) { return unsigned_error(file.name, ""); });
  return std::move(sides).take();
}

Findings compare_digests(std::span<const artifact::FileDigest> signed_files,
                         std::span<const artifact::FileDigest> present) {
  Sides sides;
  walk(
      signed_files, present, sides,
      [&](std::span<const artifact::FileDigest> expected,
          std::span<const artifact::FileDigest> actual) {
        compare_ranges(expected, actual, sides);
      },
      [](const artifact::FileDigest& file) {
        return unsigned_error(file.name, codec::to_hex(file.digest));
      });
  return std::move(sides).take();
}

}  // namespace mlxguard::signature
