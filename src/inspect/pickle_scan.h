// SPDX-License-Identifier: Apache-2.0
// What a pickle imports when it is loaded. Its opcodes are read one by one with a symbolic stack,
// so that names that are put together from the memo are seen as well; nothing is executed, imported
// or built. Input: bytes chosen by an attacker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/byte_reader.h"
#include "inspect/finding.h"

namespace mlxguard::inspect {

/// How much an import may do.
enum class ImportDanger : std::uint8_t { kHarmless, kUnknown, kRunsCode };
[[nodiscard]] ImportDanger danger_of_import(std::string_view module, std::string_view name);

/// Whether an unpickler would get anywhere with these bytes: they are a pickle from their first to
/// their last byte, or import something on the way. Told by reading them, since old pickles carry
/// no mark.
[[nodiscard]] bool is_pickle(Bytes file);

/// Every pickle in these bytes, one after another. `offset` is where the bytes begin in the file.
void scan_pickle(Bytes file, std::uint64_t offset, Findings& findings);

}  // namespace mlxguard::inspect
