// SPDX-License-Identifier: Apache-2.0
// A folder as it is, links and devices included: what a model holds, without opening any of it.
// Nothing is followed; every name is resolved by the kernel below the root.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::inspect {

enum class EntryKind : std::uint8_t { kRegular, kLink, kSpecial, kFolder };
/// Where a symbolic link leads.
enum class LinkPlace : std::uint8_t { kInside, kOutside, kNowhere };

struct Entry {
  std::string name{};  ///< below the root, '/' between folders
  EntryKind kind = EntryKind::kRegular;
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;
  std::uint64_t device = 0, inode = 0, names = 1;  ///< `names`: hard links of this inode
  std::int64_t modified_ns = 0;                    ///< when its content was last written
  std::string link_target{};                       ///< kLink
  LinkPlace link_place = LinkPlace::kInside;
};

class Folder {
 public:
  /// A folder, or a single file. Errors: kArtifactNotFound, kPermission, kIo.
  [[nodiscard]] static Result<Folder> open(const std::filesystem::path& path);

  /// Everything below, sorted by name. Folders are listed only when they could not be read; `gaps`
  /// says what was left out (too many, too deep, not permitted).
  struct Gap {
    std::string name;
    std::string why;
  };
  struct Listing {
    std::vector<Entry> entries{};
    std::vector<Gap> gaps{};
    std::size_t depth = 0;  ///< of the deepest folder
    std::string deepest{};
  };
  [[nodiscard]] Result<Listing> list() const;

  /// For reading, if it is still the regular file that was listed; kArtifactChanged if it is not.
  [[nodiscard]] Result<UniqueFd> open_listed(const Entry& entry) const;
  /// Whether what was opened has still the size and the times of when it was listed: what was read
  /// is then what lies there.
  [[nodiscard]] bool unchanged(const Entry& entry, int fd) const;

 private:
  UniqueFd root_;
  bool single_file_ = false;
  std::string base_name_;
};

}  // namespace mlxguard::inspect
