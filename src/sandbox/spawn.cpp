// SPDX-License-Identifier: Apache-2.0
#include "sandbox/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>

#include "base/os_error.h"
#include "sandbox/clone.h"
#include "sandbox/rlimits.h"
#include "sandbox/spawn_child.h"

namespace mlxguard::sandbox {
namespace {

Error spawn_error(std::string_view doing) {
  Error error = os_error(doing);
  error.code = ErrorCode::kSandbox;
  return error;
}

std::string_view name_of(ChildStep step) {
  switch (step) {
    case ChildStep::kParentGone:
      return "wait for the parent";
    case ChildStep::kSignals:
      return "reset the signals";
    case ChildStep::kSession:
      return "start a session";
    case ChildStep::kDescriptors:
      return "arrange the descriptors";
    case ChildStep::kRlimits:
      return "set the rlimits";
    case ChildStep::kExec:
      return "execute the program";
  }
  return "start";
}

/// A null-terminated array of C strings that point into `texts`, as exec wants it.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

RlimitDuty rlimit_duty(const Host& host) {
  RlimitDuty duty;
  bool pids_counted = false;
  if (host.cgroups() != nullptr) {
    for (const Mechanism each : host.cgroups()->enforced()) {
      if (each == Mechanism::kMemoryLimit) duty.memory = EnforcedBy::kCgroup;
      if (each == Mechanism::kPidsLimit) pids_counted = true;
    }
  }
  const bool own_users = host.namespaces().id_map != IdMap::kNone;
  if (!pids_counted && own_users) duty.pids = EnforcedBy::kRlimit;
  return duty;
}

/// Waits until exec closed the pipe, or the child wrote what went wrong before.
Result<void> read_outcome(int status_read) {
  ChildFailure failure{};
  ssize_t count = 0;
  do {
    count = ::read(status_read, &failure, sizeof(failure));
  } while (count < 0 && errno == EINTR);
  if (count == 0) return {};
  if (count != sizeof(failure)) return spawn_error("read the child's status");
  Error error = os_error(name_of(failure.step), "", failure.error_number);
  error.code = ErrorCode::kWorkerStart;
  return error;
}

struct StandardStreams {
  UniqueFd input;        ///< becomes 0
  UniqueFd output;       ///< becomes 1 and 2; for writing only, so that no child reads through it
  UniqueFd output_read;  ///< the parent's end of `output`, if that is a pipe
};

Result<StandardStreams> open_standard_streams(StandardOutput kind) {
  StandardStreams streams;
  streams.input = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!streams.input.is_open()) return spawn_error("open /dev/null");
  if (kind == StandardOutput::kNone) {
    streams.output = UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!streams.output.is_open()) return spawn_error("open /dev/null");
    return streams;
  }
  MLXGUARD_TRY_ASSIGN(Pipe pipe, make_pipe(PipeMode::kNonBlocking));
  streams.output = std::move(pipe.write);
  streams.output_read = std::move(pipe.read);
  return streams;
}

std::string next_leaf_name(const std::string& name) {
  static std::atomic<std::uint64_t> count{0};
  return std::to_string(count.fetch_add(1)) + "-" + name;
}

}  // namespace

Result<UniqueFd> open_program(const std::string& path) {
  UniqueFd program(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!program.is_open()) return os_error("open program", path);
  return program;
}

