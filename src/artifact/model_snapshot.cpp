// SPDX-License-Identifier: Apache-2.0
// Snapshot: a file's bytes are read once, into memory that only this process can reach, hashed there, and
// sealed. What was hashed is what is kept: nobody else holds the memory before it is immutable.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "artifact/model_folder.h"
#include "base/os_error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace mlxguard::artifact {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr std::size_t kChunkBytes = 4u << 20;
/// Below this a hashing thread of its own costs more than it brings.
constexpr std::uint64_t kThreadFromBytes = 16u << 20;

Error changed(const std::string& name) {
  return make_error(ErrorCode::kArtifactChanged, "a file changed while it was read").about(name);
}

Result<UniqueFd> make_memory(const std::string& name) {
  UniqueFd memory(
      ::memfd_create("mlxguard-model", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!memory.is_open() && errno == EINVAL) {  // a kernel before 6.3
    memory = UniqueFd(::memfd_create("mlxguard-model", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!memory.is_open()) return os_error("make memory for", name);
  return memory;
}

/// A writable mapping that is gone before the memory is sealed: F_SEAL_WRITE refuses otherwise.
class Mapping {
 public:
  static Result<Mapping> create(const UniqueFd& memory, std::size_t size, const std::string& name) {
    Mapping mapping;
    mapping.size_ = size;
    if (size == 0) return mapping;
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (mapped == MAP_FAILED) return os_error("map memory for", name);
    ::madvise(mapped, size, MADV_HUGEPAGE);  // where the system allows it: fewer page faults
    mapping.data_ = static_cast<std::uint8_t*>(mapped);
    return mapping;
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&&) = delete;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  [[nodiscard]] std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  Mapping() = default;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Hashes bytes of the mapping as they land, on a thread of its own for large files.
class FollowingHasher {
 public:
  FollowingHasher(const Mapping& mapping, crypto::HashAlgorithm algorithm)
      : mapping_(mapping), hasher_(algorithm) {
    if (mapping.size() >= kThreadFromBytes) thread_ = std::thread([this] { follow(); });
  }
  ~FollowingHasher() { stop(); }
  FollowingHasher(const FollowingHasher&) = delete;
  FollowingHasher& operator=(const FollowingHasher&) = delete;

  /// Bytes up to `landed` are in the mapping and will not be written again.
  void landed(std::size_t landed) {
    if (!thread_.joinable()) {
      hasher_.update(Bytes(mapping_.data() + hashed_, landed - hashed_));
      hashed_ = landed;
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      landed_ = landed;
    }
    wake_.notify_one();
  }
  std::vector<std::uint8_t> finish() {
    stop();
    return hasher_.finish();
  }

 private:
  void follow() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return landed_ > hashed_ || stopping_; });
      const std::size_t until = landed_;
      if (until == hashed_) return;
      lock.unlock();
      hasher_.update(Bytes(mapping_.data() + hashed_, until - hashed_));
      hashed_ = until;
      lock.lock();
    }
  }
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  const Mapping& mapping_;
  crypto::Hasher hasher_;
  std::size_t hashed_ = 0;  ///< owned by whoever hashes
  std::mutex mutex_;
  std::condition_variable wake_;
  std::size_t landed_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

struct Copied {
  UniqueFd memory;
  std::vector<std::uint8_t> digest;
};

Result<Copied> copy_file(const UniqueFd& fd, const FileEntry& file, crypto::HashAlgorithm algorithm,
                         const std::function<void(std::size_t)>& progress) {
  Copied copied;
  MLXGUARD_TRY_ASSIGN(copied.memory, make_memory(file.name));
  if (::ftruncate(copied.memory.get(), static_cast<off_t>(file.size_bytes)) != 0) {
    return os_error("make memory for", file.name);
  }
  {
    MLXGUARD_TRY_ASSIGN(const Mapping mapping,
                        Mapping::create(copied.memory, file.size_bytes, file.name));
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    FollowingHasher hasher(mapping, algorithm);
    std::size_t landed = 0;
    while (landed < mapping.size()) {
      const ssize_t count = ::read(fd.get(), mapping.data() + landed,
                                   std::min(kChunkBytes, mapping.size() - landed));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return os_error("read", file.name);
      if (count == 0) return changed(file.name);
      landed += static_cast<std::size_t>(count);
      hasher.landed(landed);
      progress(static_cast<std::size_t>(count));
    }
    std::uint8_t beyond = 0;
    if (::read(fd.get(), &beyond, 1) != 0) return changed(file.name);
    copied.digest = hasher.finish();
  }
  if (::fcntl(copied.memory.get(), F_ADD_SEALS, kAllSeals) != 0 ||
      (::fcntl(copied.memory.get(), F_GET_SEALS) & kAllSeals) != kAllSeals) {
    return os_error("seal", file.name);
  }
  return copied;
}

}  // namespace

Result<std::vector<SnapshotFile>> ModelFolder::snapshot(std::span<const FileEntry> files,
                                                        crypto::HashAlgorithm algorithm,
                                                        std::vector<FileDigest>& digests,
                                                        const Progress& progress) const {
  std::uint64_t total = 0;
  for (const FileEntry& file : files) total += file.size_bytes;
  std::uint64_t done = 0;
  std::vector<SnapshotFile> out;
  digests.clear();
  for (const FileEntry& file : files) {
    MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_file(file.name));
    MLXGUARD_TRY_ASSIGN(Copied copied, copy_file(fd, file, algorithm, [&](std::size_t bytes) {
                          done += bytes;
                          if (progress) progress(done, total);
                        }));
    SnapshotFile held;
    held.name = file.name;
    held.size_bytes = file.size_bytes;
    if (algorithm == crypto::HashAlgorithm::kSha256) {
      std::copy(copied.digest.begin(), copied.digest.end(), held.digest.begin());
    }
    held.memory = std::move(copied.memory);
    out.push_back(std::move(held));
    digests.push_back({file.name, file.size_bytes, std::move(copied.digest)});
  }
  return out;
}

}  // namespace mlxguard::artifact
