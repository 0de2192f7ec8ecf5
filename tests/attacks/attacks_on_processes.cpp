// SPDX-License-Identifier: Apache-2.0
// Become, make or touch another process, or another user.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <thread>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

int exec_program(const Context&) {
  ::execl("/bin/true", "true", nullptr);
  return errno;
}

int exec_memory(const Context&) {
  constexpr char kScript[] = "#!/bin/true\n";
  const int fd = ::memfd_create("program", 0);
  if (fd < 0 || ::ftruncate(fd, sizeof(kScript) - 1) != 0) return errno;
  void* map = ::mmap(nullptr, sizeof(kScript) - 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return errno;
  std::memcpy(map, kScript, sizeof(kScript) - 1);
  ::munmap(map, sizeof(kScript) - 1);
  char* const none[] = {nullptr};
  ::syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH);
  return errno;
}

/// The child ends at once; in the parent, whether there was one.
int after_fork(long pid) {
  if (pid == 0) ::syscall(SYS_exit_group, 0);
  return outcome_of(pid);
}

int clone3_process(const Context&) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  return after_fork(::syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

/// Looks like a thread to a filter that asks for some bits only, but brings a user namespace.
int clone_thread_with_namespace(const Context&) {
  constexpr unsigned long kFlags = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER;
  return outcome_of(::syscall(SYS_clone, kFlags, nullptr, nullptr, nullptr, nullptr));
}

/// Landlock and seccomp must hold threads that start after the lock.
int thread_opens_file(const Context&) {
  int outcome = 0;
  std::thread([&] {
    outcome = outcome_of(::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
  }).join();
  return outcome;
}

int thread_starts(const Context&) {
  int value = EAGAIN;
  std::thread([&] { value = 0; }).join();
  return value;
}

void start_early_thread() {
  std::thread([] { ::pause(); }).detach();
}

int read_parent_memory(const Context& context) {
  char byte = 0;
  iovec local{&byte, 1};
  iovec remote{reinterpret_cast<void*>(&read_parent_memory), 1};
  return outcome_of(::process_vm_readv(context.runner_pid, &local, 1, &remote, 1, 0));
}

constexpr std::array kAttacks{
    Attack{"exec_program", exec_program},
    Attack{"exec_memory", exec_memory},
    Attack{"fork", [](const Context&) { return after_fork(::syscall(SYS_fork)); }},
    Attack{"clone_process",
           [](const Context&) {
             return after_fork(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
           }},
    Attack{"clone3_process", clone3_process},
    Attack{"clone_thread_with_namespace", clone_thread_with_namespace},
    Attack{"thread_starts", thread_starts},
    Attack{"thread_opens_file", thread_opens_file},
    Attack{"thread_before_lock", [](const Context&) { return 0; }, start_early_thread},
    Attack{"kill_parent",
           [](const Context& context) { return outcome_of(::kill(context.runner_pid, 0)); }},
    Attack{"abort_parent",
           [](const Context& context) {
             return outcome_of(::syscall(SYS_tgkill, context.runner_pid, context.runner_pid, 0));
           }},
    Attack{"trace_parent",
           [](const Context& context) {
             return outcome_of(::ptrace(PTRACE_SEIZE, context.runner_pid, nullptr, nullptr));
           }},
    Attack{"read_parent_memory", read_parent_memory},
    Attack{"become_root", [](const Context&) { return outcome_of(::syscall(SYS_setuid, 0)); }},
    Attack{"become_another",
           [](const Context&) { return outcome_of(::syscall(SYS_setresuid, 1, 1, 1)); }},
};

}  // namespace

std::span<const Attack> process_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
