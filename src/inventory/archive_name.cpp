// SPDX-License-Identifier: Apache-2.0
#include "inventory/archive_name.h"

#include "inventory/files.h"
#include "packaging/name.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

/// A URL writes the '+' of a local version in this way.
std::string with_plus(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::string_view three = text.substr(at, 3);
    const bool plus = three == "%2B" || three == "%2b";
    out += plus ? '+' : text[at];
    if (plus) at += 2;
  }
  return out;
}

ArchiveName checked(std::string_view name, std::string_view written) {
  std::string version = with_plus(written);
  if (!packaging::is_name(name) || !packaging::Version::parse(version)) return {};
  return {std::string(name), std::move(version)};
}

}  // namespace

ArchiveName archive_name(std::string_view place) {
  std::string_view file = base_name(place.substr(0, place.find_first_of("?#")));
  if (file.ends_with(".whl")) {
    const auto first = file.find('-');
    if (first == std::string_view::npos) return {};
    const std::string_view rest = file.substr(first + 1);
    return checked(file.substr(0, first), rest.substr(0, rest.find('-')));
  }
  for (const std::string_view ending : {".tar.gz", ".zip"}) {
    if (!file.ends_with(ending)) continue;
    file.remove_suffix(ending.size());
    const auto last = file.rfind('-');
    if (last == std::string_view::npos) return {};
    return checked(file.substr(0, last), file.substr(last + 1));
  }
  return {};
}

}  // namespace mlxguard::inventory
