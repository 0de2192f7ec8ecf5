// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_platform.h"

#include <algorithm>

#include "inventory/requirement_graph.h"

namespace mlxguard::inventory {
namespace {

constexpr LockPlatform kPlatforms[] = {
    {"linux-x86_64", "x86_64-unknown-linux-gnu",
     "sys_platform == 'linux' and platform_machine == 'x86_64'"},
    {"linux-aarch64", "aarch64-unknown-linux-gnu",
     "sys_platform == 'linux' and platform_machine == 'aarch64'"},
    {"macos-arm64", "aarch64-apple-darwin",
     "sys_platform == 'darwin' and platform_machine == 'arm64'"},
    {"macos-x86_64", "x86_64-apple-darwin",
     "sys_platform == 'darwin' and platform_machine == 'x86_64'"},
    {"windows-x86_64", "x86_64-pc-windows-msvc",
     "sys_platform == 'win32' and platform_machine == 'AMD64'"},
};

/// "3.11.7" is "==3.11.*".
std::string same_minor(const std::string& version) {
  const auto first = version.find('.');
  if (first == std::string::npos) return {};
  return "==" + version.substr(0, version.find('.', first + 1)) + ".*";
}

}  // namespace

std::string lock_platform_names() {
  std::string names;
  for (const LockPlatform& row : kPlatforms) {
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names;
}

Result<std::vector<const LockPlatform*>> lock_platforms(const std::vector<std::string>& names) {
  std::vector<const LockPlatform*> rows;
  for (const std::string& name : names) {
    const auto* row = std::find_if(std::begin(kPlatforms), std::end(kPlatforms),
                                   [&](const LockPlatform& one) { return one.name == name; });
    if (row == std::end(kPlatforms)) {
      return make_error(ErrorCode::kUsage, "a platform that is not known: " + name)
          .hinting("known are " + lock_platform_names());
    }
    if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
  }
  return rows;
}

LockTerms terms_for(const std::string& python, const std::vector<const LockPlatform*>& platforms) {
  LockTerms terms;
  terms.requires_python = same_minor(python);
  for (const LockPlatform* row : platforms) terms.environments.emplace_back(row->marker);
  if (!platforms.empty()) return terms;
  const auto here = markers_of_this_machine(python);
  terms.environments.push_back("sys_platform == '" + here.values.at("sys_platform") +
                               "' and platform_machine == '" +
                               here.values.at("platform_machine") + "'");
  return terms;
}

}  // namespace mlxguard::inventory
