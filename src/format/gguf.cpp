// SPDX-License-Identifier: Apache-2.0
#include "format/gguf.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "base/limits.h"
#include "codec/text.h"
#include "format/shape.h"

namespace mlxguard::format {
namespace {

constexpr std::uint32_t kUint32Type = 4, kStringType = 8, kArrayType = 9;

struct Block {
  std::uint64_t elements = 0;  ///< 0: a type that is not known
  std::uint64_t bytes = 0;
};
constexpr std::array<Block, 31> kBlocks{
    {{1, 4},    {1, 2},    {32, 18},  {32, 20},   {0, 0},     {0, 0},     {32, 22},   {32, 24},
     {32, 34},  {32, 36},  {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}, {256, 292},
     {256, 66}, {256, 74}, {256, 98}, {256, 50},  {32, 18},   {256, 110}, {256, 82},  {256, 136},
     {1, 1},    {1, 2},    {1, 4},    {1, 8},     {1, 8},     {256, 56},  {1, 2}}};
/// Bytes of the metadata types 0..12; strings and arrays have their own.
constexpr std::array<std::uint64_t, 13> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= limits::kTensorNameBytesMax && codec::is_utf8(text);
}

class Reader {
 public:
  Reader(Bytes file, GgufReading& out) : file_(file), reader_(file), out_(out) {}

  Result<void> run() {
    MLXGUARD_TRY_ASSIGN(const Bytes mark, reader_.take(4));
    if (as_text(mark) != "GGUF") return fault("it has no GGUF mark");
    MLXGUARD_TRY_ASSIGN(const auto version, reader_.read<std::uint32_t>());
    if (version != 2 && version != 3) return fault("a version other than 2 and 3");
    MLXGUARD_TRY_ASSIGN(const auto tensors, reader_.read<std::uint64_t>());
    MLXGUARD_TRY_ASSIGN(const auto keys, reader_.read<std::uint64_t>());
    if (tensors > limits::kTensorsMax || keys > limits::kGgufKeysMax) {
      return fault("more tensors or keys than allowed");
    }
    section_ = ErrorCode::kGgufMetadata;
    for (std::uint64_t i = 0; i < keys; ++i) MLXGUARD_TRY(read_key());
    section_ = ErrorCode::kGgufTensor;
    for (std::uint64_t i = 0; i < tensors; ++i) MLXGUARD_TRY(read_tensor());
    return place_tensors();
  }

  [[nodiscard]] std::uint64_t at() const { return file_.size() - reader_.remaining(); }
  /// Of the part that is being read.
  [[nodiscard]] ErrorCode section() const { return section_; }

 private:
  [[nodiscard]] Error fault(const char* why, std::string_view subject = {}) const {
    return make_error(section_, why).about(std::string(subject));
  }

  Result<std::string_view> read_text() {
    MLXGUARD_TRY_ASSIGN(const auto size, reader_.read<std::uint64_t>());
    if (size > reader_.remaining()) return fault("a text that ends behind the file");
    MLXGUARD_TRY_ASSIGN(const Bytes text, reader_.take(static_cast<std::size_t>(size)));
    return as_text(text);
  }

  Result<void> read_key() {
    MLXGUARD_TRY_ASSIGN(const std::string_view key, read_text());
    if (!is_name(key)) return fault("a key that is empty, too long or no text");
    if (!keys_.insert(key).second) return fault("a key twice");
    MLXGUARD_TRY_ASSIGN(const auto type, reader_.read<std::uint32_t>());
    if (type == kStringType) {
      MLXGUARD_TRY_ASSIGN(const std::string_view text, read_text());
      out_.texts.push_back({key, text, at() - text.size()});
      return {};
    }
    if (key == "general.alignment") {
      if (type != kUint32Type) return fault("an alignment that is no 32-bit number");
      MLXGUARD_TRY_ASSIGN(alignment_, reader_.read<std::uint32_t>());
      const bool power_of_two = alignment_ != 0 && (alignment_ & (alignment_ - 1)) == 0;
      if (!power_of_two) return fault("an alignment that is no power of two");
      return {};
    }
    return skip_value(type, 0);
  }

  Result<void> skip_value(std::uint32_t type, int depth) {
    if (type == kStringType) {
      MLXGUARD_TRY(read_text());
      return {};
    }
    if (type != kArrayType) {
      if (type >= kValueBytes.size()) return fault("metadata of an unknown type");
      MLXGUARD_TRY(reader_.take(static_cast<std::size_t>(kValueBytes[type])));
      return {};
    }
    if (depth >= limits::kGgufArrayDepthMax) return fault("arrays nested too deep");
    MLXGUARD_TRY_ASSIGN(const auto item, reader_.read<std::uint32_t>());
    MLXGUARD_TRY_ASSIGN(const auto count, reader_.read<std::uint64_t>());
    // Each item takes at least one byte: a count beyond what is there is a lie.
    if (count > reader_.remaining()) return fault("an array that ends behind the file");
    const bool beyond = count > static_cast<std::uint64_t>(limits::kTensorDimensionMax);
    out_.nested_arrays = out_.nested_arrays || depth > 0 || beyond;
    const std::uint64_t fixed = item < kValueBytes.size() ? kValueBytes[item] : 0;
    if (fixed != 0) {
      if (count > reader_.remaining() / fixed) return fault("an array that ends behind the file");
      MLXGUARD_TRY(reader_.take(static_cast<std::size_t>(count * fixed)));
      return {};
    }
    for (std::uint64_t i = 0; i < count; ++i) MLXGUARD_TRY(skip_value(item, depth + 1));
    return {};
  }

