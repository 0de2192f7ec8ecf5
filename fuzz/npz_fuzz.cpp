// SPDX-License-Identifier: Apache-2.0
// Any bytes as a ZIP archive and as a npz file: entries lie inside of the file, nothing unpacks
// beyond its bounds, and what parse_npz() accepts the single steps accept as well.
#include <cstdint>

#include "base/check.h"
#include "format/npz.h"
#include "format/zip.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kUnpackedMax = 1u << 20;
  const Bytes file(data, size);
  std::uint64_t failed_at = 0;
  const auto archive = format::ZipArchive::open(file, failed_at);
  MLXGUARD_CHECK(failed_at <= size);
  const auto members = format::parse_npz(file);
  if (!archive) {
    MLXGUARD_CHECK(!members.has_value());
    return 0;
  }
  for (const format::ZipEntry& entry : archive->entries()) {
    const auto local = archive->locate(entry);
    if (!local) {
      MLXGUARD_CHECK(!members.has_value());
      continue;
    }
    MLXGUARD_CHECK(local->packed.size() == entry.packed_bytes);
    const auto unpacked = format::ZipArchive::unpack(
        entry, local->packed, {.total_bytes_max = kUnpackedMax, .kept_bytes_max = kUnpackedMax});
    if (!unpacked) continue;
    MLXGUARD_CHECK(unpacked->total_bytes == entry.bytes && unpacked->kept.size() <= kUnpackedMax);
  }
  MLXGUARD_CHECK(!members || members->size() == archive->entries().size());
  return 0;
}
