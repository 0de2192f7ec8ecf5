// SPDX-License-Identifier: Apache-2.0
// For tests: what our parser makes of safetensors files, one JSON line each, so that it can be
// compared with what mlx makes of them (tests/interop/test_safetensors_mlx.py).
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "codec/json.h"
#include "format/safetensors.h"

using namespace mlxguard;

namespace {

std::string describe(Bytes file) {
  codec::JsonWriter json;
  const auto index = format::parse_safetensors(file);
  json.begin_object();
  if (!index) {
    json.field("refused", std::string(name_of(index.error().code))).end_object();
    return std::move(json).take();
  }
  json.key("tensors").begin_object();
  for (const format::TensorEntry& entry : index->entries()) {
    json.key(entry.name).begin_array().string(format::name_of(entry.type)).begin_array();
    for (const std::int64_t extent : entry.shape) json.integer(extent);
    json.end_array();
    json.unsigned_integer(entry.begin_bytes).unsigned_integer(entry.end_bytes).end_array();
  }
  json.end_object().end_object();
  return std::move(json).take();
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) return 3;
    const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
    std::puts(describe(as_bytes({chars.data(), chars.size()})).c_str());
  }
  return 0;
}