Result<Child> spawn(const Host& host, const SpawnPlan& plan) {
  std::vector<std::string> argument_texts{plan.name};
  argument_texts.insert(argument_texts.end(), plan.arguments.begin(), plan.arguments.end());
  std::vector<std::string> environment_texts = plan.environment;
  const std::vector<char*> arguments = pointers_to(argument_texts);
  const std::vector<char*> environment = pointers_to(environment_texts);
  const std::vector<Rlimit> rlimits = plan_rlimits(plan.limits, rlimit_duty(host));
  std::vector<int> moved(plan.descriptors.size(), -1);

  MLXGUARD_TRY_ASSIGN(Pipe go, make_pipe());
  MLXGUARD_TRY_ASSIGN(Pipe status, make_pipe());
  MLXGUARD_TRY_ASSIGN(StandardStreams streams, open_standard_streams(plan.standard_output));

  Child child;
  child.output_ = std::move(streams.output_read);
  const ChildOrders orders{go.read.get(),
                           go.write.get(),
                           status.write.get(),
                           streams.input.get(),
                           streams.output.get(),
                           plan.descriptors,
                           moved,
                           rlimits,
                           plan.binary_fd,
                           arguments.data(),
                           environment.data()};
  MLXGUARD_TRY_ASSIGN(Cloned cloned, clone_process(host.namespaces().clone_flags));
  if (cloned.pid == 0) run_child(orders);

  // From here on the destructor of `child` kills and reaps it on any error.
  child.pid_ = cloned.pid;
  child.pidfd_ = std::move(cloned.pidfd);
  child.cpu_seconds_max_ = plan.limits.cpu_seconds_max;
  status.write.reset();  // go.read stays open here, so that writing to a dead child is no SIGPIPE
  MLXGUARD_TRY(write_id_maps(child.pid_, host.namespaces().id_map));
  const bool join_first = plan.cgroup_join == CgroupJoin::kBeforeExec;
  if (join_first) MLXGUARD_TRY(child.join_cgroup(host.cgroups(), plan));
  if (::write(go.write.get(), "g", 1) != 1) return spawn_error("release the child");
  if (!join_first) MLXGUARD_TRY(child.join_cgroup(host.cgroups(), plan));
  MLXGUARD_TRY(read_outcome(status.read.get()));

  report_namespaces(host.namespaces(), child.isolation_);
  child.isolation_.add_active(Mechanism::kRlimits);
  if (host.cgroups() != nullptr) {
    for (const Mechanism each : host.cgroups()->enforced()) {
      child.isolation_.add_active(each, std::string(host.cgroups()->name()));
    }
  }
  return child;
}

Result<void> Child::join_cgroup(const CgroupLimits* cgroups, const SpawnPlan& plan) {
  if (cgroups == nullptr) return {};
  MLXGUARD_TRY_ASSIGN(cgroup_, cgroups->create(next_leaf_name(plan.name), plan.limits));
  return cgroup_->add(pid_);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = other.pid_;
    pidfd_ = std::move(other.pidfd_);
    output_ = std::move(other.output_);
    cgroup_ = std::move(other.cgroup_);
    isolation_ = std::move(other.isolation_);
    cpu_seconds_max_ = other.cpu_seconds_max_;
    killed_by_parent_ = other.killed_by_parent_;
    verdict_ = other.verdict_;
  }
  return *this;
}

Child::~Child() { end(); }

void Child::end() noexcept {
  if (!pidfd_.is_open() || verdict_) return;
  kill(KillReason::kShutdown);
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
}

void Child::kill(KillReason reason) {
  if (verdict_ || !pidfd_.is_open()) return;
  pollfd dead{pidfd_.get(), POLLIN, 0};
  if (::poll(&dead, 1, 0) == 1) return;  // of something else, which the verdict shall say
  if (!killed_by_parent_) killed_by_parent_ = reason;
  // Through the pidfd: a pid could by now be another process's.
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

Result<ExitVerdict> Child::wait() {
  MLXGUARD_TRY_ASSIGN(const auto verdict, reap(WEXITED));
  return *verdict;
}

Result<std::optional<ExitVerdict>> Child::try_wait() { return reap(WEXITED | WNOHANG); }

Result<std::optional<ExitVerdict>> Child::reap(int wait_flags) {
  if (verdict_) return verdict_;
  siginfo_t info{};
  rusage used{};
  long rc = 0;
  do {  // the system call itself, since the library's waitid does not tell the usage
    rc = ::syscall(SYS_waitid, P_PIDFD, pidfd_.get(), &info, wait_flags, &used);
  } while (rc != 0 && errno == EINTR);
  if (rc != 0) return spawn_error("wait for the child");
  if (info.si_pid == 0) return std::optional<ExitVerdict>{};

  ExitFacts facts;
  facts.signalled = info.si_code != CLD_EXITED;
  facts.status = info.si_status;
  facts.killed_by_parent = killed_by_parent_;
  facts.cpu_seconds_max = cpu_seconds_max_;
  const auto microseconds = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  facts.usage.cpu_time = microseconds(used.ru_utime) + microseconds(used.ru_stime);
  facts.usage.resident_bytes_peak = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
  if (cgroup_) cgroup_->read_usage(facts.usage);
  verdict_ = judge(facts);
  cgroup_.reset();
  return verdict_;
}

ResourceUsage Child::usage() const {
  ResourceUsage usage;
  if (cgroup_) cgroup_->read_usage(usage);
  return usage;
}

Result<void> Child::limit(const ResourceLimits& limits) {
  if (cgroup_) return cgroup_->limit(limits);
  return make_error(ErrorCode::kUnsupportedPlatform, "there are no cgroup limits here");
}

}  // namespace mlxguard::sandbox
