// SPDX-License-Identifier: Apache-2.0
#include "packaging/purl_types.h"

#include <algorithm>
#include <array>

#include "packaging/name.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

enum class Space : std::uint8_t { kOptional, kRequired, kProhibited };

struct TypeRow {
  std::string_view type;
  Space space;
  bool lower_space;
  bool lower_name;
};

// Types that are not here follow the general grammar alone.
constexpr std::array kTypes{
    TypeRow{"alpm", Space::kOptional, true, true},
    TypeRow{"apk", Space::kOptional, true, true},
    TypeRow{"bitbucket", Space::kRequired, true, true},
    TypeRow{"bitnami", Space::kProhibited, false, true},
    TypeRow{"brew", Space::kOptional, true, true},
    TypeRow{"cargo", Space::kProhibited, false, false},
    TypeRow{"cocoapods", Space::kProhibited, false, false},
    TypeRow{"composer", Space::kRequired, true, true},
    TypeRow{"conda", Space::kOptional, false, true},
    TypeRow{"cran", Space::kProhibited, false, false},
    TypeRow{"deb", Space::kOptional, true, true},
    TypeRow{"gem", Space::kProhibited, false, false},
    TypeRow{"git", Space::kRequired, true, true},
    TypeRow{"github", Space::kRequired, true, true},
    TypeRow{"golang", Space::kOptional, true, true},
    TypeRow{"hackage", Space::kProhibited, false, false},
    TypeRow{"hex", Space::kOptional, true, true},
    TypeRow{"mlflow", Space::kProhibited, false, false},
    TypeRow{"npm", Space::kOptional, true, true},
    TypeRow{"nuget", Space::kProhibited, false, false},
    TypeRow{"oci", Space::kProhibited, false, true},
    TypeRow{"opam", Space::kProhibited, false, false},
    TypeRow{"otp", Space::kProhibited, false, true},
    TypeRow{"pub", Space::kProhibited, false, true},
    TypeRow{"pypi", Space::kProhibited, false, true},
    TypeRow{"qpkg", Space::kOptional, true, false},
    TypeRow{"rpm", Space::kOptional, true, false},
    TypeRow{"swift", Space::kRequired, false, false},
    TypeRow{"vcpkg", Space::kProhibited, false, false},
    TypeRow{"vscode-extension", Space::kRequired, true, true},
};

/// 32 letters, each of a to p; a version of up to four numbers.
std::optional<std::string> check_chrome_extension(const Purl& purl) {
  const bool letters =
      std::all_of(purl.name.begin(), purl.name.end(), [](char c) { return c >= 'a' && c <= 'p'; });
  if (purl.name.size() != 32 || !letters) return "the 32 letters of an extension";
  const bool numbers = std::all_of(purl.version.begin(), purl.version.end(),
                                   [](char c) { return is_ascii_digit(c) || c == '.'; });
  if (!numbers || std::count(purl.version.begin(), purl.version.end(), '.') > 3) {
    return "a version of up to four numbers";
  }
  return std::nullopt;
}

/// The first segment is the host; all that follows is the name.
void split_git(Purl& purl) {
  const std::size_t slash = purl.space.find('/');
  if (slash == std::string::npos) return;
  purl.name = purl.space.substr(slash + 1) + "/" + purl.name;
  purl.space.resize(slash);
}

/// What one type alone demands.
std::optional<std::string> apply_own_rules(Purl& purl) {
  if (purl.type == "pypi") {
    std::replace(purl.name.begin(), purl.name.end(), '_', '-');
  } else if (purl.type == "huggingface") {
    purl.version = ascii_lower(purl.version);  // a commit
  } else if (purl.type == "git") {
    split_git(purl);
  } else if (purl.type == "chrome-extension") {
    return check_chrome_extension(purl);
  } else if (purl.type == "cpan") {
    if (purl.name.find("::") != std::string::npos) return "a distribution, not a module";
  } else if (purl.type == "julia") {
    if (!purl.qualifiers.contains("uuid")) return "the qualifier uuid";
  } else if (purl.type == "mlflow") {
    const auto repository = purl.qualifiers.find("repository_url");
    const bool folds_case = repository != purl.qualifiers.end() &&
                            repository->second.find("databricks") != std::string::npos;
    if (folds_case) purl.name = ascii_lower(purl.name);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> apply_type_rules(Purl& purl) {
  const auto row = std::find_if(kTypes.begin(), kTypes.end(),
                                [&](const TypeRow& one) { return one.type == purl.type; });
  if (row != kTypes.end()) {
    if (row->lower_space) purl.space = ascii_lower(purl.space);
    if (row->lower_name) purl.name = ascii_lower(purl.name);
    if (row->space == Space::kRequired && purl.space.empty()) return "a namespace";
    if (row->space == Space::kProhibited && !purl.space.empty()) return "no namespace";
  }
  return apply_own_rules(purl);
}

}  // namespace mlxguard::packaging
