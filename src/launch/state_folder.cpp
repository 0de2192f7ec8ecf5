// SPDX-License-Identifier: Apache-2.0
#include "launch/state_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/os_error.h"

namespace mlxguard::launch {

Result<void> prepare_state(const std::filesystem::path& state) {
  std::error_code ignored;  // mkdir below reports what matters
  std::filesystem::create_directories(state.parent_path(), ignored);
  if (::mkdir(state.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", state.string());
  }
  struct stat status {};
  if (::stat(state.c_str(), &status) != 0) return os_error("stat", state.string());
  const bool is_folder = S_ISDIR(status.st_mode);
  if (!is_folder || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 || status.st_uid != ::geteuid()) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "the state folder belongs to, or can be written by, someone else")
        .about(state.string())
        .hinting("chmod 700 it, or choose another with --state DIR");
  }
  return {};
}

}  // namespace mlxguard::launch
