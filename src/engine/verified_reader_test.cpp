// SPDX-License-Identifier: Apache-2.0
#include "engine/verified_reader.h"

#include <doctest/doctest.h>
#include <mlx/io.h>
#include <mlx/transforms.h>

#include "engine/test_support.h"

using namespace mlxguard;
namespace mx = mlx::core;

namespace {

std::shared_ptr<engine::VerifiedReader> reader_over(std::string_view bytes) {
  const auto file = engine::ModelFile::map(engine::test::sealed_file("file", bytes), 1 << 20);
  REQUIRE(file.has_value());
  return std::make_shared<engine::VerifiedReader>(*file);
}

/// A npy file that announces four floats and holds fewer.
std::string npy_with(std::size_t data_bytes) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }";
  header.append(64 - (10 + header.size() + 1) % 64, ' ').append("\n");
  std::string file = "\x93NUMPY";
  file += {'\1', '\0', static_cast<char>(header.size()), static_cast<char>(header.size() >> 8)};
  return file + header + std::string(data_bytes, '\0');
}

}  // namespace

TEST_CASE("verified reader: reads in order, at a place, and after a seek") {
  const auto reader = reader_over("0123456789");
  char buffer[4] = {};
  reader->read(buffer, 3);
  CHECK(std::string(buffer) == "012");
  CHECK(reader->tell() == 3);
  reader->read(buffer, 3, 7);
  CHECK(std::string(buffer) == "789");
  CHECK(reader->tell() == 3);
  reader->seek(-2, std::ios_base::end);
  reader->read(buffer, 2);
  CHECK(std::string(buffer, 2) == "89");
  reader->seek(1, std::ios_base::beg);
  reader->seek(2, std::ios_base::cur);
  CHECK(reader->tell() == 3);
  CHECK(reader->failure().has_value());
  CHECK(reader->good());
}

TEST_CASE("verified reader: a read or seek outside of the file throws, and is remembered") {
  char buffer[8] = {};
  const auto beyond = [&](auto&& misuse) {
    const auto reader = reader_over("0123456789");
    CHECK_THROWS_AS(misuse(*reader), std::exception);
    REQUIRE(!reader->failure().has_value());
    CHECK(reader->failure().error().code == ErrorCode::kEngineReader);
    CHECK(!reader->good());
  };
  beyond([&](engine::VerifiedReader& r) { r.read(buffer, 4, 7); });
  beyond([&](engine::VerifiedReader& r) { r.read(buffer, 1, 11); });
  beyond([&](engine::VerifiedReader& r) { r.read(buffer, 2, SIZE_MAX); });
  beyond([&](engine::VerifiedReader& r) { r.read(buffer, SIZE_MAX, 1); });
  beyond([&](engine::VerifiedReader& r) { r.seek(-1, std::ios_base::beg); });
  beyond([&](engine::VerifiedReader& r) { r.seek(INT64_MAX, std::ios_base::end); });
}

TEST_CASE(
    "verified reader: mlx's evaluation reports a read that failed, and the reader remembers") {
  const auto whole = reader_over(npy_with(16));
  mx::array loaded = mx::load(whole);
  mx::eval(loaded);
  CHECK(whole->failure().has_value());

  const auto cut = reader_over(npy_with(8));
  CHECK_THROWS_AS(
      [&] {
        mx::array array = mx::load(cut);
        mx::eval(array);
      }(),
      std::exception);
  CHECK(!cut->failure().has_value());
}
