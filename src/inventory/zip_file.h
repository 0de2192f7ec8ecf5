// SPDX-License-Identifier: Apache-2.0
// ZipFile: a zip archive read entry by entry into memory, never to disk. Sole user of the zip
// library. Input: bytes chosen by an attacker. Before anything is unpacked, the directory as a
// whole is judged: names that lead out, two entries of one name, links, encryption, impossible
// sizes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::inventory {

struct ZipEntry {
  std::string name;  ///< relative, '/', no ".."; a folder's ends with '/'
  std::uint64_t index = 0;
  std::uint64_t bytes = 0;  ///< unpacked, as the directory says; more is refused while reading
  std::uint64_t packed_bytes = 0;
};

class ZipFile {
 public:
  /// The descriptor is read by position; it must stay open. Errors: kWheel, kTooLarge, kIo.
  [[nodiscard]] static Result<ZipFile> open(int fd);
  [[nodiscard]] static Result<ZipFile> open(Bytes bytes);

  ZipFile(ZipFile&&) noexcept;
  ZipFile& operator=(ZipFile&&) noexcept;
  ~ZipFile();

  /// In the order of the directory.
  [[nodiscard]] const std::vector<ZipEntry>& entries() const;
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;

  /// The entry's bytes; its checksum is compared. Errors: kTooLarge, kWheel.
  [[nodiscard]] Result<std::string> read(const ZipEntry& entry, std::uint64_t bytes_max) const;
  /// The same in pieces, for entries that need not be held.
  [[nodiscard]] Result<void> read(const ZipEntry& entry,
                                  const std::function<void(Bytes piece)>& take) const;

 private:
  struct Impl;
  explicit ZipFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::inventory
