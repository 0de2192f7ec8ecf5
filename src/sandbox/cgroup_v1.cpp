// SPDX-License-Identifier: Apache-2.0
// cgroup v1: one folder for each controller, each below this process's own cgroup of that
// controller.
#include <sys/stat.h>

#include <csignal>
#include <sstream>

#include "base/os_error.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_files.h"

namespace mlxguard::sandbox {
namespace {

constexpr std::uint64_t kCpuPeriodMicroseconds = 100'000;

/// A parent folder, empty where the controller does not work here.
struct Folders {
  std::string memory;
  std::string cpu;
  std::string pids;
};

class LeafV1 final : public CgroupLeaf {
 public:
  /// Makes the folders. What was made is removed again if one fails.
  static Result<std::unique_ptr<LeafV1>> create(const Folders& parents, const std::string& name) {
    std::unique_ptr<LeafV1> leaf(new LeafV1);
    MLXGUARD_TRY(make(parents.memory, name, leaf->folders_.memory));
    MLXGUARD_TRY(make(parents.cpu, name, leaf->folders_.cpu));
    MLXGUARD_TRY(make(parents.pids, name, leaf->folders_.pids));
    return leaf;
  }

  ~LeafV1() override {
    for (const std::string* folder : each()) remove_cgroup(*folder);
  }
  LeafV1(const LeafV1&) = delete;
  LeafV1& operator=(const LeafV1&) = delete;

  Result<void> add(pid_t pid) override {
    for (const std::string* folder : each()) {
      MLXGUARD_TRY(write_cgroup_file(*folder + "/cgroup.procs", std::to_string(pid)));
    }
    return {};
  }

  void read_usage(ResourceUsage& usage) const override {
    if (!folders_.memory.empty()) {
      usage.memory_bytes = read_counter(folders_.memory + "/memory.usage_in_bytes");
      usage.memory_bytes_peak = read_counter(folders_.memory + "/memory.max_usage_in_bytes");
      usage.oom_kills = read_counter(folders_.memory + "/memory.oom_control", "oom_kill");
    }
    if (!folders_.cpu.empty()) {
      usage.cpu_periods_throttled = read_counter(folders_.cpu + "/cpu.stat", "nr_throttled");
    }
    if (!folders_.pids.empty()) usage.pids = read_counter(folders_.pids + "/pids.current");
  }

  Result<void> limit(const ResourceLimits& limits) override {
    if (limits.memory_bytes_max && !folders_.memory.empty()) {
      MLXGUARD_TRY(limit_memory(std::to_string(*limits.memory_bytes_max)));
    }
    if (limits.cpu_cores_max && !folders_.cpu.empty()) {
      const auto quota = static_cast<std::uint64_t>(*limits.cpu_cores_max *
                                                    static_cast<double>(kCpuPeriodMicroseconds));
      MLXGUARD_TRY(write_cgroup_file(folders_.cpu + "/cpu.cfs_period_us",
                                     std::to_string(kCpuPeriodMicroseconds)));
      MLXGUARD_TRY(write_cgroup_file(folders_.cpu + "/cpu.cfs_quota_us", std::to_string(quota)));
    }
    if (limits.pids_max && !folders_.pids.empty()) {
      MLXGUARD_TRY(
          write_cgroup_file(folders_.pids + "/pids.max", std::to_string(*limits.pids_max)));
    }
    return {};
  }

  Result<void> kill_all() override {
    const std::vector<const std::string*> folders = each();
    if (folders.empty()) return {};
    MLXGUARD_TRY_ASSIGN(const std::string pids, read_cgroup_file(*folders[0] + "/cgroup.procs"));
    std::istringstream stream(pids);
    for (pid_t pid = 0; stream >> pid;) {
      if (::kill(pid, SIGKILL) != 0 && errno != ESRCH) return os_error("kill a cgroup's process");
    }
    return {};
  }

 private:
  LeafV1() = default;

  static Result<void> make(const std::string& parent, const std::string& name, std::string& made) {
    if (parent.empty()) return {};
    const std::string folder = parent + "/" + name;
    MLXGUARD_TRY(make_cgroup(folder));
    made = folder;
    return {};
  }

  /// memory+swap must never be the lower of the two, so raising and lowering differ in order.
  Result<void> limit_memory(const std::string& bytes) const {
    const std::string memory = folders_.memory + "/memory.limit_in_bytes";
    const std::string with_swap = folders_.memory + "/memory.memsw.limit_in_bytes";
    struct stat exists {};
    if (::stat(with_swap.c_str(), &exists) != 0) return write_cgroup_file(memory, bytes);
    if (!write_cgroup_file(memory, bytes)) MLXGUARD_TRY(write_cgroup_file(with_swap, bytes));
    MLXGUARD_TRY(write_cgroup_file(memory, bytes));
    return write_cgroup_file(with_swap, bytes);
  }

  [[nodiscard]] std::vector<const std::string*> each() const {
    std::vector<const std::string*> folders;
    for (const std::string* folder : {&folders_.memory, &folders_.cpu, &folders_.pids}) {
      if (!folder->empty()) folders.push_back(folder);
    }
    return folders;
  }

  Folders folders_;
};

class LimitsV1 final : public CgroupLimits {
 public:
  explicit LimitsV1(Folders parents) : parents_(std::move(parents)) {}
  [[nodiscard]] std::string_view name() const override { return "cgroup v1"; }
  [[nodiscard]] std::vector<Mechanism> enforced() const override {
    std::vector<Mechanism> mechanisms;
    if (!parents_.memory.empty()) mechanisms.push_back(Mechanism::kMemoryLimit);
    if (!parents_.cpu.empty()) mechanisms.push_back(Mechanism::kCpuLimit);
    if (!parents_.pids.empty()) mechanisms.push_back(Mechanism::kPidsLimit);
    return mechanisms;
  }
  [[nodiscard]] Result<std::unique_ptr<CgroupLeaf>> create(
      std::string_view name, const ResourceLimits& limits) const override {
    MLXGUARD_TRY_ASSIGN(auto leaf, LeafV1::create(parents_, leaf_name(name)));
    MLXGUARD_TRY(leaf->limit(limits));
    return std::unique_ptr<CgroupLeaf>(std::move(leaf));
  }

 private:
  Folders parents_;
};

/// The controller's folder if a leaf with this limit can really be made in it, "" if not.
std::string usable(std::string_view controller, std::string Folders::*member,
                   const ResourceLimits& trial, std::string& why_not) {
  const auto folder = own_cgroup(controller);
  if (!folder) {
    why_not = "no cgroup v1 controller " + std::string(controller) + " is mounted";
    return {};
  }
  sweep_leaves(*folder);
  Folders only;
  only.*member = *folder;
  const auto leaf = LimitsV1(only).create("probe", trial);
  if (!leaf) {
    why_not = leaf.error().message;
    return {};
  }
  return *folder;
}

}  // namespace

std::unique_ptr<CgroupLimits> open_cgroup_v1(std::string& why_not) {
  ResourceLimits trial;
  trial.memory_bytes_max = 64u << 20;
  trial.cpu_cores_max = 1.0;
  trial.pids_max = 16;
  Folders parents;
  parents.memory = usable("memory", &Folders::memory, trial, why_not);
  parents.cpu = usable("cpu", &Folders::cpu, trial, why_not);
  parents.pids = usable("pids", &Folders::pids, trial, why_not);
  if (parents.memory.empty() && parents.cpu.empty() && parents.pids.empty()) return nullptr;
  return std::make_unique<LimitsV1>(std::move(parents));
}

}  // namespace mlxguard::sandbox
