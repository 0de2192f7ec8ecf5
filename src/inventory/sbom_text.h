// SPDX-License-Identifier: Apache-2.0
// Forms of text that CycloneDX asks for. Internal to this folder.
#pragma once

#include <string_view>

namespace mlxguard::inventory {

/// urn:uuid:...
[[nodiscard]] bool is_uuid_urn(std::string_view text);
/// RFC 3339 date and time; a date alone is none.
[[nodiscard]] bool is_timestamp(std::string_view text);

}  // namespace mlxguard::inventory
