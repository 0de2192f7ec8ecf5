// SPDX-License-Identifier: Apache-2.0
#include "format/npy.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/limits.h"

using namespace mlxguard;

namespace {

std::string npy_of(const std::string& dictionary, std::size_t data_bytes, char version = 1) {
  std::string header = dictionary + "\n";
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  if (version != 1) file += std::string(2, '\0');
  return file + header + std::string(data_bytes, '\0');
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

ErrorCode code_of(const std::string& file) {
  const auto array = format::parse_npy(as_bytes(file));
  REQUIRE(!array.has_value());
  return array.error().code;
}

}  // namespace

TEST_CASE("npy: reads what numpy and mlx write, in both byte orders and element orders") {
  const std::string file = npy_of(dictionary("'<f4'", "(2, 3)"), 24);
  const auto array = format::parse_npy(as_bytes(file));
  REQUIRE(array.has_value());
  CHECK(array->dtype == "float32");
  CHECK(array->shape == std::vector<std::int64_t>{2, 3});
  CHECK(array->end_bytes - array->begin_bytes == 24);
  CHECK(array->end_bytes == file.size());
  CHECK(format::parse_npy(as_bytes(npy_of(dictionary("'>i2'", "(4,)", "True"), 8))).has_value());
  CHECK(format::parse_npy(as_bytes(npy_of(dictionary("'|b1'", "()"), 1))).has_value());
  CHECK(format::parse_npy(as_bytes(npy_of(dictionary("'|u1'", "(0, 7)"), 0))).has_value());
  CHECK(format::parse_npy(as_bytes(npy_of(dictionary("'<V2'", "(3,)") + "   ", 6))).has_value());
  // mlx's own form, and version 2 of the header.
  const std::string mlx = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, )}  ";
  CHECK(format::parse_npy(as_bytes(npy_of(mlx, 24))).has_value());
  CHECK(format::parse_npy(as_bytes(npy_of(mlx, 24, 2))).has_value());
}

TEST_CASE("npy: refuses a header that is not there, cut off, of another version, or not closed") {
  const std::string good = npy_of(dictionary("'<f4'", "(1,)"), 4);
  for (std::size_t size = 0; size + 4 < good.size(); ++size) {
    CAPTURE(size);
    CHECK(code_of(good.substr(0, size)) == ErrorCode::kNpyHeader);
  }
  std::string beyond = npy_of(dictionary("'<f4'", "(1,)"), 4, 2);
  beyond.replace(8, 4, "\xff\xff\xff\x7f");
  CHECK(code_of(beyond) == ErrorCode::kNpyHeader);
  for (const char version : {'\0', '\3', '\4'}) {
    CHECK(code_of(npy_of(dictionary("'<f4'", "(1,)"), 4, version)) == ErrorCode::kNpyHeader);
  }
  std::string long_header = npy_of(dictionary("'<f4'", "(1,)"), 0, 2);
  long_header.insert(long_header.size() - 1, limits::kNpyHeaderBytesMax, ' ');
  const auto length = static_cast<std::uint32_t>(long_header.size() - 12);
  long_header.replace(8, 4, reinterpret_cast<const char*>(&length), 4);
  CHECK(code_of(long_header + std::string(4, '\0')) == ErrorCode::kNpyHeader);
  std::string minor = good;
  minor[7] = 1;
  CHECK(code_of(minor) == ErrorCode::kNpyHeader);
}

TEST_CASE("npy: refuses every form that readers take for something else") {
  for (const std::string& text : {
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'descr': '|O', }"),
           std::string("{'shape': (1,), 'descr': '<f4', 'fortran_order': False, }"),
           std::string("{'descr':'<f4','fortran_order':False,'shape':(1,), }"),
           std::string("{\"descr\": '<f4', 'fortran_order': False, 'shape': (1,), }"),
           std::string("{'descr': '<f4', 'fortran_order': Truer, 'shape': (1,), }"),
           std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } # more"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), "),
           std::string("{'descr': '<f4\0', 'fortran_order': False, 'shape': (1,), }", 56),
       }) {
    CAPTURE(text);
    const ErrorCode code = code_of(npy_of(text, 4));
    CHECK((code == ErrorCode::kNpyHeader || code == ErrorCode::kNpyDtype));
  }
  std::string early_nul = npy_of(dictionary("'<f4'", "(1,)"), 4);
  early_nul[10] = '\0';
  CHECK(code_of(early_nul) == ErrorCode::kNpyHeader);
}

