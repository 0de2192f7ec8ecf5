// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/os_error.h"
#include "sandbox/clone.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"
#include "sandbox/seccomp.h"

namespace mlxguard::sandbox {
namespace {

/// What the probe's child found, one byte to the parent.
enum class Trial : unsigned char { kFailed = 'f', kNoRoot = 'r', kSameIdentity = 's', kAll = 'a' };

/// In the child, which is alone in its copy of the process and ends here: allocation is harmless,
/// as probe() is documented to run before threads.
[[noreturn]] void try_in_child(Pipe go, Pipe status) {
  go.write.reset();
  char byte = 0;
  Trial trial = Trial::kFailed;
  if (::read(go.read.get(), &byte, 1) == 1) {
    IsolationReport report;
    if (enter_empty_root(report) && drop_identity_and_capabilities(report)) {
      trial = Trial::kAll;
      if (!report.has(Mechanism::kOtherIdentity)) trial = Trial::kSameIdentity;
      if (!report.has(Mechanism::kEmptyRoot)) trial = Trial::kNoRoot;
    }
  }
  [[maybe_unused]] const ssize_t written = ::write(status.write.get(), &trial, sizeof(trial));
  ::_exit(0);
}

/// Runs the trial in a child with these namespaces; kFailed if any part is not permitted.
Trial try_namespaces(const NamespacePlan& plan) {
  auto go = make_pipe();
  auto status = make_pipe();
  if (!go || !status) return Trial::kFailed;
  auto cloned = clone_process(plan.clone_flags);
  if (!cloned) return Trial::kFailed;
  if (cloned->pid == 0) try_in_child(*std::move(go), *std::move(status));
  status->write.reset();
  Trial trial = Trial::kFailed;
  if (write_id_maps(cloned->pid, plan.id_map) && ::write(go->write.get(), "g", 1) == 1) {
    if (::read(status->read.get(), &trial, sizeof(trial)) != sizeof(trial)) trial = Trial::kFailed;
  }
  go->write.reset();
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(cloned->pidfd.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
  return trial;
}

struct NamespaceTrial {
  NamespacePlan plan;
  Trial trial = Trial::kFailed;
};

/// The strongest set that works: as root with two identities, as an ordinary user, as root where
/// user namespaces are switched off, none.
NamespaceTrial find_namespaces() {
  const bool root = ::geteuid() == 0;
  const NamespacePlan candidates[] = {all_namespaces(root ? IdMap::kSelfAndNobody : IdMap::kSelf),
                                      all_namespaces(IdMap::kNone)};
  for (const NamespacePlan& plan : candidates) {
    const Trial trial = try_namespaces(plan);
    if (trial == Trial::kAll || trial == Trial::kSameIdentity) return {plan, trial};
  }
  const NamespacePlan none{};
  return {none, try_namespaces(none)};
}

void report_lock(const NamespaceTrial& found, IsolationReport& report) {
  const bool has_root = found.trial == Trial::kAll || found.trial == Trial::kSameIdentity;
  if (has_root) {
    report.add_active(Mechanism::kEmptyRoot);
  } else {
    report.add_unavailable(Mechanism::kEmptyRoot, "mount namespaces are not permitted here");
  }
  if (found.trial != Trial::kFailed) report.add_active(Mechanism::kNoCapabilities);
  if (found.trial == Trial::kAll) {
    report.add_active(Mechanism::kOtherIdentity);
  } else {
    report.add_unavailable(Mechanism::kOtherIdentity, "needs root at start");
  }
}

void report_process_switches(IsolationReport& report) {
  if (const int abi = landlock_abi(); abi > 0) {
    report.add_active(Mechanism::kLandlock, "abi " + std::to_string(abi));
  } else {
    report.add_unavailable(Mechanism::kLandlock, "the kernel has no Landlock");
  }
  if (seccomp_available()) {
    report.add_active(Mechanism::kSeccomp);
  } else {
    report.add_unavailable(Mechanism::kSeccomp, "the kernel has no seccomp filters");
  }
  if (executable_memory_switch_available()) {
    report.add_active(Mechanism::kNoNewExecutableMemory);
  } else {
    report.add_unavailable(Mechanism::kNoNewExecutableMemory,
                           "needs Linux 6.3; seccomp refuses it");
  }
  // Every kernel that has Landlock has these.
  for (const Mechanism each : {Mechanism::kNoNewPrivileges, Mechanism::kNotDumpable,
                               Mechanism::kDieWithParent, Mechanism::kRlimits}) {
    report.add_active(each);
  }
}

}  // namespace

Result<Host> Host::probe() {
  Host host;
  report_process_switches(host.report_);
  const NamespaceTrial found = find_namespaces();
  host.namespaces_ = found.plan;
  report_namespaces(found.plan, host.report_);
  report_lock(found, host.report_);

  std::string why_none;
  host.cgroups_ = open_cgroup_limits(why_none);
  if (host.cgroups_) {
    for (const Mechanism each : host.cgroups_->enforced()) {
      host.report_.add_active(each, std::string(host.cgroups_->name()));
    }
  }
  for (const Mechanism each :
       {Mechanism::kMemoryLimit, Mechanism::kCpuLimit, Mechanism::kPidsLimit}) {
    host.report_.add_unavailable(each, why_none);  // no effect on a row that is active
  }
  return host;
}

}  // namespace mlxguard::sandbox
