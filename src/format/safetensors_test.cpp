// SPDX-License-Identifier: Apache-2.0
#include "format/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/limits.h"

using namespace mlxguard;

namespace {

using FileBytes = std::vector<std::uint8_t>;

FileBytes file_of_length(std::uint64_t announced, std::string_view header, std::size_t data_bytes) {
  FileBytes file(8 + header.size() + data_bytes, 0);
  std::memcpy(file.data(), &announced, 8);
  if (!header.empty()) std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}

FileBytes file_of(std::string_view header, std::size_t data_bytes) {
  return file_of_length(header.size(), header, data_bytes);
}

ErrorCode code_of(const FileBytes& file) {
  const auto index = format::parse_safetensors(file);
  REQUIRE(!index.has_value());
  return index.error().code;
}

/// One tensor "t" of these members over `data_bytes` bytes of data.
ErrorCode code_of_tensor(std::string_view dtype, std::string_view shape, std::string_view offsets,
                         std::size_t data_bytes) {
  std::string header = R"({"t":{"dtype":")";
  header.append(dtype).append(R"(","shape":)").append(shape);
  header.append(R"(,"data_offsets":)").append(offsets).append("}}");
  return code_of(file_of(header, data_bytes));
}

}  // namespace

TEST_CASE("safetensors: reads tensors, in the order of their bytes, found by name") {
  const auto file = file_of(R"({"__metadata__":{"format":"pt"},)"
                            R"("b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},)"
                            R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                            R"("empty":{"dtype":"I64","shape":[3,0],"data_offsets":[16,16]}}   )",
                            16);
  const auto index = format::parse_safetensors(file);
  REQUIRE(index.has_value());
  REQUIRE(index->entries().size() == 3);
  const std::uint64_t data_begin = file.size() - 16;
  CHECK(index->data_begin_bytes() == data_begin);
  CHECK(index->entries()[0].name == "a");
  CHECK(index->entries()[0].shape.empty());
  const format::TensorEntry* b = index->find("b");
  REQUIRE(b != nullptr);
  CHECK(b->type == format::TensorType::kFloat16);
  CHECK(b->shape == std::vector<std::int64_t>{2, 3});
  CHECK(b->begin_bytes == data_begin + 4);
  CHECK(b->end_bytes == data_begin + 16);
  CHECK(index->find("empty")->shape == std::vector<std::int64_t>{3, 0});
  CHECK(index->find("c") == nullptr);
  CHECK(index->find("__metadata__") == nullptr);
}

TEST_CASE("safetensors: takes a file without tensors") {
  const auto index = format::parse_safetensors(file_of("{}", 0));
  REQUIRE(index.has_value());
  CHECK(index->entries().empty());
}

TEST_CASE(
    "safetensors: refuses a header length that is not there, zero, too large or beyond the file") {
  CHECK(code_of({}) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of({1, 2, 3}) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of_length(0, "{}", 0)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of_length(1, "{}", 0)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of_length(3, "{}", 0)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of_length(UINT64_MAX, "{}", 0)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of_length(UINT64_MAX - 7, "{}", 0)) == ErrorCode::kSafetensorsHeader);
}

TEST_CASE(
    "safetensors: refuses a header of the length that mlx refuses, although it is all there") {
  std::string header(limits::kSafetensorsHeaderBytesMax, ' ');
  header[0] = '{';
  header[1] = '}';
  CHECK(code_of(file_of(header, 0)) == ErrorCode::kSafetensorsHeader);
}

TEST_CASE("safetensors: refuses a header that is not one JSON object") {
  for (const std::string header :
       {"[]", "nul", "{\"a\":}", "{}x", " {}", "\"text\"", "{\"a\":1}"}) {
    CAPTURE(header);
    CHECK(code_of(file_of(header, 0)) == ErrorCode::kSafetensorsHeader);
  }
  std::string deep = R"({"t":)" + std::string(5000, '[') + std::string(5000, ']') + "}";
  CHECK(code_of(file_of(deep, 0)) == ErrorCode::kSafetensorsHeader);
}

TEST_CASE("safetensors: refuses metadata that is not strings") {
  CHECK(format::parse_safetensors(file_of(R"({"__metadata__":null})", 0))
            .has_value());  // as mlx writes it
  CHECK(code_of(file_of(R"({"__metadata__":[]})", 0)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of(R"({"__metadata__":{"a":1}})", 0)) == ErrorCode::kSafetensorsHeader);
}

TEST_CASE("safetensors: refuses unknown, missing and repeated members of a tensor") {
  const char* unknown = R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":1}})";
  const char* missing = R"({"t":{"dtype":"U8","shape":[1]}})";
  const char* renamed = R"({"t":{"dtype":"U8","shape":[1],"offsets":[0,1]}})";
  CHECK(code_of(file_of(unknown, 1)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of(missing, 1)) == ErrorCode::kSafetensorsHeader);
  CHECK(code_of(file_of(renamed, 1)) == ErrorCode::kSafetensorsHeader);
  const char* repeated = R"({"t":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})";
  CHECK(code_of(file_of(repeated, 1)) == ErrorCode::kSafetensorsDuplicate);
}

