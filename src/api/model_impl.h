// SPDX-License-Identifier: Apache-2.0
// What a public Model holds on to: the proof itself, its sealed files, and the maps of them.
#pragma once

#include <sys/mman.h>

#include <map>
#include <mutex>

#include "base/os_error.h"
#include "mlxguard/model.h"
#include "signature/verified_model.h"

namespace mlxguard::v1 {

struct Model::Impl {
  explicit Impl(signature::VerifiedModel model, std::vector<v1::Error> warned = {})
      : verified(std::move(model)), warnings(std::move(warned)) {
    for (const artifact::SnapshotFile& file : verified.files()) {
      files.push_back({file.name, file.size_bytes, file.memory.get()});
    }
  }
  ~Impl() {
    for (const auto& [name, bytes] : maps) {
      if (!bytes.empty()) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] mlxguard::Result<std::span<const std::byte>> map(std::string_view name) const {
    const std::lock_guard lock(mutex);
    if (const auto known = maps.find(name); known != maps.end()) return known->second;
    const artifact::SnapshotFile* file = verified.find(name);
    if (file == nullptr) {
      return make_error(ErrorCode::kArtifactNotFound, "the model has no such file")
          .about(std::string(name));
    }
    std::span<const std::byte> bytes;
    if (file->size_bytes != 0) {
      void* const at =
          ::mmap(nullptr, file->size_bytes, PROT_READ, MAP_SHARED, file->memory.get(), 0);
      if (at == MAP_FAILED) return os_error("map", file->name);
      bytes = {static_cast<const std::byte*>(at), file->size_bytes};
    }
    maps.emplace(std::string(name), bytes);
    return bytes;
  }

  signature::VerifiedModel verified;
  std::vector<v1::Error> warnings;
  std::vector<File> files;
  mutable std::mutex mutex;
  mutable std::map<std::string, std::span<const std::byte>, std::less<>> maps;
};

}  // namespace mlxguard::v1
