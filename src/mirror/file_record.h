// SPDX-License-Identifier: Apache-2.0
// A FileRecord as JSON, for the store.
#pragma once

#include <string>
#include <string_view>

#include "mirror/store.h"

namespace mlxguard::mirror {

[[nodiscard]] std::string to_json(const FileRecord& record);
/// Errors: those of the JSON reader, kJsonMissing, kJsonType.
[[nodiscard]] Result<FileRecord> file_record_from(std::string_view json);

}  // namespace mlxguard::mirror
