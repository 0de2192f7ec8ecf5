// SPDX-License-Identifier: Apache-2.0
// Scanner: what the mirror asks about a release and about a file's bytes before it serves them. An
// interface, since tests decide what is vulnerable; the real one is PackageScanner.
// "Could not tell" is an answer of its own, with a reason that an operator may accept by name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::mirror {

/// Weakest last: the verdict of several findings is the greatest.
enum class Verdict : std::uint8_t { kClean, kCouldNotTell, kVulnerable, kQuarantined };
[[nodiscard]] std::string_view name_of(Verdict verdict);

// Row: X(enumerator, "name", "meaning"). The names are what --accept takes.
#define MLXGUARD_MIRROR_UNKNOWN_TABLE(X)                                              \
  X(kNoDatabase, "no-database", "there is no advisory database")                      \
  X(kOldDatabase, "old-database", "the advisory database is older than allowed")      \
  X(kUnlisted, "unlisted-package", "the advisory database does not know the package") \
  X(kVersion, "version", "a version that is not one of PEP 440 cannot be compared")   \
  X(kRange, "unevaluated-range", "an advisory names only commits, not versions")      \
  X(kInstallHook, "install-hook",                                                     \
    "a source distribution runs code of its own when it is installed")                \
  X(kPathCode, "path-code", "a .pth file runs code each time that Python starts")     \
  X(kFormat, "format", "a file of a kind that is not opened")                         \
  X(kNoDigest, "no-digest", "upstream gives no sha256 to check the file by")          \
  X(kNativePart, "native-part", "for a library inside the file it could not be told")

/// Why it could not be told.
enum class Unknown : std::uint8_t {
#define MLXGUARD_UNKNOWN_ENUM(enumerator, name, meaning) enumerator,
  MLXGUARD_MIRROR_UNKNOWN_TABLE(MLXGUARD_UNKNOWN_ENUM)
#undef MLXGUARD_UNKNOWN_ENUM
};
struct UnknownRow {
  Unknown unknown;
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] const std::vector<UnknownRow>& unknown_rows();
[[nodiscard]] const UnknownRow* find_unknown(std::string_view name);

struct Finding {
  Verdict verdict = Verdict::kClean;
  std::string code;  ///< an advisory's id, the name of an Unknown, or what was found: "path-code"
  std::string text;  ///< one sentence
};

struct Judgement {
  std::vector<Finding> findings{};  ///< clean: none, or only such as are worth telling
  std::string metadata_sha256{};    ///< of the METADATA inside of a wheel; empty: none was read
  [[nodiscard]] Verdict verdict() const;
};

/// One vulnerability, with what the PyPI JSON form says of it.
struct Advisory {
  std::string id;
  std::vector<std::string> aliases;
  std::string summary;
  std::string details;
  std::vector<std::string> fixed_in;
  std::string link;
};

class Scanner {
 public:
  virtual ~Scanner() = default;
  /// By name and version alone; fast enough to be asked for each request. Thread-safe.
  [[nodiscard]] virtual Judgement judge_release(std::string_view project,
                                                std::string_view version) const = 0;
  /// The advisories of a release, for /pypi/NAME/VERSION/json.
  [[nodiscard]] virtual std::vector<Advisory> advisories(std::string_view project,
                                                         std::string_view version) const = 0;
  /// Looks into the file, which is hostile. Thread-safe; may take seconds.
  [[nodiscard]] virtual Judgement inspect(int fd, std::string_view project,
                                          std::string_view filename) const = 0;
  /// What a stored inspection depends on: another text, and files are inspected again.
  [[nodiscard]] virtual std::string inspection_identity() const = 0;
  /// For people and for events: which database, of which date.
  [[nodiscard]] virtual std::string description() const = 0;
};

}  // namespace mlxguard::mirror