TEST_CASE("npy: refuses types that mlx lacks or reads wrongly, and Python objects") {
  for (const std::string descr :
       {"'<f1'", "'<c16'", "'>c8'", "'<U4'", "'|S3'", "'<M8[ns]'", "'|O'", "'O'", "'<f16'", "'<i'",
        "'x4'", "''", "'|i4'", "[('a', '<f4')]", "[('a', '|O')]", "'<f99999999999999999999'"}) {
    CAPTURE(descr);
    CHECK(code_of(npy_of(dictionary(descr, "(1,)"), 4)) == ErrorCode::kNpyDtype);
  }
}

TEST_CASE("npy: objects are found in records, wherever numpy would take them for a type") {
  const auto elements = [](const std::string& descr) {
    const std::string file = npy_of(dictionary(descr, "(1,)"), 4);
    const auto header = format::read_npy_header(as_bytes(file));
    REQUIRE(header.has_value());
    return header->elements;
  };
  using format::NpyElements;
  CHECK(elements("[('O', '<f4')]") == NpyElements::kRecords);
  CHECK(elements("[(('title', 'O'), '<f4', (2, 3))]") == NpyElements::kRecords);
  CHECK(elements("[('a', '<f4'), ('b', '|O')]") == NpyElements::kObjects);
  CHECK(elements("[('a', [('b', 'O')])]") == NpyElements::kObjects);
  CHECK(elements("[('a', ('|O', (2,)))]") == NpyElements::kObjects);
  CHECK(elements("('|O', (2,))") == NpyElements::kObjects);
  CHECK(elements("'<M8[ns]'") == NpyElements::kPlain);
  std::string deep = "'<f4'";
  for (int i = 0; i < 8; ++i) deep = "[('a', " + deep + ")]";
  CHECK(elements(deep) == NpyElements::kRecords);
  deep = "[('a', " + deep + ")]";
  CHECK_FALSE(format::read_npy_header(as_bytes(npy_of(dictionary(deep, "(1,)"), 4))).has_value());
  for (const std::string descr : {R"([('\\', '<f4')])", "[('a', '\\x4f')]", "[('a', '<f4'",
                                  "[('a', f4)]", "[[[[[[[[[[[[[[[[[[('a', 'O')]"}) {
    CAPTURE(descr);
    const std::string file = npy_of(dictionary(descr, "(1,)"), 4);
    CHECK_FALSE(format::read_npy_header(as_bytes(file)).has_value());
  }
}

TEST_CASE("npy: refuses shapes that are negative, wrap, exceed 32 bits, or are not the data's") {
  for (const std::string shape :
       {"(-1,)", "(2147483648,)", "(4294967297,)", "(18446744073709551617,)", "(1)", "(1,1)", "(,)",
        "(1 ,)", "( 1,)", "(01,)", "(+1,)", "(1L,)", "(1.0,)", "(2147483647, 2147483647, 4)",
        "(65536, 65536, 65536, 65536)", "(0, 2147483647, 2147483647)", "(2,)", "(0,)",
        "(1, 1, 1, 1, 1, 1, 1, 1, 1)"}) {
    CAPTURE(shape);
    CHECK(code_of(npy_of(dictionary("'<f4'", shape), 4)) == ErrorCode::kNpyShape);
  }
  // What a zero makes fit the data is refused all the same.
  for (const std::string shape :
       {"(0, 2147483648)", "(0, 2147483647, 2147483647)", "(2147483647, 2147483647, 0)"}) {
    CAPTURE(shape);
    CHECK(code_of(npy_of(dictionary("'<f4'", shape), 0)) == ErrorCode::kNpyShape);
  }
  CHECK(code_of(npy_of(dictionary("'<f4'", "(1,)"), 3)) == ErrorCode::kNpyShape);
  CHECK(code_of(npy_of(dictionary("'<f4'", "(1,)"), 5)) == ErrorCode::kNpyShape);
  CHECK(code_of(npy_of(dictionary("'<f4'", "1"), 4)) == ErrorCode::kNpyHeader);
}
