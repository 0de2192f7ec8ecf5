// SPDX-License-Identifier: Apache-2.0
#include "base/os_error.h"

#include <system_error>

namespace mlxguard {

Error os_error(std::string_view doing, std::string_view subject, int error_number, const char* file,
               int line) {
  ErrorCode code = ErrorCode::kIo;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      code = ErrorCode::kNotFound;
      break;
    case EACCES:
    case EPERM:
      code = ErrorCode::kPermission;
      break;
    case EEXIST:
      code = ErrorCode::kAlreadyExists;
      break;
    case ENOSPC:
    case EDQUOT:
      code = ErrorCode::kNoSpace;
      break;
    default:
      break;
  }
  std::string message(doing);
  if (!subject.empty()) message.append(" ").append(subject);
  message.append(": ").append(std::generic_category().message(error_number));
  return make_error(code, std::move(message), file, line).about(std::string(subject));
}

}  // namespace mlxguard
