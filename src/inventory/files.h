// SPDX-License-Identifier: Apache-2.0
// Files of an environment: read whole and bounded, written as a whole or not at all. Links are
// followed where Python would follow them (environments consist of links); what is not a regular
// file is refused.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::inventory {

/// Errors: kNotFound, kPermission, kIo (no regular file), kTooLarge.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& file,
                                            std::uint64_t bytes_max);

/// Writes beside the file, makes it durable and renames it there. Errors: kIo, kNoSpace,
/// kPermission.
[[nodiscard]] Result<void> write_file(const std::filesystem::path& file, std::string_view text);
/// Several that belong together: none is touched before all of them are written.
struct FileText {
  std::filesystem::path file;
  std::string text;
};
[[nodiscard]] Result<void> write_files(const std::vector<FileText>& files);

/// `path` (with '/', as wheels and RECORDs write it) below `base`, both relative to one root,
/// without
/// "." and ".."; empty if it would lead out of the root, is absolute or holds NUL or a backslash.
[[nodiscard]] std::string join_inside(std::string_view base, std::string_view path);

/// The part behind the last '/'.
[[nodiscard]] std::string_view base_name(std::string_view path);
/// The part before the last '/', without it.
[[nodiscard]] std::string_view folder_name(std::string_view path);

}  // namespace mlxguard::inventory
