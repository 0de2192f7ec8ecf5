// SPDX-License-Identifier: Apache-2.0
// Which path of the mirror is what: every one is named here, and all else is not found.
#include <algorithm>

#include "codec/json.h"
#include "mirror.h"
#include "release_json.h"

namespace mlxguard::mirror {
namespace {

/// Path segments, percent-decoded; nothing if one of them is no plain name.
std::optional<std::vector<std::string>> segments_of(std::string_view path) {
  std::vector<std::string> segments;
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    auto segment = percent_decode(path.substr(0, slash));
    if (!segment || segment->find('/') != std::string::npos) return std::nullopt;
    segments.push_back(*std::move(segment));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

std::optional<PageFormat> format_of(const Request& request, std::string_view query) {
  if (query.starts_with("format=")) {
    const auto text = percent_decode(query.substr(7));
    return text ? find_format(*text) : std::nullopt;
  }
  return negotiate(request.accept);
}

}  // namespace

Task<Answer> Mirror::route(const Request& request, Patience& patience) {
  const std::string_view target = request.target;
  const auto question = std::min(target.find('?'), target.size());
  const std::string_view query = target.substr(std::min(question + 1, target.size()));
  const auto path = segments_of(target.substr(0, question));
  if (!path) co_return not_found("not a path of the mirror");
  const std::vector<std::string>& at = *path;
  if (at.size() == 1 && at[0].empty()) {
    co_return text_answer("text/plain; charset=utf-8",
                          "mlxguard mirror: a package index at /simple/, its state at /-/status\n");
  }
  if (at.size() == 2 && at[0] == "-" && at[1] == "status") co_return status();
  if (at[0] == "simple") {
    if (at.size() == 1) co_return redirect("/simple/");
    const auto format = format_of(request, query);
    if (!format) {
      co_return problem(406, make_error(ErrorCode::kMediaTypeUnsupported,
                                        "the index is JSON or HTML of the simple API, version 1"));
    }
    if (at.size() == 2 && at[1].empty()) co_return projects(*format);
    if (at.size() > 3 || !is_project_name(at[1])) co_return not_found("not a project's name");
    const std::string project = normalize_name(at[1]);
    if (at.size() == 2 || project != at[1]) co_return redirect("/simple/" + project + "/");
    if (!at[2].empty()) co_return not_found("not a path of the mirror");
    co_return co_await project_page(request, project, *format, patience);
  }
  if (at[0] == "files" && at.size() == 3 && is_project_name(at[1])) {
    const std::string project = normalize_name(at[1]);
    constexpr std::string_view kMetadata = ".metadata";
    if (at[2].ends_with(kMetadata)) {
      std::string filename = at[2].substr(0, at[2].size() - kMetadata.size());
      co_return co_await metadata(request, project, std::move(filename), patience);
    }
    co_return co_await file(request, project, at[2], patience);
  }
  const bool release = at[0] == "pypi" && (at.size() == 3 || at.size() == 4) && at.back() == "json";
  if (release && is_project_name(at[1])) {
    if (at.size() == 3) {
      co_return not_found("vulnerabilities are told of a version: /pypi/NAME/VERSION/json");
    }
    co_return release_answer(normalize_name(at[1]), at[2], parts_.scanner, parts_.policy);
  }
  co_return not_found("not a path of the mirror");
}

Answer Mirror::projects(PageFormat format) const {
  // Only those that have been asked for: the whole list of an upstream is large, and installers do
  // not need it.
  const std::vector<std::string> names = parts_.store.projects();
  return text_answer(media_type(format), format == PageFormat::kJson ? render_projects_json(names)
                                                                     : render_projects_html(names));
}

Answer Mirror::status() const {
  const PolicyOptions& policy = parts_.policy.options();
  codec::JsonWriter json;
  json.begin_object().field("upstream", parts_.upstream.index().text());
  json.field("scanner", parts_.scanner.description());
  json.field("cooldown_seconds", policy.cooldown.count() / 1000);
  json.key("accepted").begin_array();
  for (const Unknown unknown : policy.accepted) {
    json.string(unknown_rows()[static_cast<std::size_t>(unknown)].name);
  }
  json.end_array();
  json.field("allow_list_files",
             policy.allow_list ? static_cast<std::int64_t>(policy.allow_list->files()) : -1);
  json.field("vulnerabilities",
             "/pypi/NAME/VERSION/json answers from the mirror's own database; 503 "
             "where it could not tell");
  json.end_object();
  return text_answer("application/json", std::move(json).take() + "\n");
}

}  // namespace mlxguard::mirror
