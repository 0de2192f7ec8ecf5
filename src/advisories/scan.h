// SPDX-License-Identifier: Apache-2.0
// The scan: what an inventory consists of, compared with the advisories. "Could not tell" is a
// verdict of its own: an unknown package, a version that cannot be compared, a part without data.
// An operator accepts it by name and OpenVEX suppresses a finding; neither makes it "clean".
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "advisories/database.h"
#include "advisories/vex.h"
#include "inventory/component.h"

namespace mlxguard::advisories {

/// From best to worst.
enum class Verdict : std::uint8_t {
  kClean,
  kSuppressed,  ///< it has findings, each of which an OpenVEX statement suppresses
  kAccepted,    ///< an operator accepts each finding, or that it could not be told
  kCouldNotTell,
  kVulnerable
};
[[nodiscard]] std::string_view name_of(Verdict verdict);

// Row: X(enumerator, "name", "meaning"). The names are what --accept takes beside names of
// packages.
#define MLXGUARD_UNKNOWN_REASON_TABLE(X)                                            \
  X(kNoDatabase, "no-database", "there is no advisory database")                    \
  X(kOldDatabase, "old-database", "the advisory database is older than allowed")    \
  X(kUnlisted, "unlisted-package", "no advisory database knows the package")        \
  X(kNoVersion, "no-version", "which version it is could not be told")              \
  X(kVersion, "version", "a version that is not one of PEP 440 cannot be compared") \
  X(kRange, "unevaluated-range",                                                    \
    "an advisory names no versions that can be compared, or only commits")          \
  X(kNativePart, "native-part", "no advisory database covers this native part")     \
  X(kEmpty, "empty", "there is no package in it")                                   \
  X(kUnreadable, "unreadable", "a part of the environment could not be read")

enum class Reason : std::uint8_t {
#define MLXGUARD_REASON_ENUM(enumerator, name, meaning) enumerator,
  MLXGUARD_UNKNOWN_REASON_TABLE(MLXGUARD_REASON_ENUM)
#undef MLXGUARD_REASON_ENUM
};
struct ReasonRow {
  Reason reason;
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] const std::vector<ReasonRow>& reason_rows();
[[nodiscard]] std::string_view name_of(Reason reason);

/// By an entry of a baseline.
struct Acceptance {
  std::string reason, author, expires;
};

struct Unknown {
  Reason reason = Reason::kUnlisted;
  std::string text;       ///< one sentence
  bool accepted = false;  ///< by the operator, by name or by a baseline
  std::optional<Acceptance> acceptance{};
};

struct Rating {
  std::string source;
  std::string vector;           ///< or the word that the source gave
  std::optional<double> score;  ///< of a well-formed vector
  std::string rating;           ///< "critical", ...; empty where it could not be told
};

/// One vulnerability of one component: records that are aliases of each other are one.
struct Finding {
  std::string id;                ///< the CVE where there is one, else the record's
  std::vector<std::string> ids;  ///< all ids of it, sorted
  std::string summary;
  std::string details;
  std::string link;
  std::vector<Rating> ratings;        ///< each with its source
  std::vector<std::string> fixed_in;  ///< versions that end it, oldest first
  std::string exploited_since;        ///< date of CISA's catalog; empty: not in it
  std::optional<VexStatement> suppressed;
  std::optional<Acceptance> accepted;
  [[nodiscard]] bool is_open() const { return !suppressed && !accepted; }
};

struct ComponentReport {
  const inventory::Component* component = nullptr;
  Verdict verdict = Verdict::kClean;
  std::vector<Finding> findings;
  std::vector<Unknown> unknowns;
  std::vector<std::string> path;  ///< names, from what was asked for to this one
};

struct Report {
  Verdict verdict = Verdict::kClean;
  std::vector<Unknown> unknowns;            ///< about all of it: the database
  std::vector<ComponentReport> components;  ///< in the inventory's order
  /// Path code, install hooks, files that differ from RECORD, duplicates; of the inventory.
  std::vector<const inventory::Observation*> observations;
  bool altered = false;  ///< a file differs from RECORD
  /// Statements that would suppress something and suppressed nothing; of the knowledge.
  std::vector<const VexStatement*> unused_vex;
  [[nodiscard]] std::size_t count(Verdict verdict_wanted) const;
  /// Nothing is vulnerable, changed on disk, or could not be told without being accepted.
  [[nodiscard]] bool passes() const { return verdict <= Verdict::kAccepted && !altered; }
};

struct Knowledge {
  const Database* osv = nullptr;
  const Database* feed = nullptr;
  std::vector<VexStatement> vex{};
  std::vector<std::string> vex_products{};  ///< applications that are looked at, for OpenVEX
  std::vector<ExploitedEntry> exploited{};
};

struct ScanOptions {
  std::set<std::string, std::less<>> accepted{};  ///< names of reasons and of packages (normalised)
  std::chrono::milliseconds age_max{std::chrono::hours(30 * 24)};
};

/// The verdict of what is found and accepted by now.
void conclude(ComponentReport& report);
/// The same for all of it; its components are concluded already.
void conclude(Report& report);

/// The inventory must outlive the report. Errors: kAdvisoryDatabase for a database that cannot be
/// read.
[[nodiscard]] Result<Report> scan(const inventory::Inventory& inventory, const Knowledge& knowledge,
                                  const ScanOptions& options, WallTime now);

/// One release alone, for the mirror: its findings and why it could not be told, if it could not.
[[nodiscard]] Result<ComponentReport> judge(const inventory::Component& component,
                                            const Knowledge& knowledge, const ScanOptions& options);

}  // namespace mlxguard::advisories