  /// `begin_bytes` is left relative to where the data begins, which is not known yet.
  Result<void> read_tensor() {
    GgufTensor tensor;
    MLXGUARD_TRY_ASSIGN(tensor.name, read_text());
    if (!is_name(tensor.name)) return fault("a tensor's name is empty, too long or no text");
    if (!names_.insert(tensor.name).second) return fault("two tensors of one name", tensor.name);
    MLXGUARD_TRY_ASSIGN(const auto rank, reader_.read<std::uint32_t>());
    if (rank > limits::kGgufRankMax) return fault("a tensor of too many dimensions", tensor.name);
    for (std::uint32_t i = 0; i < rank; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto extent, reader_.read<std::uint64_t>());
      if (extent > static_cast<std::uint64_t>(limits::kTensorDimensionMax)) {
        return fault("a dimension that is too large", tensor.name);
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(extent));
    }
    const auto elements = element_count(tensor.shape);
    if (!elements) return fault("a shape whose product is too large", tensor.name);
    MLXGUARD_TRY_ASSIGN(tensor.type, reader_.read<std::uint32_t>());
    if (tensor.type >= kBlocks.size() || kBlocks[tensor.type].elements == 0) {
      return fault("a tensor of an unknown type", tensor.name);
    }
    const Block block = kBlocks[tensor.type];
    const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (static_cast<std::uint64_t>(row) % block.elements != 0) {
      return fault("a row that is not whole blocks", tensor.name);
    }
    MLXGUARD_TRY_ASSIGN(tensor.begin_bytes, reader_.read<std::uint64_t>());
    // kTensorElementsMax times the bytes of any block fits.
    tensor.end_bytes = *elements / block.elements * block.bytes;
    out_.tensors.push_back(std::move(tensor));
    return {};
  }

  /// Offsets in the file, in bounds and disjoint.
  Result<void> place_tensors() {
    const std::uint64_t header = at();
    const std::uint64_t data = (header + alignment_ - 1) / alignment_ * alignment_;
    const std::uint64_t there = data > file_.size() ? 0 : file_.size() - data;
    std::vector<const GgufTensor*> by_place;
    for (GgufTensor& tensor : out_.tensors) {
      const std::uint64_t bytes = tensor.end_bytes;
      if (tensor.begin_bytes % alignment_ != 0) {
        return fault("a tensor that is not aligned", tensor.name);
      }
      // Also one without bytes has its place: mlx asks for it.
      if (data > file_.size() || tensor.begin_bytes > there || bytes > there - tensor.begin_bytes) {
        return fault("a tensor outside of the file", tensor.name);
      }
      tensor.begin_bytes += data;
      tensor.end_bytes = tensor.begin_bytes + bytes;
      by_place.push_back(&tensor);
    }
    std::sort(by_place.begin(), by_place.end(), [](const GgufTensor* a, const GgufTensor* b) {
      return std::pair(a->begin_bytes, a->end_bytes) < std::pair(b->begin_bytes, b->end_bytes);
    });
    std::uint64_t end = 0;
    for (const GgufTensor* tensor : by_place) {
      if (tensor->begin_bytes < end) {
        return fault("two tensors over the same bytes", tensor->name);
      }
      end = tensor->end_bytes;
    }
    return {};
  }

  Bytes file_;
  ByteReader reader_;
  GgufReading& out_;
  ErrorCode section_ = ErrorCode::kGgufHeader;
  std::uint32_t alignment_ = 32;
  std::set<std::string_view> keys_, names_;
};

/// ggml's numbers of the types that mlx 0.32.4 reads: as they are, or by unpacking them.
constexpr std::array<std::uint32_t, 12> kMlxTypes{0, 1, 2, 3, 8, 10, 12, 14, 24, 25, 26, 30};
constexpr std::uint32_t kQ8 = 8;

bool is_quantised(std::uint32_t type) { return type == 2 || type == 3 || type == kQ8; }

}  // namespace

GgufReading read_gguf(Bytes file) {
  GgufReading out;
  Reader reader(file, out);
  auto read = reader.run();
  if (read) return out;
  Error error = std::move(read).error();
  if (error.code == ErrorCode::kTruncated) error.code = reader.section();
  out.fault = std::move(error);
  out.failed_at = reader.at();
  return out;
}

Result<std::vector<GgufTensor>> parse_gguf(Bytes file) {
  GgufReading reading = read_gguf(file);
  if (reading.fault) return *std::move(reading.fault);
  if (reading.nested_arrays) {
    return make_error(ErrorCode::kGgufMetadata, "arrays of arrays, which mlx does not read");
  }
  for (const GgufTensor& tensor : reading.tensors) {
    const auto bad = [&](const char* why) {
      return make_error(ErrorCode::kGgufTensor, why).about(std::string(tensor.name));
    };
    if (std::find(kMlxTypes.begin(), kMlxTypes.end(), tensor.type) == kMlxTypes.end()) {
      return bad("a type that mlx does not read");
    }
    // mlx computes the size of what it unpacks these into with 32 bits.
    const std::uint64_t packed = tensor.end_bytes - tensor.begin_bytes;
    if (is_quantised(tensor.type) &&
        packed > static_cast<std::uint64_t>(limits::kTensorDimensionMax)) {
      return bad("a quantised tensor of more bytes than 31 bits count");
    }
  }
  return std::move(reading.tensors);
}

}  // namespace mlxguard::format
