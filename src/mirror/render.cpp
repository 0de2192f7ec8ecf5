// SPDX-License-Identifier: Apache-2.0
#include "mirror/render.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/ascii.h"
#include "codec/json.h"
#include "codec/text.h"
#include "mirror/html.h"

namespace mlxguard::mirror {
namespace {

struct MediaRow {
  std::string_view accepted;
  PageFormat format;
};
// In the order in which equals are preferred.
constexpr std::array<MediaRow, 5> kMediaTypes = {{
    {"application/vnd.pypi.simple.v1+json", PageFormat::kJson},
    {"application/vnd.pypi.simple.latest+json", PageFormat::kJson},
    {"application/vnd.pypi.simple.v1+html", PageFormat::kHtml},
    {"application/vnd.pypi.simple.latest+html", PageFormat::kHtml},
    {"text/html", PageFormat::kPlainHtml},
}};

std::string lowered(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    out += ascii_lower(c);
  }
  return out;
}

std::string link_to(const ProjectPage& page, const ProjectFile& file) {
  return "../../files/" + page.project + "/" + percent_encode(file.filename);
}

/// PEP 700 promises a size for every file.
bool every_size_known(const FileList& shown) {
  return std::all_of(shown.begin(), shown.end(),
                     [](const ProjectFile* file) { return file->size_bytes.has_value(); });
}

/// Versions whose files are all left out are left out too: a resolver would only stumble over them.
std::vector<std::string> versions_of(const ProjectPage& page, const FileList& shown) {
  std::set<std::string_view> with_files;
  for (const ProjectFile& file : page.files) with_files.insert(file.version);
  std::set<std::string_view> visible;
  for (const ProjectFile* file : shown) visible.insert(file->version);
  std::vector<std::string> versions;
  for (const std::string& version : page.versions) {
    if (!with_files.contains(version) || visible.contains(version)) versions.push_back(version);
  }
  return versions;
}

void write_entry(codec::JsonWriter& json, const ProjectPage& page, const ProjectFile& file) {
  json.begin_object().field("filename", file.filename).field("url", link_to(page, file));
  json.key("hashes").begin_object();
  if (!file.sha256.empty()) json.field("sha256", file.sha256);
  json.end_object();
  if (!file.requires_python.empty()) json.field("requires-python", file.requires_python);
  for (const std::string_view key : {"core-metadata", "dist-info-metadata"}) {
    if (file.metadata_sha256.empty()) {
      json.key(key).boolean(false);
    } else {
      json.key(key).begin_object().field("sha256", file.metadata_sha256).end_object();
    }
  }
  json.key("yanked");
  if (file.yanked && !file.yanked->empty()) {
    json.string(*file.yanked);
  } else {
    json.boolean(file.yanked.has_value());
  }
  if (file.size_bytes) json.key("size").unsigned_integer(*file.size_bytes);
  if (file.upload_time_ms) json.field("upload-time", codec::to_rfc3339(*file.upload_time_ms));
  json.end_object();
}

}  // namespace

std::string render_json(const ProjectPage& page, const FileList& shown, const RenderNotes& notes) {
  codec::JsonWriter json;
  json.begin_object().key("meta").begin_object();
  json.field("api-version", every_size_known(shown) ? "1.1" : "1.0");
  json.key("_mlxguard").begin_object().field("fetched", codec::to_rfc3339(page.fetched_ms));
  json.field("stale_seconds", notes.stale_ms / 1000);
  json.field("held_files", static_cast<std::int64_t>(notes.held_files));
  json.field("not_allowed_files", static_cast<std::int64_t>(notes.unlisted_files));
  json.field("skipped_entries", static_cast<std::int64_t>(page.skipped));
  json.end_object().end_object();
  json.field("name", page.project).key("versions").begin_array();
  for (const std::string& version : versions_of(page, shown)) json.string(version);
  json.end_array().key("files").begin_array();
  for (const ProjectFile* file : shown) write_entry(json, page, *file);
  json.end_array().end_object();
  return std::move(json).take();
}

