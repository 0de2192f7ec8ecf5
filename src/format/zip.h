// SPDX-License-Identifier: Apache-2.0
// A ZIP archive by its central directory and the entries' own headers. What readers of ZIP differ
// in is refused or told: a directory that is not at the end, entries that are not where it says.
// Input: bytes chosen by an attacker; nothing is unpacked beyond its bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "format/inflate.h"

namespace mlxguard::format {

struct ZipEntry {
  std::string name{};
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed_bytes = 0, bytes = 0, header_at = 0;
  std::uint32_t mode = 0;       ///< of Unix, 0 where none is told
  std::uint64_t record_at = 0;  ///< its place in the central directory

  [[nodiscard]] bool encrypted() const { return (flags & 1) != 0; }
};

inline constexpr std::uint16_t kZipStored = 0, kZipDeflated = 8;

class ZipArchive {
 public:
  /// Reads the directory. Error: kArchive; kTooLarge: more entries than are read. `failed_at`
  /// becomes the place of the fault.
  [[nodiscard]] static Result<ZipArchive> open(Bytes file, std::uint64_t& failed_at);

  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }

  /// An entry as its own header has it.
  struct Local {
    Bytes packed{};
    bool agrees = false;  ///< name, method, flags and sizes are those of the directory
  };
  /// Error: kArchive: not where the directory says, or cut off.
  [[nodiscard]] Result<Local> locate(const ZipEntry& entry) const;

  /// Unpacks and counts. Errors: kArchive: damaged, lies about its size, encrypted, or packed by a
  /// method that is not read; kTooLarge. The checksum is the caller's to compare: readers differ in
  /// whether they do.
  [[nodiscard]] static Result<Inflated> unpack(const ZipEntry& entry, Bytes packed,
                                               InflateBounds bounds);

 private:
  explicit ZipArchive(Bytes file) : file_(file) {}
  Result<void> find_directory(std::uint64_t& failed_at);
  [[nodiscard]] std::optional<ZipEntry> read_record(std::uint64_t place, std::uint64_t& end) const;

  Bytes file_;
  std::uint64_t count_ = 0, directory_at_ = 0, directory_end_ = 0;
  std::vector<ZipEntry> entries_;
};

/// Where an archive begins that ends this file without beginning it: most readers look for the end
/// only. Nothing: there is none, or the file begins with it.
[[nodiscard]] std::optional<std::uint64_t> zip_behind_other_content(Bytes file);

/// Whether a name of an archive is one that leaves the folder it is unpacked into: absolute, with
/// "..", a drive, or with separators that readers differ in.
[[nodiscard]] bool leaves_folder(std::string_view name);

}  // namespace mlxguard::format
