// SPDX-License-Identifier: Apache-2.0
// GGUF by its own rules: every length, count, type and offset is checked against the file before it
// is believed, and the chat template in the metadata is read like any other. Nothing is handed to
// mlx. Input: bytes chosen by an attacker.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/limits.h"
#include "inspect/template_scan.h"
#include "inspect/weights_scan.h"

namespace mlxguard::inspect {
namespace {

constexpr std::uint64_t kKeysMax = 100'000;
constexpr std::uint64_t kRankMax = 4;
constexpr std::uint32_t kStringType = 8, kArrayType = 9;
constexpr int kArrayDepthMax = 4;

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

Error malformed(const char* why) { return make_error(ErrorCode::kGgufHeader, why); }

class Gguf {
 public:
  Gguf(Bytes file, Findings& findings) : file_(file), reader_(file), findings_(findings) {}

  Result<void> run() {
    MLXGUARD_TRY(reader_.take(4));  // the mark, looked at before
    MLXGUARD_TRY_ASSIGN(const auto version, reader_.read<std::uint32_t>());
    if (version != 2 && version != 3) return malformed("a version other than 2 and 3");
    MLXGUARD_TRY_ASSIGN(const auto tensors, reader_.read<std::uint64_t>());
    MLXGUARD_TRY_ASSIGN(const auto keys, reader_.read<std::uint64_t>());
    if (tensors > limits::kTensorsMax || keys > kKeysMax)
      return malformed("more tensors or keys than allowed");
    for (std::uint64_t i = 0; i < keys; ++i) MLXGUARD_TRY(read_key());
    MLXGUARD_TRY(read_tensors(tensors));
    return {};
  }

 private:
  Result<std::string_view> read_text() {
    MLXGUARD_TRY_ASSIGN(const auto size, reader_.read<std::uint64_t>());
    if (size > reader_.remaining()) return malformed("a text that ends behind the file");
    MLXGUARD_TRY_ASSIGN(const Bytes text, reader_.take(static_cast<std::size_t>(size)));
    return as_text(text);
  }

  Result<void> read_key() {
    MLXGUARD_TRY_ASSIGN(const std::string_view key, read_text());
    if (!keys_.insert(key).second) return malformed("a key twice");
    MLXGUARD_TRY_ASSIGN(const auto type, reader_.read<std::uint32_t>());
    if (type == kStringType) {
      MLXGUARD_TRY_ASSIGN(const std::string_view text, read_text());
      if (key.starts_with("tokenizer.chat_template")) {
        scan_template(text, evidence_of(key), TemplateOrigin::kInsideConfig, findings_);
      }
      return {};
    }
    if (key == "general.alignment" && type == 4) {
      MLXGUARD_TRY_ASSIGN(alignment_, reader_.read<std::uint32_t>());
      const bool power_of_two = alignment_ != 0 && (alignment_ & (alignment_ - 1)) == 0;
      if (!power_of_two) return malformed("an alignment that is no power of two");
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
      if (type >= kValueBytes.size()) return malformed("metadata of an unknown type");
      MLXGUARD_TRY(reader_.take(static_cast<std::size_t>(kValueBytes[type])));
      return {};
    }
    if (depth >= kArrayDepthMax) return malformed("arrays nested too deep");
    MLXGUARD_TRY_ASSIGN(const auto item, reader_.read<std::uint32_t>());
    MLXGUARD_TRY_ASSIGN(const auto count, reader_.read<std::uint64_t>());
    // Each item takes at least one byte: a count beyond what is there is a lie.
    if (count > reader_.remaining()) return malformed("an array that ends behind the file");
    for (std::uint64_t i = 0; i < count; ++i) MLXGUARD_TRY(skip_value(item, depth + 1));
    return {};
  }

  struct Tensor {
    std::uint64_t begin = 0, bytes = 0;
  };

  Result<Tensor> read_tensor() {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, read_text());
    if (name.size() > limits::kTensorNameBytesMax) return malformed("a tensor's name is too long");
    if (!tensors_.insert(name).second) return malformed("two tensors of one name");
    MLXGUARD_TRY_ASSIGN(const auto rank, reader_.read<std::uint32_t>());
    if (rank > kRankMax) return malformed("a tensor of too many dimensions");
    std::optional<std::uint64_t> elements = 1;
    std::uint64_t row = 1;
    for (std::uint32_t i = 0; i < rank; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto extent, reader_.read<std::uint64_t>());
      if (extent > static_cast<std::uint64_t>(limits::kTensorDimensionMax))
        return malformed("a dimension beyond 32 bits");
      if (i == 0) row = extent;
      if (elements) elements = checked_mul(*elements, extent);
    }
    MLXGUARD_TRY_ASSIGN(const auto type, reader_.read<std::uint32_t>());
    const Block block = type < kBlocks.size() ? kBlocks[type] : Block{};
    if (block.elements == 0) return malformed("a tensor of unknown type");
    if (row % block.elements != 0) return malformed("a row that is not whole blocks");
    const auto bytes =
        elements ? checked_mul(*elements / block.elements, block.bytes) : std::nullopt;
    if (!bytes) return malformed("a shape that wraps");
    MLXGUARD_TRY_ASSIGN(const auto begin, reader_.read<std::uint64_t>());
    if (begin % alignment_ != 0) return malformed("a tensor that is not aligned");
    return Tensor{begin, *bytes};
  }

  Result<void> read_tensors(std::uint64_t count) {
    std::vector<Tensor> all;
    for (std::uint64_t i = 0; i < count; ++i) {
      MLXGUARD_TRY_ASSIGN(const Tensor tensor, read_tensor());
      all.push_back(tensor);
    }
    const std::uint64_t header = file_.size() - reader_.remaining();
    const std::uint64_t data = (header + alignment_ - 1) / alignment_ * alignment_;
    const std::uint64_t there = data > file_.size() ? 0 : file_.size() - data;
    std::sort(all.begin(), all.end(),
              [](const Tensor& a, const Tensor& b) { return a.begin < b.begin; });
    std::uint64_t end = 0;
    for (const Tensor& tensor : all) {
      if (tensor.begin > there || tensor.bytes > there - tensor.begin)
        return malformed("a tensor outside of the file");
      if (tensor.begin < end) return malformed("two tensors over the same bytes");
      end = tensor.begin + tensor.bytes;
    }
    return {};
  }

  Bytes file_;
  ByteReader reader_;
  Findings& findings_;
  std::uint32_t alignment_ = 32;
  std::set<std::string_view> keys_, tensors_;
};

}  // namespace

void scan_gguf(Bytes file, Findings& findings) {
  const auto read = Gguf(file, findings).run();
  if (!read) findings.add(Rule::kGguf, read.error().message, name_of(read.error().code));
}

}  // namespace mlxguard::inspect
