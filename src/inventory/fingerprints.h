// SPDX-License-Identifier: Apache-2.0
// What a binary gives away of the code that was linked into it: namespaces in symbol names, symbols
// of C libraries, version strings. The table in fingerprints.cpp is all of it; a new one is a row.
// A fingerprint is evidence, not proof: an attacker can write any name into a binary, and can
// remove one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/component.h"
#include "inventory/native_file.h"

namespace mlxguard::inventory {

struct FingerprintRow {
  enum class Look : std::uint8_t {
    kNamespace,  ///< a C++ namespace in a mangled symbol: length and name
    kSymbol,     ///< a C symbol that is defined in the file
    kText,       ///< bytes of the read-only data
    kOptional,   ///< bytes of the read-only data: a library that is opened at run time if it is
                 ///< there
  };
  enum class Version : std::uint8_t {
    kNone,    ///< not told
    kMajor,   ///< a number that follows: only the major version
    kDotted,  ///< follows as 1.2.3 or 1_2_3
    kAbi,     ///< a number that follows: a version of its interface, not of the library
    kCommit,  ///< 40 hexadecimal digits that follow
  };
  std::string_view name;
  std::string_view purl;        ///< without version
  std::string_view tag_prefix;  ///< before the version in the purl: "v" where its tags are v1.2.3
  Look look;
  std::string_view pattern;
  std::string_view
      next;  ///< kNamespace: how the inner namespace begins; kText: what follows the version
  Version version;
  /// The shared library that *is* this component begins like this; empty: only ever linked in.
  std::string_view library;
};

[[nodiscard]] std::span<const FingerprintRow> fingerprint_rows();

struct Fingerprint {
  const FingerprintRow* row = nullptr;
  std::string version;  ///< empty, or as far as it is told
  std::size_t hits = 0;
  std::string sample;  ///< one symbol or string that was seen
};

/// What the table finds in one file; at most one a row, in the table's order.
[[nodiscard]] std::vector<Fingerprint> find_fingerprints(const NativeFile& file);

}  // namespace mlxguard::inventory
