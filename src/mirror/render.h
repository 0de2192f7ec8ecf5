// SPDX-License-Identifier: Apache-2.0
// What the mirror answers: its own project pages, made anew from a ProjectPage, so that nothing of
// the upstream's bytes reaches a client unescaped. Links lead to the mirror, never to upstream.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mirror/project_page.h"

namespace mlxguard::mirror {

struct RenderNotes {
  std::int64_t stale_ms = 0;       ///< how old the page is, when upstream does not answer; else 0
  std::size_t held_files = 0;      ///< files left out for their age
  std::size_t unlisted_files = 0;  ///< files left out since the allow-list does not have them
};

using FileList = std::vector<const ProjectFile*>;

/// application/vnd.pypi.simple.v1+json
[[nodiscard]] std::string render_json(const ProjectPage& page, const FileList& shown,
                                      const RenderNotes& notes);
/// text/html and application/vnd.pypi.simple.v1+html
[[nodiscard]] std::string render_html(const ProjectPage& page, const FileList& shown,
                                      const RenderNotes& notes);
[[nodiscard]] std::string render_projects_json(const std::vector<std::string>& names);
[[nodiscard]] std::string render_projects_html(const std::vector<std::string>& names);

enum class PageFormat : std::uint8_t { kJson, kHtml, kPlainHtml };
/// The Content-Type of an answer.
[[nodiscard]] std::string_view media_type(PageFormat format);
/// PEP 691 content negotiation; nothing if no offered type is accepted (406). An empty header
/// accepts anything and gets plain HTML.
[[nodiscard]] std::optional<PageFormat> negotiate(std::string_view untrusted_accept);
/// The URL parameter `format`.
[[nodiscard]] std::optional<PageFormat> find_format(std::string_view media_type_text);

}  // namespace mlxguard::mirror
