// SPDX-License-Identifier: Apache-2.0
// Index pages from upstream, in both forms. Whatever is taken from one has safe names, links that
// lead somewhere over http(s), and digests; it survives the cache; and the page that installers get
// of it reads back as the same files.
#include <cstddef>
#include <cstdint>

#include "mirror/page_entries.h"
#include "mirror/render.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {

constexpr std::string_view kProject = "some-name";

void check_files(const ProjectPage& page) {
  for (const ProjectFile& file : page.files) {
    MLXGUARD_CHECK(is_file_name(file.filename) && file.filename.find('/') == std::string::npos);
    MLXGUARD_CHECK(!file.version.empty() && page.find(file.filename) == &file);
    MLXGUARD_CHECK(file.sha256.empty() || is_sha256(file.sha256));
    MLXGUARD_CHECK(file.metadata_sha256.empty() || is_sha256(file.metadata_sha256));
    const auto url = parse_url(file.url);
    MLXGUARD_CHECK(url && url->credentials.empty() && url->text() == file.url);
  }
}

void check_same(const ProjectPage& page, const Result<ProjectPage>& again) {
  MLXGUARD_CHECK(again && again->skipped == 0 && again->files.size() == page.files.size());
  for (std::size_t i = 0; i < page.files.size(); ++i) {
    const ProjectFile &one = page.files[i], &other = again->files[i];
    MLXGUARD_CHECK(one.filename == other.filename && one.version == other.version);
    MLXGUARD_CHECK(one.sha256 == other.sha256 && one.metadata_sha256 == other.metadata_sha256);
    MLXGUARD_CHECK(one.requires_python == other.requires_python && one.yanked == other.yanked);
  }
}

void check_page(const ProjectPage& page, const Url& mirror) {
  check_files(page);
  const auto stored = from_record(to_record(page));
  MLXGUARD_CHECK(stored && stored->files.size() == page.files.size());
  FileList shown;
  for (const ProjectFile& file : page.files) shown.push_back(&file);
  check_same(page, parse_json_page(kProject, mirror, render_json(page, shown, {})));
  check_same(page, parse_html_page(kProject, mirror, render_html(page, shown, {})));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Url upstream = *parse_url("https://index.example/simple/some-name/");
  const Url mirror = *parse_url("http://127.0.0.1:8089/simple/some-name/");
  if (const auto page = parse_json_page(kProject, upstream, text)) check_page(*page, mirror);
  if (const auto page = parse_html_page(kProject, upstream, text)) check_page(*page, mirror);
  return 0;
}
