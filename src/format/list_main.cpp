// SPDX-License-Identifier: Apache-2.0
// For tests: what our readers make of files that mlx loads, one JSON line each, so that it can be
// compared with what mlx makes of them (tests/interop/test_formats_mlx.py). The extension says
// which reader.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "format/gguf.h"
#include "format/mlxfn.h"
#include "format/npz.h"
#include "format/safetensors.h"

using namespace mlxguard;

namespace {

/// The tensors, as members of an open object: "name": [type, shape, begin, end].
class Listing {
 public:
  void add(std::string_view name, std::string_view type, const std::vector<std::int64_t>& shape,
           std::uint64_t begin, std::uint64_t end) {
    json_.key(name).begin_array().string(type).begin_array();
    for (const std::int64_t extent : shape) json_.integer(extent);
    json_.end_array().unsigned_integer(begin).unsigned_integer(end).end_array();
  }
  codec::JsonWriter& json() { return json_; }

 private:
  codec::JsonWriter json_;
};

Result<void> list(std::string_view name, Bytes file, Listing& out) {
  if (name.ends_with(".npy")) {
    MLXGUARD_TRY_ASSIGN(const format::NpyArray array, format::parse_npy(file));
    out.add("", array.dtype, array.shape, array.begin_bytes, array.end_bytes);
  } else if (name.ends_with(".npz")) {
    MLXGUARD_TRY_ASSIGN(const auto members, format::parse_npz(file));
    for (const format::NpzMember& one : members) {
      out.add(one.name, one.array.dtype, one.array.shape, one.array.begin_bytes,
              one.array.end_bytes);
    }
  } else if (name.ends_with(".gguf")) {
    MLXGUARD_TRY_ASSIGN(const auto tensors, format::parse_gguf(file));
    for (const format::GgufTensor& one : tensors) {
      out.add(one.name, std::to_string(one.type), one.shape, one.begin_bytes, one.end_bytes);
    }
  } else if (name.ends_with(".mlxfn")) {
    return format::check_mlxfn(file);
  } else {
    MLXGUARD_TRY_ASSIGN(const auto index, format::parse_safetensors(file));
    for (const format::TensorEntry& one : index.entries()) {
      out.add(one.name, format::name_of(one.type), one.shape, one.begin_bytes, one.end_bytes);
    }
  }
  return {};
}

std::string describe(std::string_view name, Bytes file) {
  Listing listing;
  listing.json().begin_object().key("tensors").begin_object();
  const auto listed = list(name, file, listing);
  if (listed) {
    listing.json().end_object().end_object();
    return std::move(listing.json()).take();
  }
  codec::JsonWriter refused;
  refused.begin_object().field("refused", std::string(name_of(listed.error().code))).end_object();
  return std::move(refused).take();
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) return 3;
    const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
    std::puts(describe(argv[i], as_bytes({chars.data(), chars.size()})).c_str());
  }
  return 0;
}
