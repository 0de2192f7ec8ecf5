// SPDX-License-Identifier: Apache-2.0
#include "inventory/native_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "inventory/files.h"
#include "inventory/fingerprints.h"

namespace mlxguard::inventory {
namespace {

constexpr std::uint64_t kFileMax = 1u << 30;

std::string self() {
  auto bytes = read_file("/proc/self/exe", kFileMax);
  REQUIRE(bytes);
  return *std::move(bytes);
}

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

void append32(std::string& bytes, std::uint32_t value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// A thin 64-bit Mach-O file with these load commands.
std::string macho(const std::vector<std::string>& commands) {
  std::string all;
  for (const std::string& command : commands) all += command;
  std::string file;
  for (const std::uint32_t word : {0xfeedfacfu, 0x0100000cu, 0u, 6u}) append32(file, word);
  append32(file, static_cast<std::uint32_t>(commands.size()));
  append32(file, static_cast<std::uint32_t>(all.size()));
  append32(file, 0);
  append32(file, 0);
  return file + all;
}

std::string dylib(std::uint32_t kind, std::string name) {
  name.resize((name.size() / 8 + 1) * 8);
  std::string command;
  append32(command, kind);
  append32(command, static_cast<std::uint32_t>(24 + name.size()));
  for (const std::uint32_t word : {24u, 0u, (3u << 16) | (2u << 8) | 1u, 0u})
    append32(command, word);
  return command + name;
}

std::string fat(const std::string& slice, std::uint32_t count) {
  std::string file;
  append32(file, __builtin_bswap32(0xcafebabe));
  append32(file, __builtin_bswap32(count));
  const std::size_t at = 8 + 20 * count;
  for (std::uint32_t i = 0; i < count; ++i) {
    for (const std::uint32_t word : {0x0100000cu, 0u, static_cast<std::uint32_t>(at),
                                     static_cast<std::uint32_t>(slice.size()), 0u}) {
      append32(file, __builtin_bswap32(word));
    }
  }
  return file + slice;
}

NativeFile with_symbols(std::vector<std::string_view> names) {
  NativeFile file;
  for (const std::string_view name : names) {
    file.symbols.push_back({name, NativeSymbol::State::kDefined});
  }
  return file;
}

const Fingerprint* named(const std::vector<Fingerprint>& all, std::string_view name) {
  for (const Fingerprint& one : all) {
    if (one.row->name == name) return &one;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("elf: this program needs the C library and has symbols") {
  const std::string bytes = self();
  CHECK(is_native(as_bytes(bytes).first(16)));
  const auto file = read_elf(as_bytes(bytes));
  REQUIRE(file);
  CHECK(file->architecture.size() > 0);
  const auto libc = std::find_if(file->needed.begin(), file->needed.end(),
                                 [](const auto& one) { return one.name == "libc.so.6"; });
  CHECK(libc != file->needed.end());
  CHECK(file->symbols.size() > 100);
  CHECK_FALSE(file->build_id.empty());
  CHECK_FALSE(file->string_areas.empty());
}

TEST_CASE("elf: every truncation and every changed header byte ends in an answer") {
  const std::string bytes = self();
  for (std::size_t length = 0; length < 4096; length += 7) {
    const auto file = read_elf(as_bytes(bytes).first(length));
    REQUIRE_FALSE(file);
    CHECK((file.error().code == ErrorCode::kElf || file.error().code == ErrorCode::kTooLarge));
  }
  for (std::size_t at = 0; at < 64; ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0xff);
    (void)read_elf(as_bytes(changed));
  }
}

TEST_CASE("elf: refuses big-endian files, relocatable files and other bytes") {
  std::string bytes = self();
  bytes[5] = 2;
  CHECK(read_elf(as_bytes(bytes)).error().code == ErrorCode::kElf);
  bytes[5] = 1;
  put<std::uint16_t>(bytes, 16, 1);
  CHECK(read_elf(as_bytes(bytes)).error().code == ErrorCode::kElf);
  CHECK(read_elf(as_bytes("not an ELF file at all")).error().code == ErrorCode::kElf);
}

TEST_CASE("elf: refuses tables that lie outside of the file") {
  std::string bytes = self();
  put<std::uint64_t>(bytes, 32, ~std::uint64_t{0} - 8);
  CHECK(read_elf(as_bytes(bytes)).error().code == ErrorCode::kElf);
  bytes = self();
  put<std::uint64_t>(bytes, 40, bytes.size() - 1);
  CHECK(read_elf(as_bytes(bytes)).error().code == ErrorCode::kElf);
}

TEST_CASE("macho: reads libraries, versions and search paths of a thin and a fat file") {
  const std::string thin =
      macho({dylib(0xd, "@rpath/libjaccl.dylib"), dylib(0xc, "/usr/lib/libc++.1.dylib"),
             dylib(0x80000018, "@rpath/libmlx.dylib")});
  for (const std::string& bytes : {thin, fat(thin, 1)}) {
    const auto files = read_native(as_bytes(bytes));
    REQUIRE(files);
    REQUIRE(files->size() == 1);
    const NativeFile& file = files->front();
    CHECK(file.architecture == "arm64");
    CHECK(file.soname == "@rpath/libjaccl.dylib");
    CHECK(file.version == "3.2.1");
    REQUIRE(file.needed.size() == 2);
    CHECK(file.needed[0].name == "/usr/lib/libc++.1.dylib");
    CHECK(file.needed[1].version == "3.2.1");
  }
}

TEST_CASE("macho: refuses fat files whose slices overlap, and too many of them") {
  const std::string thin = macho({dylib(0xc, "/usr/lib/libc++.1.dylib")});
  // Twenty slices over the same bytes would be read twenty times.
  CHECK(read_macho(as_bytes(fat(thin, 20))).error().code == ErrorCode::kMachO);
  CHECK(read_macho(as_bytes(fat(thin, 33))).error().code == ErrorCode::kMachO);
}

TEST_CASE("macho: every truncation ends in an answer; a command of size 0 does not loop") {
  const std::string bytes = macho({dylib(0xc, "/usr/lib/libc++.1.dylib")});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto file = read_macho(as_bytes(bytes).first(length));
    REQUIRE_FALSE(file);
    CHECK(file.error().code == ErrorCode::kMachO);
  }
  std::string zero = bytes;
  put<std::uint32_t>(zero, 36, 0);
  CHECK(read_macho(as_bytes(zero)).error().code == ErrorCode::kMachO);
}

TEST_CASE("native: a Java class is not taken for a fat file") {
  CHECK_FALSE(is_native(as_bytes(std::string_view("\xca\xfe\xba\xbe\x00\x00\x00\x41", 8))));
  CHECK(is_native(as_bytes(std::string_view("\xca\xfe\xba\xbe\x00\x00\x00\x02", 8))));
}

TEST_CASE("fingerprints: versions come from the namespaces of mangled names") {
  const auto found = find_fingerprints(with_symbols({
      "_ZN3fmt3v1212basic_appenderIcEE",
      "_ZN8nlohmann16json_abi_v3_11_310basic_jsonE",
      "_ZN8nanobind4abi112python_errorD0Ev",
      "_ZN4absl12lts_202407226StatusE",
      "_ZN3mlx4core3fftE9pocketfft",
      "gguf_open",
  }));
  REQUIRE(named(found, "fmt"));
  CHECK(named(found, "fmt")->version == "12");
  REQUIRE(named(found, "nlohmann-json"));
  CHECK(named(found, "nlohmann-json")->version == "3.11.3");
  REQUIRE(named(found, "nanobind"));
  CHECK(named(found, "nanobind")->version == "1");
  REQUIRE(named(found, "abseil"));
  CHECK(named(found, "abseil")->version == "20240722");
  CHECK(named(found, "pocketfft"));
  CHECK(named(found, "gguflib"));
}

TEST_CASE("fingerprints: what is only used, and what only looks alike, is not contained") {
  NativeFile file;
  file.symbols.push_back({"_ZN3fmt3v1212basic_appenderIcEE", NativeSymbol::State::kUndefined});
  file.symbols.push_back({"_ZN4sfmt3v12E", NativeSymbol::State::kDefined});
  file.symbols.push_back({"gguf_opened", NativeSymbol::State::kDefined});
  CHECK(find_fingerprints(file).empty());
}

TEST_CASE("fingerprints: version strings of C libraries, and no version in a sentence") {
  NativeFile file;
  constexpr char kText[] =
      "x\0OpenSSL 4.0.3 29 Sep 2026\0 deflate 1.2.13 Copyright 1995-2022\0OpenSSL 3's legacy\0"
      "OpenSSL 1.1.1w  11 Sep 2023\0the nccl backend\0";
  file.string_areas.push_back(as_bytes(std::string_view(kText, sizeof(kText) - 1)));
  const auto found = find_fingerprints(file);
  REQUIRE(named(found, "openssl"));
  CHECK(named(found, "openssl")->version == "1.1.1w");
  REQUIRE(named(found, "zlib"));
  CHECK(named(found, "zlib")->version == "1.2.13");
  CHECK_FALSE(named(found, "nccl"));
}

TEST_CASE("fingerprints: each row can be found") {
  for (const FingerprintRow& row : fingerprint_rows()) {
    CAPTURE(row.name);
    CHECK(row.purl.starts_with("pkg:"));
    CHECK_FALSE(row.pattern.empty());
  }
}

}  // namespace mlxguard::inventory
