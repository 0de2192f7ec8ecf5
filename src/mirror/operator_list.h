// SPDX-License-Identifier: Apache-2.0
// What the operator said of files: quarantined or released, in $STATE/mirror/operator.json. Written
// by `mlxguard deps mirror quarantine|release`, read by the running mirror, which sees a change at
// once. Trusted: the operator. The latest entry that matches a file counts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mirror/project_page.h"

namespace mlxguard::mirror {

enum class OperatorAction : std::uint8_t { kQuarantine, kRelease };
[[nodiscard]] std::string_view name_of(OperatorAction action);

/// "name", "name==version", or "sha256:HEX".
struct Selector {
  std::string project;  ///< normalised; empty with a digest
  std::string version;  ///< empty: every version
  std::string sha256;

  /// Errors: kUsage.
  [[nodiscard]] static Result<Selector> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool matches(std::string_view of_project, const ProjectFile& file) const;
};

struct OperatorEntry {
  OperatorAction action = OperatorAction::kQuarantine;
  Selector selector;
  std::string reason;
  std::int64_t time_ms = 0;
};

class OperatorList {
 public:
  /// A missing file is an empty list. Errors: kConfig for a file that is not understood: nothing
  /// may be served then, since a quarantine could be in it.
  [[nodiscard]] static Result<OperatorList> load(const std::filesystem::path& mirror_folder);
  /// Adds the entry and replaces the file in one step, holding its lock. An earlier entry of the
  /// same selector goes.
  [[nodiscard]] static Result<void> add(const std::filesystem::path& mirror_folder,
                                        OperatorEntry entry);

  [[nodiscard]] const OperatorEntry* find(std::string_view project, const ProjectFile& file) const;
  [[nodiscard]] const std::vector<OperatorEntry>& entries() const { return entries_; }
  [[nodiscard]] static std::filesystem::path file_in(const std::filesystem::path& mirror_folder);

 private:
  std::vector<OperatorEntry> entries_;  ///< oldest first
};

}  // namespace mlxguard::mirror
