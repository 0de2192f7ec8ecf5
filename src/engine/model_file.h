// SPDX-License-Identifier: Apache-2.0
// A verified file's bytes, mapped read-only. The descriptor is sealed against every change, so what
// is parsed once is what mlx computes with later.
#pragma once

#include <memory>
#include <string_view>

#include "base/byte_reader.h"
#include "base/result.h"
#include "codec/json.h"
#include "signature/verified_model.h"

namespace mlxguard::engine {

class ModelFile {
  struct Private {};  ///< only `map` can name it, yet make_shared can call the constructor

 public:
  /// Errors: kIo, kTooLarge beyond `bytes_max`.
  [[nodiscard]] static Result<std::shared_ptr<const ModelFile>> map(
      const artifact::SnapshotFile& file, std::uint64_t bytes_max);
  ModelFile(Private, std::string name, const std::uint8_t* data, std::size_t size_bytes)
      : name_(std::move(name)), data_(data), size_bytes_(size_bytes) {}
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;
  ~ModelFile();

  [[nodiscard]] Bytes bytes() const { return {data_, size_bytes_}; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  const std::uint8_t* data_;  ///< null for an empty file
  std::size_t size_bytes_;
};

/// The file of this name, mapped. Errors: kConfigInvalid if the model lacks it; see map.
[[nodiscard]] Result<std::shared_ptr<const ModelFile>> map_file(
    const signature::VerifiedModel& model, std::string_view name, std::uint64_t bytes_max);

/// A configuration file as strict JSON of at most kConfigBytesMax. Errors: kConfigInvalid, naming
/// it.
[[nodiscard]] Result<codec::JsonDocument> read_json(const signature::VerifiedModel& model,
                                                    std::string_view name);

}  // namespace mlxguard::engine
