// SPDX-License-Identifier: Apache-2.0
#include "inventory/environment_elsewhere.h"

#include <algorithm>

#include "packaging/name.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

Error not_read(const std::string& what) { return make_error(ErrorCode::kDepsEnvironment, what); }

}  // namespace

void observe_elsewhere(const EnvironmentPlace& place, Builder& builder) {
  for (const std::string& what : place.elsewhere) {
    builder.observe(Observation::Kind::kUnreadable, "", "",
                    not_read(what + " can be imported too, and are not looked into here")
                        .hinting("scan them by themselves"));
  }
}

void observe_egg(const std::string& path, Builder& builder) {
  if (!path.ends_with(".egg") && !path.ends_with(".egg-link")) return;
  builder.observe(Observation::Kind::kUnreadable, "", path,
                  not_read("a package in a form that is not looked into (egg)"));
}

void observe_added_folders(const fs::path& site, const std::string& path, std::string_view text,
                           std::span<const Distribution> known, Builder& builder) {
  for (const std::string_view folder : path_file_folders(text)) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(site / folder, ignored)) {
      const std::string info = entry.path().filename().string();
      if (!is_info_folder(info) && !info.ends_with(".egg")) continue;
      const std::string name =
          packaging::normalize_name(info.substr(0, std::min(info.find('-'), info.rfind('.'))));
      const bool listed = std::any_of(known.begin(), known.end(),
                                      [&](const Distribution& one) { return one.name == name; });
      if (listed) continue;
      builder.observe(Observation::Kind::kUnreadable, "", path,
                      not_read("adds a folder with a package that is not looked into: " + name));
    }
  }
}

}  // namespace mlxguard::inventory
