// SPDX-License-Identifier: Apache-2.0
// Turns errno into an Error with the right code.
#pragma once

#include <cerrno>
#include <string_view>

#include "base/result.h"

namespace mlxguard {

/// `doing` names the call and `subject` what it was about: "open model.safetensors: no such file".
/// ENOENT, EACCES/EPERM, EEXIST, ENOSPC/EDQUOT map to their own codes, all else to kIo.
Error os_error(std::string_view doing, std::string_view subject = {}, int error_number = errno,
               const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace mlxguard
