// SPDX-License-Identifier: Apache-2.0
#include "artifact/digest_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "base/copy_step.h"
#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::artifact {
namespace {

constexpr std::uint64_t kPieceBytes = crypto::kBlake3PieceBytes;
/// What a thread takes at a time. Where memory is filled, large enough that asking the kernel for
/// huge pages is rare; small enough that threads end together.
constexpr std::uint64_t kHashBlockBytes = 2 * kPieceBytes;
constexpr std::uint64_t kFillBlockBytes = 8 * kPieceBytes;
/// Below this a second thread costs more than it brings.
constexpr std::uint64_t kThreadsFromBytes = 4u << 20;

Error changed(const std::string& name) {
  return make_error(ErrorCode::kArtifactChanged, "a file changed while it was read").about(name);
}

Error called_off() { return make_error(ErrorCode::kIo, "called off before every file was read"); }

/// What one digest is over: a file, or a shard of one. Taken block by block.
struct Chain {
  std::size_t file = 0;
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t block_bytes = 0;
  std::uint32_t blocks = 1;
  bool any_order = false;  ///< blocks may be worked on in any order, by any thread
  std::atomic<std::uint32_t> next{0};
  std::atomic<std::uint32_t> done{0};
  std::vector<crypto::Blake3Value> values{};      ///< of pieces, if the digest is a tree
  std::unique_ptr<std::atomic<bool>[]> landed{};  ///< of blocks, if hashing follows filling
};

struct FileState {
  std::mutex mutex;
  UniqueFd source;
  FileIdentity before;
  Target target;
  std::size_t chains_left = 0;
  bool closed = false;
};

enum class Opened : std::uint8_t { kOpen, kClosedAgain };

class Run {
 public:
  explicit Run(const DigestTask& task) : task_(task), states_(task.files.size()) {}

  Result<DigestOutcome> run() {
    MLXGUARD_TRY(plan());
    const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::jthread> threads;
    if (total_ >= kThreadsFromBytes) {
      for (std::size_t i = 1; i < cores; ++i) threads.emplace_back([this] { work(); });
    }
    work();
    threads.clear();  // joins
    if (first_error_) return *std::move(first_error_);
    return std::move(outcome_);
  }

 private:
  using Buffer = std::vector<std::uint8_t>;

  Result<void> plan() {
    // Large files first, so that no thread is left with one at the end; the shards of a file
    // together, so that few files are open at once.
    std::vector<std::size_t> order(task_.files.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return task_.files[a].size_bytes > task_.files[b].size_bytes;
    });
    std::vector<std::size_t> first(task_.files.size());
    for (std::size_t i = 0; i < task_.files.size(); ++i) {
      first[i] = chain_count_;
      states_[i].chains_left = shards_of(task_.files[i]);
      chain_count_ += states_[i].chains_left;
      total_ += task_.files[i].size_bytes;
      if (chain_count_ > limits::kModelResourcesMax) {
        return make_error(ErrorCode::kArtifactTooMany, "more shards than a statement may list")
            .hinting("take larger shards");
      }
    }
    chains_ = std::make_unique<Chain[]>(chain_count_);
    digest_of_.reserve(chain_count_);
    outcome_.digests.resize(task_.digesting == Digesting::kHash ? chain_count_ : 0);
    outcome_.identities.resize(task_.files.size());
    for (const std::size_t file : order) add_chains(file, first[file]);
    return {};
  }

  [[nodiscard]] std::size_t shards_of(const FileEntry& file) const {
    const std::uint64_t shard = task_.plan.shard_bytes;
    if (shard == 0 || file.size_bytes <= shard) return 1;
    return static_cast<std::size_t>((file.size_bytes - 1) / shard + 1);
  }