std::string render_html(const ProjectPage& page, const FileList& shown, const RenderNotes& notes) {
  std::string out =
      "<!DOCTYPE html>\n<html>\n<head>\n"
      "<meta name=\"pypi:repository-version\" content=\"1.0\">\n";
  if (notes.stale_ms > 0) {
    out += "<meta name=\"mlxguard:stale-seconds\" content=\"" +
           std::to_string(notes.stale_ms / 1000) + "\">\n";
  }
  if (notes.held_files > 0) {
    out += "<meta name=\"mlxguard:held-files\" content=\"" + std::to_string(notes.held_files) +
           "\">\n";
  }
  out += "<title>Links for " + page.project + "</title>\n</head>\n<body>\n<h1>Links for " +
         page.project + "</h1>\n";
  for (const ProjectFile* file : shown) {
    out += "<a href=\"" + link_to(page, *file);
    if (!file->sha256.empty()) out += "#sha256=" + file->sha256;
    out += '"';
    if (!file->requires_python.empty()) {
      out += " data-requires-python=\"" + escape_html(file->requires_python) + '"';
    }
    if (!file->metadata_sha256.empty()) {
      out += " data-core-metadata=\"sha256=" + file->metadata_sha256 +
             "\" data-dist-info-metadata=\"sha256=" + file->metadata_sha256 + '"';
    }
    if (file->yanked) out += " data-yanked=\"" + escape_html(*file->yanked) + '"';
    out += '>' + escape_html(file->filename) + "</a><br>\n";
  }
  return out + "</body>\n</html>\n";
}

std::string render_projects_json(const std::vector<std::string>& names) {
  codec::JsonWriter json;
  json.begin_object().key("meta").begin_object().field("api-version", "1.0").end_object();
  json.key("projects").begin_array();
  for (const std::string& name : names) json.begin_object().field("name", name).end_object();
  json.end_array().end_object();
  return std::move(json).take();
}

std::string render_projects_html(const std::vector<std::string>& names) {
  std::string out =
      "<!DOCTYPE html>\n<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"1.0\">\n"
      "<title>Simple index</title>\n</head>\n<body>\n";
  for (const std::string& name : names) {
    out += "<a href=\"" + escape_html(name) + "/\">" + escape_html(name) + "</a><br>\n";
  }
  return out + "</body>\n</html>\n";
}

std::string_view media_type(PageFormat format) {
  switch (format) {
    case PageFormat::kJson:
      return "application/vnd.pypi.simple.v1+json";
    case PageFormat::kHtml:
      return "application/vnd.pypi.simple.v1+html; charset=utf-8";
    case PageFormat::kPlainHtml:
      return "text/html; charset=utf-8";
  }
  return {};
}

std::optional<PageFormat> find_format(std::string_view text) {
  for (const MediaRow& row : kMediaTypes) {
    if (row.accepted == text) return row.format;
  }
  return std::nullopt;
}

std::optional<PageFormat> negotiate(std::string_view untrusted_accept) {
  const std::string accept = lowered(untrusted_accept);
  if (accept.empty()) return PageFormat::kPlainHtml;
  std::optional<PageFormat> best;
  double best_quality = 0;
  std::size_t at = 0;
  while (at <= accept.size()) {
    const std::size_t comma = std::min(accept.find(',', at), accept.size());
    const std::string_view item = std::string_view(accept).substr(at, comma - at);
    at = comma + 1;
    const std::string_view type = item.substr(0, item.find(';'));
    double quality = 1;
    if (const auto q = item.find(";q="); q != std::string_view::npos) {
      const char* begin = item.data() + q + 3;
      const char* end = item.data() + item.size();
      if (std::from_chars(begin, end, quality).ec != std::errc()) quality = 0;
    }
    std::optional<PageFormat> format = find_format(type);
    if (type == "*/*" || type == "text/*") format = PageFormat::kPlainHtml;
    if (type == "application/*") format = PageFormat::kJson;
    if (format && quality > best_quality) {
      best = format;
      best_quality = quality;
    }
  }
  return best;
}

}  // namespace mlxguard::mirror
