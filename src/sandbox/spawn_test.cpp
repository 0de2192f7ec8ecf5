// SPDX-License-Identifier: Apache-2.0
// spawn on this machine as it is: what the child gets, what it does not, and how its end is judged.
#include "sandbox/spawn.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "sandbox/cgroup_files.h"
#include "sandbox/clone.h"
#include "sandbox/test_child.h"

using namespace mlxguard;
using namespace mlxguard::sandbox;
using namespace std::chrono_literals;

namespace {

/// Probed before the tests run, since some of them depend on what there is.
const Host& host() {
  static const Result<Host> probed = Host::probe();
  return *probed;
}

struct Run {
  std::string output;  ///< what it wrote to descriptor 3
  ExitVerdict verdict;
};

std::string read_all(int fd) {
  std::string text;
  char buffer[1024];
  for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

Result<Child> start_shell(const std::string& script, int descriptor, SpawnPlan plan = {}) {
  MLXGUARD_TRY_ASSIGN(const UniqueFd shell, open_program("/bin/sh"));
  plan.binary_fd = shell.get();
  plan.name = "sh";
  plan.arguments = {"-c", script};
  plan.descriptors = {descriptor};
  return spawn(host(), plan);
}

Run run_shell(const std::string& script, SpawnPlan plan = {}) {
  auto pipe = make_pipe();
  REQUIRE(pipe.has_value());
  auto child = start_shell(script, pipe->write.get(), std::move(plan));
  REQUIRE(child.has_value());
  pipe->write.reset();
  std::string output = read_all(pipe->read.get());
  auto verdict = child->wait();
  REQUIRE(verdict.has_value());
  return {std::move(output), *verdict};
}

}  // namespace

TEST_CASE("spawn: the child has the given descriptors and no other") {
  const UniqueFd leaked(::open("/dev/null", O_RDONLY));  // without close-on-exec
  const UniqueFd high(::fcntl(leaked.get(), F_DUPFD, 200));
  REQUIRE(high.is_open());
  // The shell's own listing of its descriptors, by trying each.
  const Run run = run_shell(
      "n=0; while [ $n -lt 300 ]; do if [ -e /proc/self/fd/$n ]; then printf '%s ' $n >&3; fi; "
      "n=$((n+1)); done");
  CHECK(run.output == "0 1 2 3 ");
}

TEST_CASE("spawn: standard input is empty, and standard output is a pipe for writing only") {
  auto shell = open_program("/bin/sh");
  REQUIRE(shell.has_value());
  for (const auto kind : {StandardOutput::kNone, StandardOutput::kPipe}) {
    CAPTURE(static_cast<int>(kind));
    SpawnPlan plan;
    plan.standard_output = kind;
    const Run run = run_shell(
        "readlink /proc/self/fd/0 >&3; grep flags /proc/self/fdinfo/0 >&3; cat >&3;"
        "exec 8>&1 9>&2; for fd in 8 9; do grep flags /proc/self/fdinfo/$fd >&3; "
        "cat <&$fd >&3 2>/dev/null; echo $? >&3; done; readlink /proc/self/fd/9 >&3",
        plan);
    const bool pipe = kind == StandardOutput::kPipe;
    const std::string flags = pipe ? "flags:\t04001\n1\n" : "flags:\t0100001\n1\n";
    CAPTURE(run.output);
    CHECK(run.output.starts_with("/dev/null\nflags:\t0100000\n" + flags + flags +
                                 (pipe ? "pipe:[" : "/dev/null")));
  }
}

TEST_CASE("spawn: the parent reads what the child writes to its standard output and error") {
  auto go = make_pipe();
  SpawnPlan plan;
  plan.standard_output = StandardOutput::kPipe;
  auto child = start_shell("echo one; echo two >&2", go->write.get(), plan);
  REQUIRE(child.has_value());
  const UniqueFd output = child->take_output();
  CHECK(child->wait()->reason == ExitReason::kExited);
  CHECK(read_all(output.get()) == "one\ntwo\n");
  CHECK_FALSE(child->take_output().is_open());
}

TEST_CASE("spawn: a parent that does not read the output holds nobody up") {
  auto go = make_pipe();
  SpawnPlan plan;
  plan.standard_output = StandardOutput::kPipe;
  auto child = start_shell("i=0; while [ $i -lt 3000 ]; do echo "
                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; "
                           "i=$((i+1)); done 2>/dev/null; exit 7",
                           go->write.get(), plan);
  REQUIRE(child.has_value());
  CHECK(child->wait()->exit_status == 7);
}

TEST_CASE("spawn: descriptors keep their order even where numbers cross") {
  auto first = make_pipe();
  auto second = make_pipe();
  // Sources 3 and 4, if free, are the targets too, in the other order.
  const int low = ::fcntl(first->write.get(), F_DUPFD_CLOEXEC, 3);
  const int next = ::fcntl(second->write.get(), F_DUPFD_CLOEXEC, 3);
  auto shell = open_program("/bin/sh");
  REQUIRE(shell.has_value());
  SpawnPlan plan;
  plan.binary_fd = shell->get();
  plan.name = "sh";
  plan.arguments = {"-c", "printf a >&3; printf b >&4"};
  plan.descriptors = {next, low};
  auto child = spawn(host(), plan);
  REQUIRE(child.has_value());
  ::close(low);
  ::close(next);
  first->write.reset();
  second->write.reset();
  CHECK(read_all(second->read.get()) == "a");
  CHECK(read_all(first->read.get()) == "b");
  CHECK(child->wait()->reason == ExitReason::kExited);
}

TEST_CASE("spawn: the environment is what the plan lists") {
  ::setenv("MLXGUARD_TEST_SECRET", "leaked", 1);
  SpawnPlan plan;
  plan.environment = {"LISTED=yes"};
  const Run run = run_shell(
      "tr '\\0' '\\n' < /proc/self/environ >&3 2>/dev/null; "
      "printf '%s,%s' \"$LISTED\" \"$MLXGUARD_TEST_SECRET\" >&3",
      plan);
  CHECK(run.output.find("leaked") == std::string::npos);
  CHECK(run.output.ends_with("yes,"));
}

TEST_CASE("spawn: no blocked signal and no ignored signal is inherited") {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGUSR1, &ignore, &before);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  const Run run = run_shell("grep -E '^Sig(Blk|Ign)' /proc/self/status >&3");
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK(run.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("spawn: it is the first process of its own pid namespace where there is one") {
  const Run run = run_shell("printf %s $$ >&3");
  if (host().report().has(Mechanism::kPidNamespace)) {
    CHECK(run.output == "1");
  } else {
    CHECK(run.output != "1");
  }
}

TEST_CASE("spawn: rlimits are in force") {
  SpawnPlan plan;
  plan.limits.open_files_max = 17;
  plan.limits.file_bytes_max = 1u << 20;
  const Run run = run_shell("ulimit -Hn >&3; ulimit -Hc >&3; ulimit -Hf >&3", plan);
  CHECK(run.output == "17\n0\n2048\n");
}

TEST_CASE("spawn: a program that does not exist or is none is an error of the right kind") {
  const auto missing = open_program("/nonexistent/program");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == ErrorCode::kNotFound);

  auto data = open_program("/etc/passwd");
  REQUIRE(data.has_value());
  SpawnPlan plan;
  plan.binary_fd = data->get();
  plan.name = "passwd";
  const auto child = spawn(host(), plan);
  REQUIRE_FALSE(child.has_value());
  CHECK(child.error().code == ErrorCode::kWorkerStart);
  CHECK(child.error().message.starts_with("execute the program"));
}

TEST_CASE("spawn: exit status, crash and kill are judged") {
  CHECK(run_shell("exit 5").verdict.exit_status == 5);
  CHECK(run_shell("exit 79").verdict.reason == ExitReason::kStartFailed);

  auto pipe = make_pipe();
  auto child = start_shell("while :; do sleep 1; done", pipe->write.get());
  REQUIRE(child.has_value());
  REQUIRE(child->try_wait().has_value());
  CHECK_FALSE(child->try_wait()->has_value());
  child->kill(KillReason::kOverdue);
  pollfd dead{child->pidfd(), POLLIN, 0};
  REQUIRE(::poll(&dead, 1, 5000) == 1);
  const auto verdict = child->wait();
  REQUIRE(verdict.has_value());
  CHECK(verdict->reason == ExitReason::kWallTime);
  CHECK(verdict->signal == SIGKILL);
  CHECK(child->wait()->reason == ExitReason::kWallTime);  // the same again
}

TEST_CASE("spawn: a kill that comes after the end does not explain it") {
  auto pipe = make_pipe();
  auto child = start_shell("while :; do sleep 1; done", pipe->write.get());
  REQUIRE(child.has_value());
  ::kill(child->pid(), SIGKILL);
  pollfd dead{child->pidfd(), POLLIN, 0};
  REQUIRE(::poll(&dead, 1, 5000) == 1);
  child->kill(KillReason::kOverdue);
  CHECK(child->wait()->reason == ExitReason::kKilled);
}

TEST_CASE("spawn: processor time beyond its limit is judged as that") {
  SpawnPlan plan;
  plan.limits.cpu_seconds_max = 1;
  const Run run = run_shell("while :; do :; done", plan);
  CHECK(run.verdict.reason == ExitReason::kCpuTime);
  CHECK(run.verdict.usage.cpu_time >= 1s);
}

TEST_CASE("spawn: dropping the child kills it, and leaves no cgroup behind") {
  pid_t pid = 0;
  std::string folder;
  {
    auto pipe = make_pipe();
    auto child = start_shell("while :; do sleep 1; done", pipe->write.get());
    REQUIRE(child.has_value());
    pid = child->pid();
    if (host().cgroups() != nullptr) {
      const auto own = read_cgroup_file("/proc/" + std::to_string(pid) + "/cgroup");
      REQUIRE(own.has_value());
      const std::string mark = "mlxguard-" + std::to_string(::getpid()) + "-";
      CHECK(own->find(mark) != std::string::npos);
    }
  }
  CHECK(::kill(pid, 0) != 0);
  CHECK(errno == ESRCH);
  if (const auto own = own_cgroup("pids")) {
    const std::string left = *own + "/mlxguard-" + std::to_string(::getpid()) + "-0-sh";
    struct stat exists {};
    CHECK(::stat(left.c_str(), &exists) != 0);
  }
}

TEST_CASE("spawn: a program that joins its cgroup while it links is in it when spawn returns" *
          doctest::skip(host().cgroups() == nullptr)) {
  SpawnPlan plan;
  plan.cgroup_join = CgroupJoin::kWhileLinking;
  plan.limits.memory_bytes_max = 32u << 20;
  auto pipe = make_pipe();
  auto child = start_shell("while :; do sleep 1; done", pipe->write.get(), plan);
  REQUIRE(child.has_value());
  CHECK(child->usage().pids.value_or(0) >= 1);
}

TEST_CASE("spawn: memory beyond the cgroup's limit is judged as that" *
          doctest::skip(!host().report().has(Mechanism::kMemoryLimit))) {
  SpawnPlan plan;
  plan.limits.memory_bytes_max = 16u << 20;
  const Run run = run_shell("x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done", plan);
  CHECK(run.verdict.reason == ExitReason::kMemory);
  CHECK(run.verdict.signal == SIGKILL);
  CHECK(run.verdict.usage.oom_kills.value_or(0) >= 1);
  CHECK(run.verdict.usage.memory_bytes_peak.value_or(0) <= 16u << 20);
}

TEST_CASE("spawn: processes beyond the cgroup's limit are refused" *
          doctest::skip(!host().report().has(Mechanism::kPidsLimit))) {
  const auto two_children = [](std::uint64_t pids_max) {
    SpawnPlan plan;
    plan.limits.pids_max = pids_max;
    return run_shell("sleep 0.1 & sleep 0.1 & printf both >&3", plan).output;
  };
  CHECK(two_children(8) == "both");
  CHECK(two_children(2) == "");
}

TEST_CASE("spawn: a child that wants more processor than its share is slowed down" *
          doctest::skip(!host().report().has(Mechanism::kCpuLimit))) {
  SpawnPlan plan;
  plan.limits.cpu_cores_max = 0.05;
  auto pipe = make_pipe();
  auto child = start_shell("while :; do :; done", pipe->write.get(), plan);
  REQUIRE(child.has_value());
  std::uint64_t throttled = 0;
  for (int i = 0; i < 200 && throttled == 0; ++i) {
    std::this_thread::sleep_for(50ms);
    throttled = child->usage().cpu_periods_throttled.value_or(0);
  }
  CHECK(throttled > 0);
}

TEST_CASE("spawn: a running child's limits can be read and changed" *
          doctest::skip(!host().report().has(Mechanism::kMemoryLimit))) {
  SpawnPlan plan;
  plan.limits.memory_bytes_max = 64u << 20;
  auto pipe = make_pipe();
  auto child = start_shell("while :; do sleep 1; done", pipe->write.get(), plan);
  REQUIRE(child.has_value());
  CHECK(child->usage().memory_bytes.has_value());
  CHECK(child->usage().pids.value_or(0) >= 1);
  ResourceLimits more;
  more.memory_bytes_max = 128u << 20;
  CHECK(child->limit(more).has_value());
  more.memory_bytes_max = 96u << 20;
  CHECK(child->limit(more).has_value());
}

TEST_CASE("spawn: the child dies with the thread that spawned it") {
  auto pipe = make_pipe();
  std::optional<Child> child;
  std::thread([&] {
    auto started = start_shell("while :; do sleep 1; done", pipe->write.get());
    if (started) child.emplace(*std::move(started));
  }).join();
  REQUIRE(child.has_value());
  pollfd dead{child->pidfd(), POLLIN, 0};
  REQUIRE(::poll(&dead, 1, 5000) == 1);
  CHECK(child->wait()->reason == ExitReason::kKilled);
}

// The other tests skip what the probe does not find, so it must not overlook anything.
TEST_CASE("host: finds namespaces where they can be made, for this user and for nobody" *
          doctest::skip(kNeverAlone)) {
  const auto holds_in_child = [](auto test) {
    return in_child([&] { return test() ? 0 : 1; }) == 0;
  };
  const auto become_nobody = [] {
    return ::geteuid() != 0 ||
           (::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0 &&
            ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
  };
  const auto can_make_them = [] {
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                     CLONE_NEWUTS | CLONE_NEWCGROUP) == 0 &&
           ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
  };
  const auto finds_them = [] {
    const auto probed = Host::probe();
    return probed && probed->level() >= IsolationLevel::kNoCgroup;
  };
  CHECK(holds_in_child(can_make_them) == holds_in_child(finds_them));
  CHECK(holds_in_child([&] { return become_nobody() && can_make_them(); }) ==
        holds_in_child([&] { return become_nobody() && finds_them(); }));
}

TEST_CASE("host: finds cgroup limits where their folders can be written") {
  for (const auto& [controller, mechanism] :
       {std::pair{"memory", Mechanism::kMemoryLimit}, std::pair{"cpu", Mechanism::kCpuLimit},
        std::pair{"pids", Mechanism::kPidsLimit}}) {
    const auto folder = own_cgroup(controller);
    if (!folder || ::access(folder->c_str(), W_OK) != 0) continue;
    CAPTURE(controller);
    CHECK(host().report().has(mechanism));
  }
}

TEST_CASE("host: what is probed here reaches the floor") {
  CHECK(require(host().report(), IsolationLevel::kContainer).has_value());
}