  void add_chains(std::size_t file, std::size_t first_digest) {
    const std::uint64_t whole = task_.files[file].size_bytes;
    const std::size_t count = states_[file].chains_left;
    for (std::size_t i = 0; i < count; ++i) {
      Chain& chain = chains_[digest_of_.size()];
      digest_of_.push_back(first_digest + i);
      chain.file = file;
      chain.start = count == 1 ? 0 : i * task_.plan.shard_bytes;
      chain.size = count == 1 ? whole : std::min(task_.plan.shard_bytes, whole - chain.start);
      const bool tree = task_.plan.algorithm == crypto::HashAlgorithm::kBlake3;
      chain.any_order = task_.digesting == Digesting::kCopyOnly || tree;
      chain.block_bytes = task_.sink == nullptr ? kHashBlockBytes : kFillBlockBytes;
      if (chain.size > kPieceBytes) {
        chain.blocks = static_cast<std::uint32_t>((chain.size - 1) / chain.block_bytes + 1);
      }
      const bool in_memory = task_.sink != nullptr && task_.sink->keeps_in_memory();
      if (!chain.any_order && in_memory && chain.blocks > 1) {
        chain.landed = std::make_unique<std::atomic<bool>[]>(chain.blocks);
      }
      if (tree && task_.digesting == Digesting::kHash && chain.size > kPieceBytes) {
        chain.values.resize(static_cast<std::size_t>((chain.size - 1) / kPieceBytes + 1));
      }
    }
  }

  void work() {
    Buffer buffer(static_cast<std::size_t>(
        std::min<std::uint64_t>(kCopyStepBytes, std::max<std::uint64_t>(total_, 1))));
    for (std::size_t i = next_++; i < chain_count_ && !stop_; i = next_++)
      take(own(chains_[i], buffer));
    // No chain is left to own: help those that are not finished.
    for (std::size_t i = 0; i < chain_count_ && !stop_; ++i) take(help(chains_[i], buffer));
  }

  void take(Result<void> result) {
    if (result) return;
    const std::lock_guard lock(error_mutex_);
    if (!stop_.exchange(true)) first_error_ = std::move(result).error();
  }

  Result<void> own(Chain& chain, Buffer& buffer) {
    MLXGUARD_TRY_ASSIGN(const Opened opened, begin(chain.file));
    if (opened == Opened::kClosedAgain) return {};  // helpers were faster
    if (chain.any_order) return work_in_any_order(chain, buffer);
    return can_follow(chain) ? follow(chain, buffer) : hash_in_order(chain, buffer);
  }

  Result<void> help(Chain& chain, Buffer& buffer) {
    if (chain.blocks == 1 || chain.next.load() >= chain.blocks) return {};
    MLXGUARD_TRY_ASSIGN(const Opened opened, begin(chain.file));
    if (opened == Opened::kClosedAgain) return {};
    if (chain.any_order) return work_in_any_order(chain, buffer);
    if (!can_follow(chain)) return {};
    while (!stop_) {
      const std::uint32_t block = chain.next++;
      if (block >= chain.blocks) break;
      auto filled = fill(chain, block, buffer, {});
      // A block that was taken lands, also when it failed or the run was stopped: its owner must
      // not wait for ever.
      land(chain, block);
      MLXGUARD_TRY(std::move(filled));
    }
    return {};
  }

  /// After begin(). The owner may be finishing the file meanwhile, and giving its target away.
  [[nodiscard]] bool can_follow(const Chain& chain) {
    FileState& state = states_[chain.file];
    const std::lock_guard lock(state.mutex);
    if (state.closed || chain.landed == nullptr) return false;
    const auto* memory = std::get_if<SealedMemory>(&state.target);
    return memory != nullptr && !memory->mapped().empty();
  }

