// SPDX-License-Identifier: Apache-2.0
#include "engine/model_file.h"

#include <sys/mman.h>

#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::engine {

Result<std::shared_ptr<const ModelFile>> ModelFile::map(const artifact::SnapshotFile& file,
                                                        std::uint64_t bytes_max) {
  if (file.size_bytes > bytes_max) {
    return make_error(ErrorCode::kTooLarge, "file is larger than " + std::to_string(bytes_max))
        .about(file.name);
  }
  const std::uint8_t* data = nullptr;
  if (file.size_bytes > 0) {
    // Private, since a descriptor opened for writing and then sealed cannot be mapped shared.
    void* mapped = ::mmap(nullptr, file.size_bytes, PROT_READ, MAP_PRIVATE, file.memory.get(), 0);
    if (mapped == MAP_FAILED) return os_error("map", file.name);
    data = static_cast<const std::uint8_t*>(mapped);
  }
  return std::make_shared<const ModelFile>(Private{}, file.name, data, file.size_bytes);
}

ModelFile::~ModelFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_bytes_);
}

Result<std::shared_ptr<const ModelFile>> map_file(const signature::VerifiedModel& model,
                                                  std::string_view name, std::uint64_t bytes_max) {
  const artifact::SnapshotFile* file = model.find(name);
  if (file == nullptr) {
    return make_error(ErrorCode::kConfigInvalid, "the model lacks this file")
        .about(std::string(name));
  }
  return ModelFile::map(*file, bytes_max);
}

Result<codec::JsonDocument> read_json(const signature::VerifiedModel& model,
                                      std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const auto file, map_file(model, name, limits::kConfigBytesMax));
  auto document = codec::JsonDocument::parse(as_text(file->bytes()));
  if (document) return std::move(document).value();
  Error error = std::move(document).error();
  error.code = ErrorCode::kConfigInvalid;
  return std::move(error).about(std::string(name));
}

}  // namespace mlxguard::engine
