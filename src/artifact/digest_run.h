// SPDX-License-Identifier: Apache-2.0
// DigestRun: one pass over the files of a model, on every core. Each byte is read once, hashed
// while it is in the cache, and given to a sink (sealed memory, a file of the store, or nothing).
// Parallel over files, over the shards of a file, and inside one BLAKE3 file; a file whose digest
// is one serial chain (SHA-256, BLAKE2b) is hashed by one thread while others fill memory ahead of
// it.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "artifact/file_identity.h"
#include "artifact/model_folder.h"
#include "artifact/sealed_memory.h"

namespace mlxguard::artifact {

/// Where the bytes of one file go, besides into the digest: nowhere, memory, or an open file.
using Target = std::variant<std::monostate, SealedMemory, UniqueFd>;

/// Takes files whose bytes are read. Called from any thread, for one file at a time by one thread.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Whether targets of large files are mapped memory, that hashing can follow behind filling.
  [[nodiscard]] virtual bool keeps_in_memory() const = 0;
  [[nodiscard]] virtual Result<Target> begin(std::size_t file) = 0;
  /// Every byte is at its place, and the file did not change meanwhile.
  [[nodiscard]] virtual Result<void> finish(std::size_t file, Target target) = 0;
};

enum class Digesting : std::uint8_t { kHash, kCopyOnly };

struct DigestTask {
  std::span<const FileEntry> files;
  HashPlan plan{};
  Digesting digesting = Digesting::kHash;
  std::function<Result<UniqueFd>(const std::string& name)> open;
  ByteSink* sink = nullptr;  ///< none: the bytes are only hashed
  const Progress* progress = nullptr;
};

struct DigestOutcome {
  /// By file in the order given, shards by their start; empty after kCopyOnly.
  std::vector<FileDigest> digests;
  /// Of each file; none where the times changed while it was read.
  std::vector<std::optional<FileIdentity>> identities;
};

/// Errors: those of `open` and of the sink; kArtifactChanged if a file's size changed while it was
/// read; kArtifactTooMany for more shards than a statement may list; kIo where it was called off.
[[nodiscard]] Result<DigestOutcome> run_digests(const DigestTask& task);

}  // namespace mlxguard::artifact
