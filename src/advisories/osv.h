// SPDX-License-Identifier: Apache-2.0
// OSV records (OSV schema 1.x): what an advisory says, kept as far as it is needed to judge and to
// show. Input: JSON from an advisory database, which anyone may have written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/json.h"

namespace mlxguard::advisories {

/// One rating, with who gave it.
struct Severity {
  std::string source;  ///< "record", "package", "database"
  std::string type;    ///< "CVSS_V3", "CVSS_V4", "CVSS_V2"; "word" for a rating without a vector
  std::string text;    ///< the vector, or the word
};

struct Event {
  enum class Kind : std::uint8_t { kIntroduced, kFixed, kLastAffected, kLimit };
  Kind kind = Kind::kIntroduced;
  std::string version;
};

struct Range {
  enum class Kind : std::uint8_t { kEcosystem, kSemver, kGit };
  Kind kind = Kind::kEcosystem;
  std::vector<Event> events;
};

/// One package that a record is about.
struct Affected {
  std::string key;   ///< as key_of_purl() writes it; empty: of an ecosystem that is not looked at
  std::string name;  ///< as written
  std::vector<Range> ranges;
  std::vector<std::string> versions;
  std::vector<Severity> severities;
};

struct Record {
  std::string id;
  std::vector<std::string> aliases;
  std::string summary;
  std::string details;  ///< cut at limits::kAdvisoryTextBytesMax
  std::string link;
  std::string published;  ///< RFC 3339, as written
  std::string modified;
  std::string withdrawn;  ///< when, RFC 3339; empty: it was not
  std::vector<Severity> severities;
  std::vector<Affected> affected;
};

/// The same from an element of a larger document. Errors: kAdvisoryRecord, kJsonType.
[[nodiscard]] Result<Record> read_record(codec::JsonValue root);
/// Errors: kAdvisoryRecord, and those of the JSON reader.
[[nodiscard]] Result<Record> parse_record(std::string_view json);

/// Under which a record's "package" is found, by its ecosystem and name or by its purl; empty: of
/// an ecosystem that is not looked at. Errors: kAdvisoryRecord, kJsonType.
[[nodiscard]] Result<std::string> key_of_package(codec::JsonValue package);

/// Under which a package is found: "pypi/NAME" with the normalised name, "github/fmtlib/fmt",
/// "github/antirez/gguf-tools"; versions, qualifiers and subpaths do not count. Empty: no purl.
[[nodiscard]] std::string key_of_purl(std::string_view purl);

}  // namespace mlxguard::advisories
