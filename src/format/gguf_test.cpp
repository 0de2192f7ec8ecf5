// SPDX-License-Identifier: Apache-2.0
#include "format/gguf.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/limits.h"

using namespace mlxguard;

namespace {

template <class T>
std::string number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string u32(std::uint32_t value) { return number(value); }
std::string u64(std::uint64_t value) { return number(value); }
std::string text(const std::string& value) { return u64(value.size()) + value; }

struct Tensor {
  std::string name = "t";
  std::vector<std::uint64_t> extents{4};
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::uint32_t rank_told = 0xFFFF'FFFF;  ///< when it lies
};

std::string file_of(const std::vector<std::string>& keys, const std::vector<Tensor>& tensors,
                    std::size_t data_bytes) {
  std::string file = "GGUF" + u32(3) + u64(tensors.size()) + u64(keys.size());
  for (const std::string& key : keys) file += key;
  for (const Tensor& tensor : tensors) {
    const auto rank = static_cast<std::uint32_t>(tensor.extents.size());
    file += text(tensor.name) + u32(tensor.rank_told == 0xFFFF'FFFF ? rank : tensor.rank_told);
    for (const std::uint64_t extent : tensor.extents) file += u64(extent);
    file += u32(tensor.type) + u64(tensor.offset);
  }
  file.resize((file.size() + 31) / 32 * 32, '\0');
  return file + std::string(data_bytes, '\0');
}

ErrorCode code_of(const std::string& file) {
  const auto tensors = format::parse_gguf(as_bytes(file));
  REQUIRE(!tensors.has_value());
  return tensors.error().code;
}
ErrorCode code_of_tensor(const Tensor& tensor, std::size_t data_bytes = 64) {
  return code_of(file_of({}, {tensor}, data_bytes));
}

}  // namespace

TEST_CASE("gguf: reads tensors with their shape outermost first, and the texts of its metadata") {
  const std::string file = file_of(
      {text("tokenizer.chat_template") + u32(8) + text("hi"),
       text("list") + u32(9) + u32(4) + u64(2) + u32(1) + u32(2)},
      {{.name = "a", .extents = {3, 2}}, {.name = "b", .extents = {32}, .type = 8, .offset = 32}},
      32 + 34);
  const auto tensors = format::parse_gguf(as_bytes(file));
  REQUIRE(tensors.has_value());
  REQUIRE(tensors->size() == 2);
  CHECK((*tensors)[0].shape == std::vector<std::int64_t>{2, 3});
  CHECK((*tensors)[0].end_bytes - (*tensors)[0].begin_bytes == 24);
  CHECK((*tensors)[1].end_bytes == file.size());
  const format::GgufReading reading = format::read_gguf(as_bytes(file));
  REQUIRE(reading.texts.size() == 1);
  CHECK(reading.texts[0].key == "tokenizer.chat_template");
  CHECK(file.substr(reading.texts[0].offset, 2) == "hi");
}

TEST_CASE("gguf: every truncation is refused, each with the code of its part") {
  const std::string file = file_of({text("k") + u32(8) + text("v")}, {{}}, 16);
  REQUIRE(format::parse_gguf(as_bytes(file)).has_value());
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const ErrorCode code = code_of(file.substr(0, size));
    const ErrorCode expected = size < 24   ? ErrorCode::kGgufHeader
                               : size < 46 ? ErrorCode::kGgufMetadata
                                           : ErrorCode::kGgufTensor;
    CHECK(code == expected);
  }
}

TEST_CASE("gguf: refuses a mark, a version or counts that cannot be") {
  CHECK(code_of("GGUG" + u32(3) + u64(0) + u64(0)) == ErrorCode::kGgufHeader);
  CHECK(code_of("GGUF" + u32(1) + u64(0) + u64(0)) == ErrorCode::kGgufHeader);
  CHECK(code_of("GGUF" + u32(0x03000000) + u64(0) + u64(0)) == ErrorCode::kGgufHeader);
  CHECK(code_of("GGUF" + u32(3) + u64(1ull << 40) + u64(0)) == ErrorCode::kGgufHeader);
  CHECK(code_of("GGUF" + u32(3) + u64(0) + u64(UINT64_MAX)) == ErrorCode::kGgufHeader);
}

