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
  Findings missing;
  Findings unsigned_files;

  Findings take() && {
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

/// Walks both sorted lists once. `same` is called for a name on both sides.
template <class Present, class Same, class Unsigned>
void walk(std::span<const artifact::FileDigest> signed_files, std::span<const Present> present,
          Sides& sides, const Same& same, const Unsigned& describe) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < signed_files.size() || j < present.size()) {
    if (j == present.size() ||
        (i < signed_files.size() && signed_files[i].name < present[j].name)) {
      sides.missing.push_back(missing_error(signed_files[i++]));
    } else if (i == signed_files.size() || present[j].name < signed_files[i].name) {
      sides.unsigned_files.push_back(describe(present[j++]));
    } else {
      same(signed_files[i++], present[j++]);
    }
  }
}

}  // namespace

Findings compare_names(std::span<const artifact::FileDigest> signed_files,
                       std::span<const artifact::FileEntry> present) {
  Sides sides;
  walk(
      signed_files, present, sides, [](const artifact::FileDigest&, const artifact::FileEntry&) {},
      [](const artifact::FileEntry& file) { return unsigned_error(file.name, ""); });
  return std::move(sides).take();
}

Findings compare_digests(std::span<const artifact::FileDigest> signed_files,
                         std::span<const artifact::FileDigest> present) {
  Sides sides;
  walk(
      signed_files, present, sides,
      [&](const artifact::FileDigest& expected, const artifact::FileDigest& actual) {
        if (expected.digest == actual.digest) return;
        sides.changed.push_back(
            make_error(ErrorCode::kDigestMismatch, "the file's bytes differ from the signed digest")
                .about(actual.name)
                .compared(codec::to_hex(expected.digest), codec::to_hex(actual.digest)));
      },
      [](const artifact::FileDigest& file) {
        return unsigned_error(file.name, codec::to_hex(file.digest));
      });
  return std::move(sides).take();
}

}  // namespace mlxguard::signature
