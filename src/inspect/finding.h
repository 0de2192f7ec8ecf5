// SPDX-License-Identifier: Apache-2.0
// Finding and Report: what an inspection says. Values only; safe to print, to log and to send.
// Evidence comes from the file: it is escaped and cut where it is made, so that no reader has to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "inspect/rules.h"

namespace mlxguard::inspect {

struct Finding {
  Rule rule = Rule::kIncomplete;
  Severity severity = Severity::kHigh;
  std::string file{};
  std::string inside{};                   ///< the entry of an archive, or empty
  std::optional<std::uint64_t> offset{};  ///< byte of the file (or of what is inside of it)
  std::optional<std::uint64_t> line{};    ///< from 1, in text
  std::string reason{};
  std::string evidence{};
};

/// Text from a file for people: control, invisible and malformed characters as \x.., cut to its
/// bound.
[[nodiscard]] std::string evidence_of(std::string_view untrusted_text);

/// What one file gave. `gap` is why the inspection of it did not come to its end.
struct FileReport {
  std::string format{};  ///< "safetensors", "json", ...
  std::vector<Finding> findings{};
  std::string gap{};
};

/// Where in a file, as far as it is known.
struct Place {
  std::optional<std::uint64_t> offset{};
  std::optional<std::uint64_t> line{};
};

/// Collects the findings of one file, within bounds: what exceeds them is a gap, not silence.
class Findings {
 public:
  explicit Findings(FileReport& report) : report_(report) {}

  void add(Rule rule, std::string reason, std::string_view untrusted_evidence = {},
           Place place = {});
  /// With another severity than the rule's own.
  void add(Rule rule, Severity severity, std::string reason,
           std::string_view untrusted_evidence = {}, Place place = {});
  void gap(std::string why);
  /// The archive entry that what follows is about; empty: the file itself.
  void set_inside(const std::string& entry) { inside_ = evidence_of(entry); }
  [[nodiscard]] const std::string& inside() const { return inside_; }

 private:
  FileReport& report_;
  std::string inside_;
};

struct InspectedFile {
  std::string name;
  std::string format;
  std::uint64_t size_bytes = 0;
};

struct NotInspected {
  std::string file;
  std::string why;
};

struct Report {
  std::string model{};
  std::vector<Finding> findings{};  ///< worst first, then by file and place
  std::vector<InspectedFile> files{};
  std::vector<NotInspected> not_inspected{};
  std::uint64_t bytes = 0;

  /// False: something could not be told. Then the model is not clean, whatever the findings.
  [[nodiscard]] bool complete() const { return not_inspected.empty(); }
  [[nodiscard]] std::size_t count(Severity severity) const;
  [[nodiscard]] std::optional<Severity> worst() const;
  /// Adds what a file gave; a gap becomes an `inspect.incomplete` finding too.
  void add(InspectedFile file, FileReport found);
  /// Says that this could not be inspected: a gap and its finding.
  void add_gap(std::string_view untrusted_name, std::string_view why);
  void sort();
};

}  // namespace mlxguard::inspect
