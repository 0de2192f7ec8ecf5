// SPDX-License-Identifier: Apache-2.0
#include "inventory/sbom_text.h"

#include <string>

#include "base/ascii.h"
#include "codec/text.h"

namespace mlxguard::inventory {

bool is_uuid_urn(std::string_view text) {
  constexpr std::string_view kPrefix = "urn:uuid:";
  constexpr std::size_t kBytes = 36;
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + kBytes) return false;
  text.remove_prefix(kPrefix.size());
  for (std::size_t i = 0; i < kBytes; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !hex_digit_value(text[i])) return false;
  }
  return true;
}

bool is_timestamp(std::string_view text) {
  if (text.size() < 20 || (text[10] != 'T' && text[10] != 't')) return false;
  const std::string_view zone = text.substr(19);
  const std::size_t sign = zone.find_first_of("Zz+-");
  if (sign == std::string_view::npos) return false;
  return codec::from_rfc3339(std::string(text.substr(0, 19)) + "Z").has_value();
}

}  // namespace mlxguard::inventory