TEST_CASE("gguf: refuses metadata that lies about its length, repeats, or nests") {
  const auto metadata = [](const std::string& key) { return code_of(file_of({key}, {}, 0)); };
  CHECK(metadata(text("k") + u32(8) + u64(1ull << 40)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("k") + u32(8) + u64(UINT64_MAX - 7)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(u64(UINT64_MAX)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("k") + u32(13) + std::string(64, '\0')) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("k") + u32(9) + u32(4) + u64(1ull << 62)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("k") + u32(9) + u32(8) + u64(1ull << 32)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("") + u32(4) + u32(1)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("general.alignment") + u32(4) + u32(0)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("general.alignment") + u32(4) + u32(24)) == ErrorCode::kGgufMetadata);
  CHECK(metadata(text("general.alignment") + u32(10) + u64(32)) == ErrorCode::kGgufMetadata);
  const std::string twice = text("k") + u32(0) + "a";
  CHECK(code_of(file_of({twice, twice}, {}, 0)) == ErrorCode::kGgufMetadata);
  // Arrays of arrays are GGUF's own; mlx does not read them, and nobody reads a hundred of them.
  std::string nested = text("k") + u32(9) + u32(9) + u64(1) + u32(0) + u64(1) + "a";
  CHECK_FALSE(format::read_gguf(as_bytes(file_of({nested}, {}, 0))).fault.has_value());
  CHECK(metadata(nested) == ErrorCode::kGgufMetadata);
  std::string deep = text("k") + u32(9);
  for (int i = 0; i < 100; ++i) deep += u32(9) + u64(1);
  deep += u32(0) + u64(1) + "a";
  CHECK(format::read_gguf(as_bytes(file_of({deep}, {}, 0))).fault->code ==
        ErrorCode::kGgufMetadata);
}

TEST_CASE("gguf: refuses tensors of unknown types, absurd shapes and places outside of the file") {
  CHECK(code_of_tensor({.type = 4}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.type = 31}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.type = 0xFFFF'FFFF}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {256}, .type = 16}, 66) == ErrorCode::kGgufTensor);  // not mlx's
  CHECK(code_of_tensor({.extents = {}, .rank_told = 5}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {}, .rank_told = 1u << 31}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {1ull << 32}}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {1ull << 32, 0}}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {1ull << 31, 1ull << 31, 1ull << 31}}) ==
        ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {0, 2147483647, 2147483647, 2147483647}}) ==
        ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {65536, 65536}, .type = 8}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {31}, .type = 8}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {}, .type = 8}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.offset = 1ull << 40}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.offset = UINT64_MAX - 31}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.offset = 1}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {0}, .offset = 64}, 32) == ErrorCode::kGgufTensor);
  const std::string empty = file_of({}, {{.name = "abcde", .extents = {0}}}, 0);
  CHECK(format::parse_gguf(as_bytes(empty)).has_value());
  CHECK(code_of(empty.substr(0, empty.size() - 1)) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.extents = {17}}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.name = ""}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.name = "a\xff"}) == ErrorCode::kGgufTensor);
  CHECK(code_of_tensor({.name = std::string(limits::kTensorNameBytesMax + 1, 'n')}) ==
        ErrorCode::kGgufTensor);
  CHECK(code_of(file_of({}, {{.name = "a"}, {.name = "a", .offset = 32}}, 64)) ==
        ErrorCode::kGgufTensor);
  CHECK(code_of(file_of({}, {{.name = "a"}, {.name = "b"}}, 64)) == ErrorCode::kGgufTensor);
}

TEST_CASE("gguf: refuses a quantised tensor whose unpacked size mlx counts in 32 bits") {
  // 2 GiB of address space, of which only the header is touched.
  constexpr std::uint64_t kBlocksOfQ8 = (1ull << 31) / 34 + 1;
  const std::string head =
      file_of({}, {{.name = "w.weight", .extents = {kBlocksOfQ8 * 32}, .type = 8}}, 0);
  const std::size_t size = head.size() + kBlocksOfQ8 * 34;
  void* const map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(map != MAP_FAILED);
  std::memcpy(map, head.data(), head.size());
  const Bytes file(static_cast<const std::uint8_t*>(map), size);
  CHECK_FALSE(format::read_gguf(file).fault.has_value());
  const auto tensors = format::parse_gguf(file);
  REQUIRE(!tensors.has_value());
  CHECK(tensors.error().code == ErrorCode::kGgufTensor);
  ::munmap(map, size);
}
