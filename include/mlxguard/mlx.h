// SPDX-License-Identifier: Apache-2.0
// From a verified model to mlx arrays. Header only, so that it fits whichever mlx the program is
// built with; link MLX yourself. mlx reads tensors late, at evaluation, on threads of its own: each
// array's reader keeps the model's sealed bytes alive, and a read cannot fail after the header was
// checked.
#pragma once

#include <mlx/io.h>
#include <mlx/io/load.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "mlxguard/model.h"

namespace mlxguard {
MLXGUARD_V1 {

/// mlx's Reader over one file of a verified model.
class ModelReader final : public mlx::core::io::Reader {
 public:
  ModelReader(Model model, std::span<const std::byte> bytes, std::string label)
      : model_(std::move(model)), bytes_(bytes), label_(std::move(label)) {}

  [[nodiscard]] bool is_open() const override { return true; }
  [[nodiscard]] bool good() const override { return true; }
  std::size_t tell() override { return position_; }
  void seek(std::int64_t offset, std::ios_base::seekdir way = std::ios_base::beg) override {
    const std::int64_t base = way == std::ios_base::beg ? 0
                              : way == std::ios_base::cur
                                  ? static_cast<std::int64_t>(position_)
                                  : static_cast<std::int64_t>(bytes_.size());
    if (offset < -base || base + offset > static_cast<std::int64_t>(bytes_.size())) out_of_bounds();
    position_ = static_cast<std::size_t>(base + offset);
  }
  void read(char* data, std::size_t count) override {
    read(data, count, position_);
    position_ += count;
  }
  void read(char* data, std::size_t count, std::size_t offset) override {
    if (offset > bytes_.size() || count > bytes_.size() - offset) out_of_bounds();
    std::memcpy(data, bytes_.data() + offset, count);
  }
  [[nodiscard]] std::string label() const override { return label_; }

 private:
  [[noreturn]] void out_of_bounds() const {
    throw std::runtime_error("mlxguard: a read outside of " + label_);
  }
  Model model_;  // holds the bytes
  std::span<const std::byte> bytes_;
  std::string label_;
  std::size_t position_ = 0;
};

/// In place of mlx::core::load_safetensors. Errors: those of Model::tensors; engine.load when mlx
/// refuses what our stricter reading took.
[[nodiscard]] inline Result<mlx::core::SafetensorsLoad> load_safetensors(
    const Model& model, std::string_view file,
    mlx::core::StreamOrDevice where = mlx::core::Device::cpu) {
  const auto checked = model.tensors(file);
  if (!checked) return checked.error();
  const auto bytes = model.bytes(file);
  if (!bytes) return bytes.error();
  try {
    return mlx::core::load_safetensors(
        std::make_shared<ModelReader>(model, *bytes, std::string(file)), where);
  } catch (const std::exception& problem) {
    Error error;
    error.kind = Error::Kind::kRefused;
    error.number = 701;
    error.code = "engine.load";
    error.message = problem.what();
    error.subject = std::string(file);
    return error;
  }
}

}  // namespace v1
}  // namespace mlxguard
