// SPDX-License-Identifier: Apache-2.0
#include "sandbox/namespaces.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "sandbox/kernel.h"

namespace mlxguard::sandbox {
namespace {

Error sandbox_error(std::string_view doing) {
  Error error = os_error(doing);
  error.code = ErrorCode::kSandbox;
  return error;
}

Result<void> write_once(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return sandbox_error("open " + path);
  // The kernel takes an id map in one write or not at all.
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return sandbox_error("write " + path);
  }
  return {};
}

std::string map_text(unsigned own_id, IdMap id_map) {
  std::string text = "0 " + std::to_string(own_id) + " 1\n";
  if (id_map == IdMap::kSelfAndNobody) {
    const std::string nobody = std::to_string(kernel::kNobody);
    text.append(nobody).append(" ").append(nobody).append(" 1\n");
  }
  return text;
}

/// Puts the current directory, an empty file system, in the place of the root, and lets go of the
/// old.
Result<void> make_current_directory_the_root() {
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return sandbox_error("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return sandbox_error("let go of the old root");
  if (::chdir("/") != 0) return sandbox_error("enter the empty root");
  return {};
}

}  // namespace

NamespacePlan all_namespaces(IdMap id_map) {
  unsigned long flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (id_map != IdMap::kNone) flags |= CLONE_NEWUSER;
  return {flags, id_map};
}

Result<void> write_id_maps(pid_t child, IdMap id_map) {
  if (id_map == IdMap::kNone) return {};
  const std::string folder = "/proc/" + std::to_string(child) + "/";
  if (id_map == IdMap::kSelf) {
    // The kernel's condition for an ordinary user to map a group at all.
    MLXGUARD_TRY(write_once(folder + "setgroups", "deny"));
  }
  MLXGUARD_TRY(write_once(folder + "uid_map", map_text(::geteuid(), id_map)));
  return write_once(folder + "gid_map", map_text(::getegid(), id_map));
}

void report_namespaces(const NamespacePlan& plan, IsolationReport& report) {
  struct Row {
    unsigned long flag;
    Mechanism mechanism;
  };
  constexpr Row kRows[] = {
      {CLONE_NEWUSER, Mechanism::kUserNamespace}, {CLONE_NEWPID, Mechanism::kPidNamespace},
      {CLONE_NEWNET, Mechanism::kNetNamespace},   {CLONE_NEWIPC, Mechanism::kIpcNamespace},
      {CLONE_NEWUTS, Mechanism::kUtsNamespace},   {CLONE_NEWCGROUP, Mechanism::kCgroupNamespace}};
  for (const Row& row : kRows) {
    if ((plan.clone_flags & row.flag) != 0) {
      report.add_active(row.mechanism);
    } else {
      report.add_unavailable(row.mechanism, "not permitted here");
    }
  }
}

Result<void> enter_empty_root(IsolationReport& report) {
  const auto not_permitted = [&report](std::string_view doing) -> Result<void> {
    if (errno != EPERM && errno != EACCES) return sandbox_error(doing);
    report.add_unavailable(Mechanism::kEmptyRoot, std::string(doing) + " is not permitted here");
    return {};
  };
  if (::unshare(CLONE_NEWNS) != 0) return not_permitted("making a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return not_permitted("making the mounts private");
  }
  // /proc is the folder that surely exists, and nothing after this needs it.
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (::mount("none", "/proc", "tmpfs", kFlags, "size=4k,nr_inodes=2,mode=0555") != 0) {
    return not_permitted("mounting an empty file system");
  }
  // From here on every failure is an error: a half-changed root must not pass for the host's.
  if (::chdir("/proc") != 0) return sandbox_error("enter the empty file system");
  MLXGUARD_TRY(make_current_directory_the_root());
  report.add_active(Mechanism::kEmptyRoot);
  return {};
}

}  // namespace mlxguard::sandbox
