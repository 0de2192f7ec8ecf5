// SPDX-License-Identifier: Apache-2.0
// Model: proof that these bytes were signed by someone the operator trusts. Only Guard::load makes
// one. The bytes lie in sealed memory: not even this process can change them any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlxguard/error.h"

namespace mlxguard {
MLXGUARD_V1 {

/// One tensor of a weights file: where its bytes are, proven in bounds.
struct Tensor {
  std::string name;
  std::string dtype;  ///< as safetensors writes it: "BF16"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< lives as long as any copy of the model
};

/// Cheap to copy: copies share the bytes. Thread-safe.
class MLXGUARD_EXPORT Model {
 public:
  struct File {
    std::string name;  ///< POSIX path below the model's root; "." for a single-file model
    std::uint64_t size_bytes = 0;
    int descriptor = -1;  ///< of the sealed memory; owned by the model, open as long as it lives
  };

  [[nodiscard]] const std::string& name() const noexcept;
  /// Lowercase hex SHA-256 over the signed digests: the model's identity.
  [[nodiscard]] const std::string& root_digest() const noexcept;
  /// Fingerprint of the signer's key (SHA-256 of its PEM, hex).
  [[nodiscard]] const std::string& signer() const noexcept;
  /// What the trust policy found wrong and let through, since the model's source only warns.
  [[nodiscard]] const std::vector<Error>& warnings() const noexcept;
  [[nodiscard]] std::span<const File> files() const noexcept;

  /// The whole file, mapped on first use. Errors: artifact.not_found, io.failed.
  [[nodiscard]] Result<std::span<const std::byte>> bytes(std::string_view file) const;
  /// Strictly parsed header of a .safetensors file. Errors: those of safetensors.*.
  [[nodiscard]] Result<std::vector<Tensor>> tensors(std::string_view file) const;
  /// Checks a file's structure before mlx is given it. `format` is mlx's: "safetensors", "npy",
  /// "npz", "gguf", "mlxfn"; empty: by the file's extension, and a kind without rules passes.
  /// Errors: safetensors.*, npy.*, gguf.*, archive.invalid, mlxfn.invalid, input.too_large;
  /// format.unknown for another `format`.
  [[nodiscard]] Result<std::monostate> check_structure(std::string_view file,
                                                       std::string_view format = {}) const;

 private:
  friend class Guard;
  struct Impl;
  explicit Model(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace v1
}  // namespace mlxguard
