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
    TypeRow{"cargo", Space::kProhibited, false, false},
    TypeRow{"cocoapods", Space::kProhibited, false, false},
    TypeRow{"composer", Space::kRequired, true, true},
    TypeRow{"conda", Space::kOptional, false, true},
    TypeRow{"cran", Space::kProhibited, false, false},
    TypeRow{"deb", Space::kOptional, true, true},
    TypeRow{"gem", Space::kProhibited, false, false},
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
    TypeRow{"vscode-extension", Space::kRequired, true, true},
};

}  // namespace

std::optional<std::string> apply_type_rules(Purl& purl) {
  const auto row = std::find_if(kTypes.begin(), kTypes.end(),
                                [&](const TypeRow& one) { return one.type == purl.type; });
  if (row != kTypes.end()) {
    if (row->lower_space) purl.space = to_lower(purl.space);
    if (row->lower_name) purl.name = to_lower(purl.name);
    if (row->space == Space::kRequired && purl.space.empty()) return "a namespace";
    if (row->space == Space::kProhibited && !purl.space.empty()) return "no namespace";
  }
  if (purl.type == "pypi") {
    std::replace(purl.name.begin(), purl.name.end(), '_', '-');
  } else if (purl.type == "huggingface") {
    purl.version = to_lower(purl.version);  // a commit
  }
  return std::nullopt;
}

}  // namespace mlxguard::packaging
