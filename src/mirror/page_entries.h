// SPDX-License-Identifier: Apache-2.0
// One entry of an index page on its way to a ProjectFile: the checks that HTML, JSON and the cache
// share. Input: fields chosen by an attacker.
#pragma once

#include <string>
#include <string_view>

#include "mirror/project_page.h"

namespace mlxguard::mirror {

/// True for 64 lower-case hex digits.
[[nodiscard]] bool is_sha256(std::string_view text);

/// Fills in the version and checks everything else; kMirrorPage if the entry is to be left out.
[[nodiscard]] Result<void> finish_entry(std::string_view project, ProjectFile& file);

/// Adds the entry, or counts it as skipped. Two entries of one name: the second is skipped.
class PageBuilder {
 public:
  explicit PageBuilder(std::string_view project);
  void add(Result<ProjectFile> entry);
  void skip(const Error& why);
  void add_version(std::string_view version);
  /// Versions of files that the page did not list are added; all sorted by text.
  [[nodiscard]] ProjectPage take() &&;

 private:
  ProjectPage page_;
};

}  // namespace mlxguard::mirror
