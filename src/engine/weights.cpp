// SPDX-License-Identifier: Apache-2.0
#include "engine/weights.h"

#include <mlx/io.h>
#include <mlx/ops.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "engine/mlx_guard.h"
#include "format/safetensors.h"

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

constexpr std::size_t kAllocatorHeaderBytes = 8;

mx::Dtype mlx_type(format::TensorType type) {
  switch (type) {
    case format::TensorType::kBool:
      return mx::bool_;
    case format::TensorType::kUint8:
      return mx::uint8;
    case format::TensorType::kInt8:
      return mx::int8;
    case format::TensorType::kUint16:
      return mx::uint16;
    case format::TensorType::kInt16:
      return mx::int16;
    case format::TensorType::kFloat16:
      return mx::float16;
    case format::TensorType::kBfloat16:
      return mx::bfloat16;
    case format::TensorType::kUint32:
      return mx::uint32;
    case format::TensorType::kInt32:
      return mx::int32;
    case format::TensorType::kFloat32:
      return mx::float32;
    case format::TensorType::kUint64:
      return mx::uint64;
    case format::TensorType::kInt64:
      return mx::int64;
  }
  MLXGUARD_CHECK(false);
}

mx::Shape mlx_shape(const std::vector<std::int64_t>& shape) {
  mx::Shape out;
  for (const std::int64_t extent : shape) out.push_back(static_cast<mx::ShapeElem>(extent));
  return out;
}

bool is_float(format::TensorType type) {
  return type == format::TensorType::kFloat32 || type == format::TensorType::kFloat16 ||
         type == format::TensorType::kBfloat16;
}

/// The mapping begins at a page, so an offset's alignment is the address's.
bool is_aligned(const format::TensorEntry& entry) {
  return entry.begin_bytes % format::size_of(entry.type) == 0;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace

bool mapped_weights_supported() {
  std::array<std::uint64_t, 4> memory{};
  mx::allocator::Buffer buffer(memory.data());
  return buffer.raw_ptr() ==
         static_cast<void*>(reinterpret_cast<std::uint8_t*>(memory.data()) + kAllocatorHeaderBytes);
}

Weights::Weights(std::shared_ptr<const ModelFile> file, format::TensorIndex index)
    : file_(file),
      reader_(std::make_shared<VerifiedReader>(std::move(file))),
      index_(std::move(index)) {}

Result<Weights> Weights::open(const artifact::SnapshotFile& file, WeightPlacement placement) {
  MLXGUARD_TRY_ASSIGN(auto mapped, ModelFile::map(file, limits::kModelBytesMax));
  auto index = format::parse_safetensors(mapped->bytes());
  if (!index) return std::move(index).error().with("reading", file.name);
  Weights weights(std::move(mapped), std::move(index).value());
  const auto& entries = weights.index_.entries();
  const bool all_mapped = placement == WeightPlacement::kMapped && mapped_weights_supported() &&
                          std::all_of(entries.begin(), entries.end(), is_aligned);
  if (!all_mapped) MLXGUARD_TRY(weights.load_through_reader());
  return weights;
}

Result<void> Weights::load_through_reader() {
  MLXGUARD_TRY(stop_exceptions(ErrorCode::kEngineLoad, [&]() -> Result<void> {
    read_ = mx::load_safetensors(reader_, mx::Device::cpu).first;
    return {};
  }));
  for (const format::TensorEntry& entry : index_.entries()) {
    const auto found = read_.find(entry.name);
    if (found == read_.end() || found->second.dtype() != mlx_type(entry.type) ||
        !std::equal(entry.shape.begin(), entry.shape.end(), found->second.shape().begin(),
                    found->second.shape().end())) {
      return make_error(ErrorCode::kEngineLoad, "mlx reads the header differently than we do")
          .about(entry.name);
    }
  }
  return {};
}

mx::array Weights::array_of(const format::TensorEntry& entry) const {
  if (!read_.empty()) return read_.at(entry.name);
  // mlx only ever writes into a buffer that it owns (array::is_donatable); one with a deleter of
  // ours is not owned. The deleter holds the mapping for as long as any array or view does.
  const std::uint8_t* const begin = file_->bytes().data() + entry.begin_bytes;
  void* const before = const_cast<std::uint8_t*>(begin - kAllocatorHeaderBytes);
  mx::allocator::Data data(mx::allocator::Buffer(before), [file = file_](mx::allocator::Buffer) {});
  return mx::array(std::move(data), mlx_shape(entry.shape), mlx_type(entry.type));
}

Result<mx::array> Weights::take_float(std::string_view name,
                                      std::initializer_list<std::int64_t> shape) const {
  const format::TensorEntry* entry = index_.find(name);
  if (entry == nullptr) {
    return make_error(ErrorCode::kTensorMissing, "the weights lack a tensor")
        .about(std::string(name));
  }
  if (!std::equal(shape.begin(), shape.end(), entry->shape.begin(), entry->shape.end())) {
    return make_error(ErrorCode::kTensorShape, "a tensor has another shape than the model needs")
        .about(std::string(name))
        .compared(shape_text(shape), shape_text(entry->shape));
  }
  if (!is_float(entry->type)) {
    return make_error(ErrorCode::kTensorShape, "a tensor is not of a float type")
        .about(std::string(name))
        .compared("F32, F16 or BF16", std::string(format::name_of(entry->type)));
  }
  const mx::array array = array_of(*entry);
  return entry->type == format::TensorType::kFloat32 ? array : mx::astype(array, mx::float32);
}

}  // namespace mlxguard::engine