TEST_CASE("safetensors: refuses two tensors of one name, also when one name is escaped") {
  CHECK(code_of(file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                        R"("t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                        2)) == ErrorCode::kSafetensorsDuplicate);
  CHECK(code_of(file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                        R"("\u0074":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                        2)) == ErrorCode::kSafetensorsDuplicate);
}

TEST_CASE("safetensors: refuses names that are empty or too long") {
  CHECK(code_of(file_of(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)) ==
        ErrorCode::kSafetensorsHeader);
  const std::string name(limits::kTensorNameBytesMax + 1, 'n');
  const std::string tail = R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  CHECK(code_of(file_of("{\"" + name + tail, 1)) == ErrorCode::kSafetensorsHeader);
}

TEST_CASE(
    "safetensors: refuses unknown types, those that mlx reads as others, and those it lacks") {
  for (const std::string dtype : {"", "f32", "F8_E4M3", "F8_E8M0", "F64", "C64", "F32 "}) {
    CAPTURE(dtype);
    CHECK(code_of_tensor(dtype, "[1]", "[0,8]", 8) == ErrorCode::kSafetensorsDtype);
  }
  CHECK(code_of(file_of(R"({"t":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1)) ==
        ErrorCode::kSafetensorsDtype);
}

TEST_CASE("safetensors: refuses a shape whose product wraps to zero") {
  // mlx 0.32.4 takes both and crashes when the array is used.
  CHECK(code_of_tensor("U8", "[65536,65536,65536,65536]", "[0,0]", 0) ==
        ErrorCode::kSafetensorsShape);
  CHECK(code_of_tensor("F32", "[2147483647,2147483647,4]", "[0,0]", 0) ==
        ErrorCode::kSafetensorsShape);
}

TEST_CASE("safetensors: refuses a product that wraps behind a zero, in any order") {
  CHECK(code_of_tensor("U8", "[0,2147483647,2147483647,2147483647]", "[0,0]", 0) ==
        ErrorCode::kSafetensorsShape);
  CHECK(code_of_tensor("U8", "[2147483647,2147483647,2147483647,0]", "[0,0]", 0) ==
        ErrorCode::kSafetensorsShape);
}

TEST_CASE("safetensors: refuses dimensions that are negative, beyond 32 bits, or no integers") {
  for (const std::string shape :
       {"[-1]", "[-2,-2]", "[4294967297]", "[2147483648]", "[1.0]", "[1e0]", "[\"1\"]", "[null]",
        "[true]", "[[1]]", "{}", "4", "null"}) {
    CAPTURE(shape);
    CHECK(code_of_tensor("U8", shape, "[0,4]", 4) == ErrorCode::kSafetensorsShape);
  }
}

TEST_CASE("safetensors: refuses a number that no integer type holds") {
  CHECK(code_of_tensor("U8", "[18446744073709551616]", "[0,4]", 4) ==
        ErrorCode::kSafetensorsHeader);
}

TEST_CASE("safetensors: refuses more dimensions than the bound") {
  CHECK(code_of_tensor("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1) == ErrorCode::kSafetensorsShape);
}

TEST_CASE("safetensors: refuses offsets that are reversed, out of bounds, or no pair of integers") {
  for (const std::string offsets :
       {"[1,0]", "[0,5]", "[4,8]", "[0,18446744073709551615]", "[18446744073709551612,0]", "[-4,0]",
        "[0]", "[0,4,4]", "[0,4.0]", "[\"0\",4]", "{}", "null"}) {
    CAPTURE(offsets);
    CHECK(code_of_tensor("U8", "[4]", offsets, 4) == ErrorCode::kSafetensorsOffsets);
  }
}

TEST_CASE("safetensors: refuses offsets that do not match shape and type") {
  CHECK(code_of_tensor("F32", "[2]", "[0,4]", 4) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of_tensor("F32", "[1]", "[0,8]", 8) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of_tensor("F32", "[0]", "[0,4]", 4) == ErrorCode::kSafetensorsOffsets);
}

TEST_CASE("safetensors: refuses two tensors over the same bytes") {
  CHECK(code_of(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                        4)) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                        7)) == ErrorCode::kSafetensorsOffsets);
}

TEST_CASE("safetensors: refuses gaps before, between and after tensors") {
  CHECK(code_of_tensor("U8", "[4]", "[1,5]", 5) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of_tensor("U8", "[4]", "[0,4]", 5) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                        R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                        3)) == ErrorCode::kSafetensorsOffsets);
  CHECK(code_of(file_of("{}", 1)) == ErrorCode::kSafetensorsOffsets);
}

TEST_CASE("safetensors: every truncation of a good file is refused") {
  const auto whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})",
                             11);
  REQUIRE(format::parse_safetensors(whole).has_value());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(format::parse_safetensors(Bytes(whole).first(size)).has_value());
  }
}
