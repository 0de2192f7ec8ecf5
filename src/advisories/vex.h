// SPDX-License-Identifier: Apache-2.0
// OpenVEX 0.2.0: what someone says about a vulnerability in a product. Only `not_affected` with a
// justification and `fixed` suppress a finding, and a suppressed finding is shown with its reason.
// Trusted: the operator, who names the file. Source: openvex/spec.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::advisories {

struct VexStatement {
  std::vector<std::string> vulnerabilities;  ///< name, @id and aliases
  std::vector<std::string> products;         ///< purls; without a version: every version
  /// Of a statement about parts of an application: what names the application. It says nothing
  /// about another one that has the same part.
  std::vector<std::string> applications;
  std::string status;  ///< "not_affected", "affected", "fixed", "under_investigation"
  std::string justification;
  std::string impact;  ///< impact_statement or status_notes
  std::string author;
  std::string document;  ///< its @id
  std::size_t number = 0;  ///< the caller's, to tell which ones were of use
  /// Its own, else the document's; without one it is older than any.
  std::int64_t timestamp_ms = std::numeric_limits<std::int64_t>::min();
};

/// A statement about a part (subcomponent) of an application is about the part in that application;
/// one about a part of another Python package says nothing of that part by itself, and is left out.
/// Errors: kVex for a document that is none, for `not_affected` without one of the specification's
/// justifications, for a statement without products or vulnerability.
[[nodiscard]] Result<std::vector<VexStatement>> parse_vex(std::string_view json);

/// The statement that suppresses: the newest one of those that name any of `ids` and this product
/// (of two of one time the last), if it is of a status that does. A product's version, qualifiers
/// and subpath must be the component's where the statement has them. One about parts of an
/// application counts where the operator says that this application is what is looked at.
[[nodiscard]] const VexStatement* find_suppression(const std::vector<VexStatement>& statements,
                                                   const std::vector<std::string>& ids,
                                                   std::string_view purl,
                                                   const std::vector<std::string>& applications);
/// Whether the statement is about what is looked at: see find_suppression().
[[nodiscard]] bool is_about(const VexStatement& statement,
                            const std::vector<std::string>& applications);
/// Whether it is of a status that suppresses.
[[nodiscard]] bool suppresses(const VexStatement& statement);

/// CISA's catalog of vulnerabilities that are known to be exploited, as JSON: the CVE ids, sorted.
/// Errors: kAdvisoryRecord.
struct ExploitedEntry {
  std::string cve;
  std::string date_added;
};
[[nodiscard]] Result<std::vector<ExploitedEntry>> parse_kev(std::string_view json);

}  // namespace mlxguard::advisories