  /// Opens the file if nobody has; its owner and helpers share the descriptor.
  Result<Opened> begin(std::size_t file) {
    FileState& state = states_[file];
    const std::lock_guard lock(state.mutex);
    if (state.closed) return Opened::kClosedAgain;
    if (state.source.is_open()) return Opened::kOpen;
    const FileEntry& entry = task_.files[file];
    MLXGUARD_TRY_ASSIGN(state.source, task_.open(entry.name));
    MLXGUARD_TRY_ASSIGN(state.before, identity_of(state.source.get()));
    if (state.before.size_bytes != entry.size_bytes) return changed(entry.name);
    if (entry.size_bytes > kPieceBytes) {
      ::posix_fadvise(state.source.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    if (task_.sink == nullptr) return Opened::kOpen;
    MLXGUARD_TRY_ASSIGN(state.target, task_.sink->begin(file));
    return Opened::kOpen;
  }

  Result<void> work_in_any_order(Chain& chain, Buffer& buffer) {
    for (std::uint32_t block = chain.next++; block < chain.blocks && !stop_; block = chain.next++) {
      MLXGUARD_TRY(read_block(chain, block, buffer));
      if (++chain.done == chain.blocks) return finish(chain);
    }
    return {};
  }

  Result<void> read_block(Chain& chain, std::uint32_t block, Buffer& buffer) {
    const std::uint64_t end = std::min(chain.size, (block + 1) * chain.block_bytes);
    if (task_.digesting == Digesting::kCopyOnly) return fill(chain, block, buffer, {});
    if (chain.values.empty()) {
      crypto::Hasher hasher(task_.plan.algorithm);
      MLXGUARD_TRY(read(chain, 0, end, buffer, [&](Bytes bytes) { hasher.update(bytes); }));
      set_digest(chain, hasher.finish());
      return {};
    }
    for (std::uint64_t at = block * chain.block_bytes; at < end; at += kPieceBytes) {
      crypto::Blake3Piece piece(at);
      MLXGUARD_TRY(read(chain, at, std::min(end, at + kPieceBytes), buffer,
                        [&](Bytes bytes) { piece.update(bytes); }));
      chain.values[static_cast<std::size_t>(at / kPieceBytes)] = piece.finish();
    }
    return {};
  }

  Result<void> hash_in_order(Chain& chain, Buffer& buffer) {
    crypto::Hasher hasher(task_.plan.algorithm);
    MLXGUARD_TRY(read(chain, 0, chain.size, buffer, [&](Bytes bytes) { hasher.update(bytes); }));
    set_digest(chain, hasher.finish());
    return finish(chain);
  }

  /// Hashes the chain in order while helpers fill memory ahead; fills what nobody has taken yet.
  Result<void> follow(Chain& chain, Buffer& buffer) {
    crypto::Hasher hasher(task_.plan.algorithm);
    const auto hash = [&](Bytes bytes) { hasher.update(bytes); };
    const auto& memory = std::get<SealedMemory>(states_[chain.file].target);
    for (std::uint32_t hashed = 0; hashed < chain.blocks;) {
      if (stop_) return {};
      if (chain.landed[hashed].load()) {
        const std::uint64_t begin_at = chain.start + hashed * chain.block_bytes;
        const std::uint64_t end_at =
            std::min(begin_at + chain.block_bytes, chain.start + chain.size);
        hasher.update(memory.mapped().subspan(begin_at, end_at - begin_at));
        ++hashed;
        continue;
      }
      const std::uint32_t block = chain.next++;
      if (block >= chain.blocks) {
        chain.landed[hashed].wait(false);
      } else if (block == hashed) {
        MLXGUARD_TRY(fill(chain, block, buffer, hash));
        ++hashed;
      } else {
        MLXGUARD_TRY(fill(chain, block, buffer, {}));
        land(chain, block);
      }
    }
    set_digest(chain, hasher.finish());
    return finish(chain);
  }

  static void land(Chain& chain, std::uint32_t block) {
    chain.landed[block].store(true);
    chain.landed[block].notify_all();
  }

  using Use = std::function<void(Bytes)>;

  Result<void> fill(const Chain& chain, std::uint32_t block, Buffer& buffer, const Use& use) {
    const std::uint64_t begin_at = block * chain.block_bytes;
    return read(chain, begin_at, std::min(chain.size, begin_at + chain.block_bytes), buffer, use);
  }

  /// Bytes `from` to `to` of the chain: read once, given to the digest, kept by the target.
  Result<void> read(const Chain& chain, std::uint64_t from, std::uint64_t to, Buffer& buffer,
                    const Use& use) {
    const FileState& state = states_[chain.file];
    const auto* memory = std::get_if<SealedMemory>(&state.target);
    const bool in_place = memory != nullptr && !memory->mapped().empty() &&
                          memory->prepare(chain.start + from, to - from);
    while (from < to && !stop_) {
      const std::uint64_t at = chain.start + from;
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(kCopyStepBytes, to - from));
      const std::span<std::uint8_t> into =
          in_place ? memory->mapped().subspan(at, count) : std::span(buffer).first(count);
      MLXGUARD_TRY(read_exactly(state, task_.files[chain.file].name, into, at));
      if (use) use(into);
      if (!in_place) MLXGUARD_TRY(keep(state, into, at));
      from += count;
      const std::uint64_t done = bytes_done_.fetch_add(count) + count;
      if (task_.progress == nullptr) continue;
      task_.progress->tell(done, total_);
      if (task_.progress->is_stopped()) return called_off();
    }
    // A part is no piece: what another thread's failure ended here is not digested further. The run
    // ends with that thread's error, whatever this one says.
    if (from < to) return called_off();
    return {};
  }

  static Result<void> read_exactly(const FileState& state, const std::string& name,
                                   std::span<std::uint8_t> into, std::uint64_t at) {
    while (!into.empty()) {
      const ssize_t count =
          ::pread(state.source.get(), into.data(), into.size(), static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return os_error("read", name);
      if (count == 0) return changed(name);
      into = into.subspan(static_cast<std::size_t>(count));
      at += static_cast<std::uint64_t>(count);
    }
    return {};
  }

  Result<void> keep(const FileState& state, Bytes bytes, std::uint64_t at) {
    if (const auto* memory = std::get_if<SealedMemory>(&state.target))
      return memory->write(bytes, at);
    const auto* file = std::get_if<UniqueFd>(&state.target);
    while (file != nullptr && !bytes.empty()) {
      const ssize_t count =
          ::pwrite(file->get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return os_error("write", "a copy");
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      at += static_cast<std::uint64_t>(count);
    }
    return {};
  }

  void set_digest(const Chain& chain, std::vector<std::uint8_t> digest) {
    FileDigest& out =
        outcome_.digests[digest_of_[static_cast<std::size_t>(&chain - chains_.get())]];
    out = {task_.files[chain.file].name, chain.size, std::move(digest), chain.start};
  }

  Result<void> finish(Chain& chain) {
    if (stop_) return {};
    if (!chain.values.empty()) set_digest(chain, crypto::blake3_join(chain.values));
    FileState& state = states_[chain.file];
    Target target;
    {
      const std::lock_guard lock(state.mutex);
      if (--state.chains_left > 0) return {};
      MLXGUARD_TRY_ASSIGN(const FileIdentity after, identity_of(state.source.get()));
      if (after.size_bytes != task_.files[chain.file].size_bytes) {
        return changed(task_.files[chain.file].name);
      }
      if (after == state.before) outcome_.identities[chain.file] = after;
      state.source.reset();
      state.closed = true;
      target = std::move(state.target);
    }
    return task_.sink == nullptr ? Result<void>()
                                 : task_.sink->finish(chain.file, std::move(target));
  }

  const DigestTask& task_;
  std::vector<FileState> states_;
  std::unique_ptr<Chain[]> chains_;
  std::size_t chain_count_ = 0;
  std::vector<std::size_t> digest_of_;  ///< of a chain: where its digest belongs
  std::uint64_t total_ = 0;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> bytes_done_{0};
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::optional<Error> first_error_;
  DigestOutcome outcome_;
};

}  // namespace

Result<DigestOutcome> run_digests(const DigestTask& task) { return Run(task).run(); }

}  // namespace mlxguard::artifact
