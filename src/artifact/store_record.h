// SPDX-License-Identifier: Apache-2.0
// The text of a stored model's record. Read only after its keyed digest verified.
#pragma once

#include "artifact/store.h"

namespace mlxguard::artifact {

[[nodiscard]] std::string write_record_text(const StoredModel& model);
/// Errors: kStoreReceipt.
[[nodiscard]] Result<StoredModel> read_record_text(std::string_view text);

}  // namespace mlxguard::artifact
