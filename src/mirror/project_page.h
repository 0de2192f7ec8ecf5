// SPDX-License-Identifier: Apache-2.0
// ProjectPage: what an index says of one project (PEP 503, 592, 629, 658, 691, 700, 714), as a
// value. Input: a page from upstream, HTML or JSON, chosen by an attacker. What cannot be
// understood is left out and counted; what comes out has safe names, absolute http(s) links and
// canonical digests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mirror/url.h"

namespace mlxguard::mirror {

struct ProjectFile {
  std::string filename;         ///< letters, digits and ._+!-; never a path
  std::string version;          ///< as the file name spells it
  std::string url;              ///< upstream, absolute, without fragment
  std::string sha256;           ///< 64 lower-case hex digits; empty where upstream gives none
  std::string content_sha256;   ///< of the bytes, once they are in the cache; of no page
  std::string metadata_sha256;  ///< of the PEP 658 file; empty where there is none
  std::string requires_python;
  std::optional<std::string> yanked;  ///< the reason, which may be empty
  std::optional<std::uint64_t> size_bytes;
  std::optional<std::int64_t> upload_time_ms;  ///< as upstream says
  std::int64_t first_seen_ms = 0;              ///< when this mirror saw the file first
  std::int64_t changed_ms = 0;  ///< when it took the place of other bytes of its name; 0: never

  [[nodiscard]] bool is_wheel() const { return filename.ends_with(".whl"); }
};

struct ProjectPage {
  std::string project;  ///< normalised
  std::vector<ProjectFile> files;
  std::vector<std::string> versions;
  std::string etag;  ///< validators of upstream's answer
  std::string last_modified;
  std::int64_t fetched_ms = 0;  ///< when upstream last said that this is so
  std::size_t skipped = 0;      ///< entries that were left out
  std::string skipped_why;      ///< the first of them

  [[nodiscard]] const ProjectFile* find(std::string_view filename) const;
};

/// PEP 503: lower case, runs of - _ . as one -.
[[nodiscard]] std::string normalize_name(std::string_view name);
/// A name of PEP 508, at most 128 bytes.
[[nodiscard]] bool is_project_name(std::string_view name);
/// A file name that installers take and that is nobody's path.
[[nodiscard]] bool is_file_name(std::string_view name);
/// The version in "name-version-tags.whl" or "name-version.tar.gz" of this project; else empty.
[[nodiscard]] std::string version_in(std::string_view filename, std::string_view project);

/// Errors: kMirrorPage, and those of the JSON reader. `base` is the URL that the page came from.
[[nodiscard]] Result<ProjectPage> parse_json_page(std::string_view project, const Url& base,
                                                  std::string_view untrusted_text);
[[nodiscard]] Result<ProjectPage> parse_html_page(std::string_view project, const Url& base,
                                                  std::string_view untrusted_text);

/// For the cache on disk. from_record refuses what to_record does not write.
[[nodiscard]] std::string to_record(const ProjectPage& page);
[[nodiscard]] Result<ProjectPage> from_record(std::string_view text);

/// First-seen times of `before` for files that are still the same ones; others under a known name
/// are noted as changed, whatever upstream says of their age.
void keep_first_seen(ProjectPage& page, const ProjectPage* before, std::int64_t now_ms);

}  // namespace mlxguard::mirror
