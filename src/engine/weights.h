// SPDX-License-Identifier: Apache-2.0
// Weights: the tensors of a verified safetensors file as mlx arrays. Our own header parse decides
// what there is. Where an array can lie directly over the sealed read-only mapping it does, without
// a copy and without mlx's parser; else mlx loads it through a VerifiedReader, and what it makes of
// the header must equal what we made of it.
#pragma once

#include <mlx/array.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/verified_reader.h"
#include "format/tensor_index.h"

namespace mlxguard::engine {

enum class WeightPlacement : std::uint8_t {
  kMapped,  ///< over the mapping where alignment allows it
  kRead,    ///< by mlx through the reader, always
};

/// Whether this mlx keeps exactly the 8 bytes before an array's data that the mapping can offer
/// (any file bytes: the header's length stands before every tensor). Asked of the runtime, not
/// assumed.
[[nodiscard]] bool mapped_weights_supported();

class Weights {
 public:
  /// Errors: kSafetensors*, kIo; kEngineLoad when mlx reads the header differently.
  [[nodiscard]] static Result<Weights> open(const artifact::SnapshotFile& file,
                                            WeightPlacement placement = WeightPlacement::kMapped);

  [[nodiscard]] const format::TensorIndex& index() const { return index_; }

  /// The tensor as an array of float32. Errors: kTensorMissing; kTensorShape for another shape, or
  /// a type that is no float.
  [[nodiscard]] Result<mlx::core::array> take_float(
      std::string_view name, std::initializer_list<std::int64_t> shape) const;
  /// Any tensor of the index as it is.
  [[nodiscard]] mlx::core::array array_of(const format::TensorEntry& entry) const;

  /// After evaluation: kEngineReader if a read failed.
  [[nodiscard]] Result<void> failure() const { return reader_->failure(); }

 private:
  Weights(std::shared_ptr<const ModelFile> file, format::TensorIndex index);
  [[nodiscard]] Result<void> load_through_reader();
  std::shared_ptr<const ModelFile> file_;
  std::shared_ptr<VerifiedReader> reader_;
  format::TensorIndex index_;
  std::unordered_map<std::string, mlx::core::array> read_;  ///< empty if every tensor is mapped
};

}  // namespace mlxguard::engine
