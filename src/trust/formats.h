// SPDX-License-Identifier: Apache-2.0
// Which format a model's file is, told by its name and by its first bytes. Input: bytes chosen by
// an attacker. A file is every format that it may be taken for: `weights.safetensors` that begins
// like a pickle is both, and a policy must allow both. Not a parser: what is allowed is still read
// strictly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"

namespace mlxguard::trust {

/// How many bytes from the start of a file decide.
inline constexpr std::size_t kFormatHeadBytes = 512;

/// The formats of one file, sorted; never empty. Formats that hold no weights and run no code
/// (json, text, image, tokenizer) need no policy's leave; `other` is what nothing here knows.
[[nodiscard]] std::vector<std::string> formats_of(std::string_view name, Bytes head);

[[nodiscard]] bool is_format_name(std::string_view format);
/// Whether files of this format are allowed whatever a policy lists.
[[nodiscard]] bool is_companion(std::string_view format);
[[nodiscard]] std::string format_names();  ///< "safetensors, gguf, ..."

}  // namespace mlxguard::trust
