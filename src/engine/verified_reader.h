// SPDX-License-Identifier: Apache-2.0
// VerifiedReader: mlx's Reader over bytes that were verified and cannot change. mlx reads tensors
// late, at evaluation, on threads of its own; reading from sealed memory makes "late" harmless. A
// failing read is remembered here as well as thrown, since mlx before 0.32.1 swallows what is
// thrown and goes on with unread memory: ask `failure()` after every evaluation.
#pragma once

#include <mlx/io/load.h>

#include <atomic>
#include <memory>

#include "engine/model_file.h"

namespace mlxguard::engine {

class VerifiedReader final : public mlx::core::io::Reader {
 public:
  explicit VerifiedReader(std::shared_ptr<const ModelFile> file) : file_(std::move(file)) {}

  /// kEngineReader if any read of this reader ever failed. Thread-safe.
  [[nodiscard]] Result<void> failure() const;

  [[nodiscard]] bool is_open() const override { return true; }
  [[nodiscard]] bool good() const override { return !failed_.load(); }
  std::size_t tell() override { return position_; }
  void seek(std::int64_t offset, std::ios_base::seekdir way) override;
  void read(char* data, std::size_t count) override;
  /// Thread-safe; the three above are not, as in mlx's own reader.
  void read(char* data, std::size_t count, std::size_t offset) override;
  [[nodiscard]] std::string label() const override { return "verified file " + file_->name(); }

 private:
  [[noreturn]] void fail(const char* what);
  std::shared_ptr<const ModelFile> file_;
  std::size_t position_ = 0;
  std::atomic<bool> failed_ = false;
};

}  // namespace mlxguard::engine
