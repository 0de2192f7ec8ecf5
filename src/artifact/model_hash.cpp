// SPDX-License-Identifier: Apache-2.0
// Hashing in place: each file is read once, in order, in bounded buffers, several files at a time.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "artifact/model_folder.h"
#include "base/os_error.h"

namespace mlxguard::artifact {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
/// Below this a second thread costs more than it brings.
constexpr std::uint64_t kThreadsFromBytes = 8u << 20;

Error changed(const std::string& name) {
  return make_error(ErrorCode::kArtifactChanged, "a file changed while it was read").about(name);
}

/// State that the hashing threads share.
struct Shared {
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::optional<Error> first_error;
};

Result<std::vector<std::uint8_t>> hash_file(const UniqueFd& fd, const FileEntry& file,
                                            crypto::HashAlgorithm algorithm,
                                            std::vector<std::uint8_t>& buffer, Shared& shared,
                                            std::uint64_t total, const Progress& progress) {
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  crypto::Hasher hasher(algorithm);
  std::uint64_t seen = 0;
  while (!shared.stop.load(std::memory_order_relaxed)) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", file.name);
    if (count == 0) break;
    const auto bytes = static_cast<std::size_t>(count);
    seen += bytes;
    if (seen > file.size_bytes) return changed(file.name);
    hasher.update(Bytes(buffer).first(bytes));
    const std::uint64_t all = shared.done.fetch_add(bytes) + bytes;
    if (progress) progress(all, total);
  }
  if (seen != file.size_bytes) return changed(file.name);
  return hasher.finish();
}

}  // namespace

Result<std::vector<FileDigest>> ModelFolder::hash(std::span<const FileEntry> files,
                                                  crypto::HashAlgorithm algorithm,
                                                  const Progress& progress) const {
  std::uint64_t total = 0;
  for (const FileEntry& file : files) total += file.size_bytes;
  // Large files first, so that no thread is left with one at the end.
  std::vector<std::size_t> order(files.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return files[a].size_bytes > files[b].size_bytes;
  });
  std::vector<FileDigest> digests(files.size());
  Shared shared;
  const auto work = [&] {
    std::vector<std::uint8_t> buffer(
        std::min<std::uint64_t>(kBufferBytes, std::max<std::uint64_t>(total, 1)));
    for (std::size_t i = shared.next++; i < order.size() && !shared.stop; i = shared.next++) {
      const FileEntry& file = files[order[i]];
      auto fd = open_file(file.name);
      auto digest = fd ? hash_file(*fd, file, algorithm, buffer, shared, total, progress)
                       : Result<std::vector<std::uint8_t>>(std::move(fd).error());
      if (digest) {
        digests[order[i]] = {file.name, file.size_bytes, *std::move(digest)};
        continue;
      }
      const std::lock_guard lock(shared.mutex);
      if (!shared.stop.exchange(true)) shared.first_error = std::move(digest).error();
    }
  };
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t wanted = total < kThreadsFromBytes ? 1 : std::min(cores, files.size());
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back(work);
  work();
  threads.clear();  // joins
  if (shared.first_error) return *std::move(shared.first_error);
  return digests;
}

}  // namespace mlxguard::artifact
