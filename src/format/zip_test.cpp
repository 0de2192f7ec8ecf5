// SPDX-License-Identifier: Apache-2.0
#include "format/zip.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <string>

#include "format/npz.h"

using namespace mlxguard;

namespace {

template <class T>
std::string number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string u16(std::size_t value) { return number(static_cast<std::uint16_t>(value)); }
std::string u32(std::size_t value) { return number(static_cast<std::uint32_t>(value)); }

std::string deflated(const std::string& text) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string npy() {
  return std::string("\x93NUMPY\1\0\x36\0", 10) +
         "{'descr': '<f4', 'fortran_order': False, 'shape': ()}\n" + std::string(4, '\0');
}

/// What an archive says of one entry; every member can be made to lie.
struct Entry {
  std::string name = "a.npy";
  std::string content = npy();
  bool deflate = false;
  std::uint16_t flags = 0, method = 0xFFFF;
  std::ptrdiff_t size_lie = 0;
  std::uint32_t crc_lie = 0, mode = 0;
  std::string local_name = "", behind = "";  ///< `behind`: counted as packed
  std::uint16_t local_flags = 0;
  std::size_t packed_lie = 0, local_crc_lie = 0;
};

std::string zip_of(const std::vector<Entry>& entries, const std::string& before = "",
                   const std::string& after = "") {
  std::string file = before, directory;
  for (const Entry& entry : entries) {
    const std::string packed =
        (entry.deflate ? deflated(entry.content) : entry.content) + entry.behind;
    const std::uint32_t crc = format::crc32_of(as_bytes(entry.content)) ^ entry.crc_lie;
    const std::size_t method = entry.method != 0xFFFF ? entry.method : entry.deflate ? 8u : 0u;
    const std::string kind = u16(method) + u32(0);
    const std::string sizes = u32(packed.size() + entry.packed_lie) +
                              u32(entry.content.size() + static_cast<std::size_t>(entry.size_lie));
    directory += "PK\1\2" + u16(20) + u16(20) + u16(entry.flags) + kind + u32(crc) + sizes +
                 u16(entry.name.size()) + u16(0) + u16(0) + u16(0) + u16(0) +
                 u32(std::size_t{entry.mode} << 16) + u32(file.size()) + entry.name;
    const std::string& local = entry.local_name.empty() ? entry.name : entry.local_name;
    file += "PK\3\4" + u16(20) + u16(entry.flags | entry.local_flags) + kind +
            u32(crc ^ entry.local_crc_lie) + sizes + u16(local.size()) + u16(0) + local + packed;
  }
  const std::size_t at = file.size();
  return file + directory + "PK\5\6" + u16(0) + u16(0) + u16(entries.size()) + u16(entries.size()) +
         u32(directory.size()) + u32(at) + u16(0) + after;
}

ErrorCode code_of(const std::string& file) {
  const auto members = format::parse_npz(as_bytes(file));
  REQUIRE(!members.has_value());
  return members.error().code;
}

}  // namespace

TEST_CASE("npz: reads arrays that are stored or deflated, under mlx's names for them") {
  const std::string file =
      zip_of({{}, {.name = "b", .deflate = true}, {.name = "d/.npy", .deflate = true}});
  const auto members = format::parse_npz(as_bytes(file));
  REQUIRE(members.has_value());
  REQUIRE(members->size() == 3);
  CHECK((*members)[0].name == "a");
  CHECK((*members)[1].name == "b");
  CHECK((*members)[2].name == "d/");
  CHECK((*members)[1].array.dtype == "float32");
  CHECK(format::parse_npz(as_bytes(zip_of({}))).has_value());
}

TEST_CASE("npz: every truncation is refused") {
  const std::string file = zip_of({{.deflate = true}});
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    CHECK(code_of(file.substr(0, size)) == ErrorCode::kArchive);
  }
}

TEST_CASE("npz: refuses archives in which readers find different entries") {
  CHECK(code_of("shifted" + zip_of({{}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{}}, "", "behind")) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{}, {}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{}, {.name = "a"}})) == ErrorCode::kArchive);  // mlx names both "a"
  CHECK(code_of(zip_of({{.local_name = "b.npy"}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.local_flags = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.local_crc_lie = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.packed_lie = 5000}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.deflate = true, .behind = "hidden"}})) == ErrorCode::kArchive);
  for (const std::size_t field : {4, 12}) {  // parts of several; the directory's size
    std::string lies = zip_of({{}});
    ++lies[lies.size() - 22 + field];
    CHECK(code_of(lies) == ErrorCode::kArchive);
  }
  std::string fewer = zip_of({{}, {.name = "b"}});
  fewer[fewer.size() - 22 + 10] = 1;
  CHECK(code_of(fewer) == ErrorCode::kArchive);
}

TEST_CASE("npz: refuses entries that lie, are locked, link, or leave the folder") {
  CHECK(code_of(zip_of({{.deflate = true, .size_lie = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.deflate = true, .size_lie = -1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.size_lie = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.crc_lie = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.deflate = true, .crc_lie = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.flags = 1}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.method = 12}})) == ErrorCode::kArchive);
  CHECK(code_of(zip_of({{.mode = 0120777}})) == ErrorCode::kArchive);
  for (const std::string name : {"../a.npy", "/a.npy", "a\\b.npy", "c:a.npy", "d/", "\xff.npy"}) {
    CAPTURE(name);
    CHECK(code_of(zip_of({{.name = name}})) == ErrorCode::kArchive);
  }
}

TEST_CASE("npz: an entry is refused for what is wrong with it as a npy file") {
  CHECK(code_of(zip_of({{.content = "no array"}})) == ErrorCode::kNpyHeader);
  CHECK(code_of(zip_of({{.content = npy() + "x", .deflate = true}})) == ErrorCode::kNpyShape);
}

TEST_CASE("zip: a bomb stops at what it announces") {
  const std::string zeros(8u << 20, '\0');
  std::uint64_t failed_at = 0;
  Entry bomb{.content = zeros,
             .deflate = true,
             .size_lie = 16 - static_cast<std::ptrdiff_t>(zeros.size())};
  const std::string file = zip_of({bomb});
  const auto archive = format::ZipArchive::open(as_bytes(file), failed_at);
  REQUIRE(archive.has_value());
  const auto& entry = archive->entries().front();
  const auto local = archive->locate(entry);
  REQUIRE(local.has_value());
  const auto unpacked = format::ZipArchive::unpack(
      entry, local->packed, {.total_bytes_max = 1ull << 30, .kept_bytes_max = 1ull << 30});
  REQUIRE(!unpacked.has_value());
  CHECK(unpacked.error().code == ErrorCode::kArchive);
}

TEST_CASE("inflate: keeps what it may, counts the rest, and says how far its stream goes") {
  const std::string text(100'000, 'x');
  const std::string packed = deflated(text) + "behind";
  const auto kept = format::inflate(as_bytes(packed), format::Wrapper::kRaw,
                                    {.total_bytes_max = 1u << 20, .kept_bytes_max = 10});
  REQUIRE(kept.has_value());
  CHECK(kept->kept.size() == 10);
  CHECK(kept->total_bytes == text.size());
  CHECK(kept->packed_bytes == packed.size() - 6);
  CHECK(kept->crc32 == format::crc32_of(as_bytes(text)));
  const auto over = format::inflate(as_bytes(packed), format::Wrapper::kRaw,
                                    {.total_bytes_max = text.size() - 1, .kept_bytes_max = 0});
  REQUIRE(!over.has_value());
  CHECK(over.error().code == ErrorCode::kTooLarge);
}
