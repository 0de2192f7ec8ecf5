// SPDX-License-Identifier: Apache-2.0
// Writes zip archives for tests, also ones that no tool would write. Nothing is compressed.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace mlxguard::inventory::test {

inline constexpr std::uint32_t kRegular = 0100644u << 16, kLink = 0120777u << 16;

struct Entry {
  std::string name;
  std::string bytes;
  std::uint32_t attributes = kRegular;
};

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::uint32_t crc32(std::string_view text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

inline std::string zip(const std::vector<Entry>& entries) {
  std::string out, directory;
  for (const Entry& entry : entries) {
    std::string common;
    put<std::uint16_t>(common, 20);
    put<std::uint16_t>(common, 0);
    put<std::uint16_t>(common, 0);
    put<std::uint32_t>(common, 0x21 << 16);
    put<std::uint32_t>(common, crc32(entry.bytes));
    put<std::uint32_t>(common, static_cast<std::uint32_t>(entry.bytes.size()));
    put<std::uint32_t>(common, static_cast<std::uint32_t>(entry.bytes.size()));
    put<std::uint16_t>(common, static_cast<std::uint16_t>(entry.name.size()));
    put<std::uint16_t>(common, 0);
    put<std::uint32_t>(directory, 0x02014b50);
    put<std::uint16_t>(directory, (3 << 8) | 20);
    directory += common;
    put<std::uint16_t>(directory, 0);
    put<std::uint32_t>(directory, 0);
    put<std::uint32_t>(directory, entry.attributes);
    put<std::uint32_t>(directory, static_cast<std::uint32_t>(out.size()));
    directory += entry.name;
    put<std::uint32_t>(out, 0x04034b50);
    out += common + entry.name + entry.bytes;
  }
  const auto start = static_cast<std::uint32_t>(out.size());
  out += directory;
  put<std::uint32_t>(out, 0x06054b50);
  put<std::uint32_t>(out, 0);
  put<std::uint16_t>(out, static_cast<std::uint16_t>(entries.size()));
  put<std::uint16_t>(out, static_cast<std::uint16_t>(entries.size()));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(directory.size()));
  put<std::uint32_t>(out, start);
  put<std::uint16_t>(out, 0);
  return out;
}

/// Writes another unpacked size into the first entry, in both of its headers.
inline void set_unpacked_bytes(std::string& archive, std::uint32_t bytes) {
  std::memcpy(archive.data() + 22, &bytes, sizeof(bytes));
  const std::size_t directory = archive.find("PK\x01\x02");
  std::memcpy(archive.data() + directory + 24, &bytes, sizeof(bytes));
}

}  // namespace mlxguard::inventory::test
