// SPDX-License-Identifier: Apache-2.0
#include "inventory/zip_names.h"

#include <algorithm>

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kEndBytes = 22, kCommentBytesMax = 0xffff;
constexpr std::size_t kHeaderBytes = 46, kDirectoryBytesMax = 256u << 20;

Error malformed(std::string message) { return make_error(ErrorCode::kWheel, std::move(message)); }

std::uint32_t little(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = count; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

/// The directory's bytes, as the end record tells where they are.
Result<std::string> directory_of(const ReadAt& read, std::uint64_t size) {
  const std::uint64_t tail_bytes = std::min<std::uint64_t>(size, kEndBytes + kCommentBytesMax);
  const std::string tail = read(size - tail_bytes, static_cast<std::size_t>(tail_bytes));
  for (std::size_t at = tail.rfind("PK\x05\x06");
       at != std::string::npos && at + kEndBytes <= tail.size();
       at = at == 0 ? std::string::npos : tail.rfind("PK\x05\x06", at - 1)) {
    if (at + kEndBytes + little(tail, at + 20, 2) != tail.size()) continue;
    const std::uint32_t bytes = little(tail, at + 12, 4), start = little(tail, at + 16, 4);
    if (bytes > kDirectoryBytesMax || start > size) break;
    std::string directory = read(start, bytes);
    if (directory.size() == bytes) return directory;
    break;
  }
  return malformed("the archive's directory is not where it must be");
}

}  // namespace

Result<void> check_zip_names(const ReadAt& read, std::uint64_t size,
                             const std::vector<std::string>& names) {
  MLXGUARD_TRY_ASSIGN(const std::string directory, directory_of(read, size));
  std::size_t at = 0;
  for (const std::string& told : names) {
    const std::string_view rest =
        std::string_view(directory).substr(std::min(at, directory.size()));
    if (rest.size() < kHeaderBytes || !rest.starts_with("PK\x01\x02")) {
      return malformed("the archive's directory is broken");
    }
    const std::size_t name_bytes = little(rest, 28, 2);
    if (rest.size() < kHeaderBytes + name_bytes)
      return malformed("the archive's directory is broken");
    std::string name(rest.substr(kHeaderBytes, name_bytes));
    if (name.find('\0') != std::string::npos) return malformed("an entry's name holds a NUL byte");
    if (name != told) return malformed("the archive's directory can be read in two ways");
    at += kHeaderBytes + name_bytes + little(rest, 30, 2) + little(rest, 32, 2);
  }
  return {};
}

}  // namespace mlxguard::inventory
