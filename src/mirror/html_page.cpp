// SPDX-License-Identifier: Apache-2.0
// PEP 503, 592, 629, 658, 714: a project page in HTML.
#include "base/ascii.h"
#include "mirror/html.h"
#include "mirror/page_entries.h"
#include "packaging/scan.h"

namespace mlxguard::mirror {
namespace {

constexpr std::string_view kSha256 = "sha256=";

Error left_out(std::string message) {
  return make_error(ErrorCode::kMirrorPage, std::move(message));
}

/// "sha256=..." as it stands in a fragment or in data-core-metadata; empty for any other hash.
std::string sha256_in(std::string_view text) {
  return text.starts_with(kSha256) ? std::string(text.substr(kSha256.size())) : std::string();
}

/// A page without files that does not say that it is an index: a project without files has a page
/// without links, or with the title that indexes have; a page for people has forms or other links.
bool looks_like_index(std::string_view text, const ProjectPage& page) {
  const std::string lower = ascii_lower(text);
  if (lower.find("links for ") != std::string::npos) return true;
  const bool has_form = lower.find("<form") != std::string::npos ||
                        lower.find("<input") != std::string::npos ||
                        lower.find("<script") != std::string::npos;
  return page.skipped == 0 && !has_form;
}

Result<ProjectFile> read_anchor(const Url& base, const Anchor& anchor) {
  const std::string* href = anchor.find("href");
  if (href == nullptr) return left_out("a link without href");
  ProjectFile file;
  MLXGUARD_TRY_ASSIGN(const Url absolute, resolve_url(base, *href));
  file.url = absolute.text();
  MLXGUARD_TRY_ASSIGN(file.filename,
                      percent_decode(absolute.path.substr(absolute.path.rfind('/') + 1)));
  if (const auto hash = href->find('#'); hash != std::string::npos) {
    file.sha256 = sha256_in(std::string_view(*href).substr(hash + 1));
  }
  for (const std::string_view name : {"data-core-metadata", "data-dist-info-metadata"}) {
    const std::string* value = anchor.find(name);
    if (value == nullptr) continue;
    file.metadata_sha256 = sha256_in(*value);
    break;
  }
  if (const std::string* value = anchor.find("data-requires-python")) file.requires_python = *value;
  if (const std::string* value = anchor.find("data-yanked")) file.yanked = *value;
  return file;
}

}  // namespace

Result<ProjectPage> parse_html_page(std::string_view project, const Url& base,
                                    std::string_view untrusted_text) {
  MLXGUARD_TRY_ASSIGN(const HtmlIndex index, parse_html_index(untrusted_text));
  const std::string_view version = index.repository_version;
  if (!version.empty() && version != "1" && !version.starts_with("1.")) {
    return left_out("an index of an API version that is not 1.x");
  }
  PageBuilder builder(project);
  for (const Anchor& anchor : index.anchors) builder.add(read_anchor(base, anchor));
  ProjectPage page = std::move(builder).take();
  if (page.files.empty() && version.empty() && !looks_like_index(untrusted_text, page)) {
    return left_out("a page that is no index, such as a login page");
  }
  return page;
}

}  // namespace mlxguard::mirror
