// SPDX-License-Identifier: Apache-2.0
#include "format/npz.h"

#include <sys/stat.h>

#include <set>
#include <utility>

#include "base/limits.h"
#include "codec/text.h"
#include "format/zip.h"

namespace mlxguard::format {
namespace {

constexpr std::string_view kExtension = ".npy";

Error bad(const ZipEntry& entry, std::string why) {
  return make_error(ErrorCode::kArchive, std::move(why)).about(entry.name);
}

Result<NpzMember> read_member(const ZipArchive& archive, const ZipEntry& entry) {
  if (entry.name.empty() || entry.name.find('\0') != entry.name.npos || leaves_folder(entry.name) ||
      !codec::is_utf8(entry.name)) {
    return bad(entry, "an entry whose name leaves the folder, or is no text");
  }
  if (S_ISLNK(entry.mode) || entry.name.ends_with('/')) {
    return bad(entry, "an entry that is a link or a folder");
  }
  MLXGUARD_TRY_ASSIGN(const ZipArchive::Local local, archive.locate(entry));
  if (!local.agrees) return bad(entry, "its own header and the directory disagree on it");
  // The header is kept; of the data only its size and its checksum matter here.
  MLXGUARD_TRY_ASSIGN(const Inflated unpacked,
                      ZipArchive::unpack(entry, local.packed,
                                         {.total_bytes_max = limits::kNpzArrayBytesMax,
                                          .kept_bytes_max = limits::kNpyHeaderBytesMax + 16}));
  if (unpacked.crc32 != entry.crc) return bad(entry, "its checksum is wrong: it is damaged");
  auto array = parse_npy(unpacked.kept, unpacked.total_bytes);
  if (!array) return std::move(array).error().about(entry.name);
  NpzMember member;
  member.name = entry.name;
  if (member.name.size() > kExtension.size() && member.name.ends_with(kExtension)) {
    member.name.resize(member.name.size() - kExtension.size());
  }
  member.array = *std::move(array);
  return member;
}

}  // namespace

Result<std::vector<NpzMember>> parse_npz(Bytes file) {
  std::uint64_t failed_at = 0;
  MLXGUARD_TRY_ASSIGN(const ZipArchive archive, ZipArchive::open(file, failed_at));
  std::vector<NpzMember> members;
  std::set<std::string> names;
  std::uint64_t packed_bytes = 0;
  for (const ZipEntry& entry : archive.entries()) {
    MLXGUARD_TRY_ASSIGN(NpzMember member, read_member(archive, entry));
    packed_bytes += entry.packed_bytes;  // each is at most the file, and entries are bounded
    if (packed_bytes > file.size()) return bad(entry, "its entries share their bytes");
    if (!names.insert(member.name).second) return bad(entry, "two arrays of one name");
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace mlxguard::format
