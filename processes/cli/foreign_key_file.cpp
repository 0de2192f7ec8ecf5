// SPDX-License-Identifier: Apache-2.0
// Key files of other tools' users. Where ours are refused if anyone else may write them, these are
// not ours to set rights on: a checkout under umask 002 lets the user's own group write every file.
// What everybody may write is refused all the same.
#include "foreign_key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::cli {

Result<crypto::Secret> read_foreign_key_file(const Session& session, const std::string& file,
                                             std::size_t bytes_max) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.is_open()) return os_error("open", file);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file);
  if (!S_ISREG(status.st_mode) || (status.st_mode & S_IWOTH) != 0) {
    return make_error(ErrorCode::kKeyPermissions, "expected a file that not everybody may write")
        .about(file);
  }
  if ((status.st_mode & S_IWGRP) != 0) {
    session.output().note("note: the key's file can be written by its group: " + printable(file));
  }
  // One byte more than the file has: when that stays empty, the file was read to its end.
  const auto whole = static_cast<std::uint64_t>(status.st_size);
  crypto::Secret text(static_cast<std::size_t>(std::min<std::uint64_t>(whole, bytes_max)) + 1);
  std::size_t size = 0;
  for (;;) {
    const ssize_t count = ::read(fd.get(), text.writable().data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", file);
    size += static_cast<std::size_t>(count);
    if (count == 0) break;
    if (size == text.size()) {
      return make_error(ErrorCode::kTooLarge, "larger than a key file may be").about(file);
    }
  }
  text.shrink(size);
  return text;
}

Result<std::vector<crypto::Certificate>> read_certificates(const Session& session,
                                                           const std::vector<std::string>& files) {
  std::vector<crypto::Certificate> all;
  for (const std::string& file : files) {
    MLXGUARD_TRY_ASSIGN(const crypto::Secret text, read_foreign_key_file(session, file));
    auto read = crypto::Certificate::from_pem(text.text());
    if (!read) return std::move(read).error().about(file);
    all.insert(all.end(), read->begin(), read->end());
  }
  return all;
}

std::string_view pem_block(std::string_view text, std::span<const std::string_view> kinds) {
  for (const std::string_view kind : kinds) {
    const std::string begin = "-----BEGIN " + std::string(kind) + "-----";
    const std::string end = "-----END " + std::string(kind) + "-----";
    const std::size_t from = text.find(begin);
    const std::size_t to = from == text.npos ? text.npos : text.find(end, from);
    if (to == text.npos) continue;
    const std::size_t after = to + end.size();
    return text.substr(from, after + (text.substr(after).starts_with('\n') ? 1 : 0) - from);
  }
  return text;
}

}  // namespace mlxguard::cli
