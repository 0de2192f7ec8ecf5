// SPDX-License-Identifier: Apache-2.0
// KeyFolder: the files of the key folder, read with every check and written in steps that a kill
// cannot halve. Several files change together: they are written beside their places, then one
// rename makes the list of changes durable (from there on they happen), then each takes its place.
// Whoever comes after an interruption finishes it. Trusted: the folder's owner. Refused: what
// others may write, links.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

/// One file to write into the key folder.
struct KeyFile {
  enum class Over : std::uint8_t { kNever, kReplace };
  std::string name;
  Secret content;
  mode_t mode = 0644;
  Over over = Over::kNever;
};

enum class KeyFileReaders : std::uint8_t { kOwnerOnly, kAnyone };

/// Reads a file whose type, owner and mode are asked of the opened descriptor, not of the name.
/// Errors: kNotFound; kKeyPermissions for links, special files, another owner, and what others may
/// write (or read, if kOwnerOnly); kTooLarge.
[[nodiscard]] Result<Secret> read_key_file(const std::filesystem::path& file,
                                           KeyFileReaders readers, std::size_t bytes_max);

class KeyFolder {
 public:
  /// Makes the folder (0700) if it is missing, locks it as long as this lives, and finishes what an
  /// interrupted process had begun. kKeyPermissions if others can write to it.
  [[nodiscard]] static Result<KeyFolder> lock(const std::filesystem::path& folder);
  /// For readers, who need no lock: finishes an interrupted change if there is one.
  [[nodiscard]] static Result<void> settle(const std::filesystem::path& folder);

  /// All of these files or none, durable on return. kKeyExists.
  [[nodiscard]] Result<void> commit(const std::vector<KeyFile>& files) const;

 private:
  KeyFolder(UniqueFd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  [[nodiscard]] Result<void> recover() const;
  [[nodiscard]] Result<void> write_beside(const KeyFile& file) const;
  [[nodiscard]] Result<void> put_in_place(std::string_view journal) const;
  [[nodiscard]] Result<void> sync() const;
  void remove_unfinished() const;
  UniqueFd fd_;
  std::filesystem::path path_;
};

}  // namespace mlxguard::crypto
