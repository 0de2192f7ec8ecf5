// SPDX-License-Identifier: Apache-2.0
// Reads whole files into memory, within a bound. Every file that a user, an operator or a
// configuration names is read here, so that a folder, a device that never ends (/dev/zero) or a
// file that grows meanwhile is an error and nothing else. The content is untrusted: the caller
// parses it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard {

enum class Links : std::uint8_t {
  kFollow,  ///< a file that a person names: a symbolic link is theirs to use
  kRefuse,  ///< a file of our own state: a symbolic link there was not made by us
};

enum class FileKind : std::uint8_t {
  kRegular,   ///< a regular file only
  kReadable,  ///< also a pipe or a character device: `<(command)`, /dev/stdin, /dev/null
};

struct OpenedFile {
  UniqueFd fd;
  std::uint32_t mode = 0;        ///< st_mode
  std::uint32_t owner = 0;       ///< st_uid
  std::uint64_t size_bytes = 0;  ///< st_size, 0 for what is no regular file
};

/// Opens `path` for reading. A pipe that nobody has opened for writing is not waited for here.
/// Errors, all about `path`: kNotFound, kPermission, kIo (a folder, a socket, a block device, or a
/// kind of file that `kind` does not allow; a symbolic link where they are refused).
[[nodiscard]] Result<OpenedFile> open_for_reading(const std::filesystem::path& path,
                                                  FileKind kind = FileKind::kReadable,
                                                  Links links = Links::kFollow);

/// Everything from the descriptor's position to its end. Waits for a pipe's writers. `subject` is
/// what errors are about. Errors: kTooLarge when there are more than `bytes_max` bytes, kIo.
[[nodiscard]] Result<std::string> read_to_end(int fd, std::uint64_t bytes_max,
                                              std::string_view subject);

/// open_for_reading and read_to_end. Errors: those of both.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::uint64_t bytes_max,
                                            FileKind kind = FileKind::kReadable,
                                            Links links = Links::kFollow);

/// Writes all of `text` to the descriptor. Errors: kNoSpace, kIo.
[[nodiscard]] Result<void> write_all(int fd, std::string_view text, std::string_view subject);

/// Flushes standard output and says whether everything that was printed arrived there: a program
/// whose result went to a full disk has failed. Errors: kIo.
[[nodiscard]] Result<void> finish_standard_output();

}  // namespace mlxguard
