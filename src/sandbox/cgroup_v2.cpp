// SPDX-License-Identifier: Apache-2.0
// cgroup v2: one folder for all controllers. A cgroup that lends controllers to leaves may hold no
// process itself, so this process first moves into a leaf beside the ones it makes.
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "base/os_error.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_files.h"

namespace mlxguard::sandbox {
namespace {

constexpr std::uint64_t kCpuPeriodMicroseconds = 100'000;

bool has_word(std::string_view text, std::string_view word) {
  std::istringstream stream{std::string(text)};
  for (std::string each; stream >> each;) {
    if (each == word) return true;
  }
  return false;
}

class LeafV2 final : public CgroupLeaf {
 public:
  explicit LeafV2(std::string folder) : folder_(std::move(folder)) {}
  ~LeafV2() override { remove_cgroup(folder_); }
  LeafV2(const LeafV2&) = delete;
  LeafV2& operator=(const LeafV2&) = delete;

  Result<void> add(pid_t pid) override {
    return write_cgroup_file(folder_ + "/cgroup.procs", std::to_string(pid));
  }

  void read_usage(ResourceUsage& usage) const override {
    usage.memory_bytes = read_counter(folder_ + "/memory.current");
    usage.memory_bytes_peak = read_counter(folder_ + "/memory.peak");  // Linux 5.19
    usage.oom_kills = read_counter(folder_ + "/memory.events", "oom_kill");
    usage.cpu_periods_throttled = read_counter(folder_ + "/cpu.stat", "nr_throttled");
    usage.pids = read_counter(folder_ + "/pids.current");
  }

  Result<void> limit(const ResourceLimits& limits) override {
    if (limits.memory_bytes_max) {
      MLXGUARD_TRY(
          write_cgroup_file(folder_ + "/memory.max", std::to_string(*limits.memory_bytes_max)));
      MLXGUARD_TRY(write_cgroup_file(folder_ + "/memory.oom.group", "1"));
      struct stat exists {};
      const std::string swap = folder_ + "/memory.swap.max";
      if (::stat(swap.c_str(), &exists) == 0) MLXGUARD_TRY(write_cgroup_file(swap, "0"));
    }
    if (limits.cpu_cores_max) {
      const auto quota = static_cast<std::uint64_t>(*limits.cpu_cores_max *
                                                    static_cast<double>(kCpuPeriodMicroseconds));
      MLXGUARD_TRY(
          write_cgroup_file(folder_ + "/cpu.max",
                            std::to_string(quota) + " " + std::to_string(kCpuPeriodMicroseconds)));
    }
    if (limits.pids_max) {
      MLXGUARD_TRY(write_cgroup_file(folder_ + "/pids.max", std::to_string(*limits.pids_max)));
    }
    return {};
  }

  Result<void> kill_all() override { return write_cgroup_file(folder_ + "/cgroup.kill", "1"); }

 private:
  std::string folder_;
};

class LimitsV2 final : public CgroupLimits {
 public:
  explicit LimitsV2(std::string parent) : parent_(std::move(parent)) {}
  [[nodiscard]] std::string_view name() const override { return "cgroup v2"; }
  [[nodiscard]] std::vector<Mechanism> enforced() const override {
    return {Mechanism::kMemoryLimit, Mechanism::kCpuLimit, Mechanism::kPidsLimit};
  }
  [[nodiscard]] Result<std::unique_ptr<CgroupLeaf>> create(
      std::string_view name, const ResourceLimits& limits) const override {
    const std::string folder = parent_ + "/" + leaf_name(name);
    MLXGUARD_TRY(make_cgroup(folder));
    std::unique_ptr<CgroupLeaf> leaf = std::make_unique<LeafV2>(folder);
    MLXGUARD_TRY(leaf->limit(limits));
    return leaf;
  }

 private:
  std::string parent_;
};

Result<void> lend_controllers(const std::string& parent) {
  const std::string control = parent + "/cgroup.subtree_control";
  MLXGUARD_TRY_ASSIGN(const std::string available,
                      read_cgroup_file(parent + "/cgroup.controllers"));
  for (const std::string_view controller : {"memory", "cpu", "pids"}) {
    if (!has_word(available, controller)) {
      return make_error(ErrorCode::kUnsupportedPlatform,
                        "cgroup v2 has no controller " + std::string(controller) + " here");
    }
  }
  MLXGUARD_TRY_ASSIGN(const std::string lent, read_cgroup_file(control));
  if (has_word(lent, "memory") && has_word(lent, "cpu") && has_word(lent, "pids")) return {};
  return write_cgroup_file(control, "+memory +cpu +pids");
}

/// Empties `own` of this process, which has to be the only one in it, into a leaf of its own.
Result<void> step_aside(const std::string& own) {
  MLXGUARD_TRY_ASSIGN(const std::string inside, read_cgroup_file(own + "/cgroup.procs"));
  if (inside != std::to_string(::getpid()) + "\n") {
    return make_error(ErrorCode::kUnsupportedPlatform,
                      "other processes share this cgroup, so it cannot lend its controllers");
  }
  const std::string leaf = own + "/" + leaf_name("self");
  MLXGUARD_TRY(make_cgroup(leaf));
  return write_cgroup_file(leaf + "/cgroup.procs", std::to_string(::getpid()));
}

Result<void> try_parent(const std::string& parent) {
  MLXGUARD_TRY(lend_controllers(parent));
  sweep_leaves(parent);
  ResourceLimits trial;
  trial.memory_bytes_max = 64u << 20;
  trial.cpu_cores_max = 1.0;
  trial.pids_max = 16;
  auto leaf = LimitsV2(parent).create("probe", trial);
  if (!leaf) return std::move(leaf).error();
  return {};
}

/// The tree's root may lend its controllers although it holds processes: where root may serve.
std::optional<std::string> tree_root() {
  const auto mountinfo = read_cgroup_file("/proc/self/mountinfo");
  if (!mountinfo) return std::nullopt;
  return find_own_cgroup(*mountinfo, "0::/\n", "");
}

}  // namespace

std::unique_ptr<CgroupLimits> open_cgroup_v2(std::string& why_not) {
  const auto own = own_cgroup("");
  if (!own) {
    why_not = "no cgroup v2 tree is mounted";
    return nullptr;
  }
  auto result = try_parent(*own);
  if (!result && result.error().code != ErrorCode::kUnsupportedPlatform && step_aside(*own)) {
    result = try_parent(*own);
  }
  if (result) return std::make_unique<LimitsV2>(*own);
  why_not = result.error().message;
  const auto root = tree_root();
  if (root && *root != *own && try_parent(*root)) return std::make_unique<LimitsV2>(*root);
  return nullptr;
}

}  // namespace mlxguard::sandbox
