// SPDX-License-Identifier: Apache-2.0
#include "sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "sandbox/kernel.h"

namespace mlxguard::sandbox {
namespace {

kernel::LandlockRulesetAttr every_right(int abi) {
  kernel::LandlockRulesetAttr attr{kernel::kLandlockFsAbi1, 0, 0};
  if (abi >= 2) attr.handled_access_fs |= kernel::kLandlockFsRefer;
  if (abi >= 3) attr.handled_access_fs |= kernel::kLandlockFsTruncate;
  if (abi >= 4) attr.handled_access_net |= kernel::kLandlockNetTcp;
  if (abi >= 5) attr.handled_access_fs |= kernel::kLandlockFsIoctlDev;
  if (abi >= 6) attr.scoped |= kernel::kLandlockScopeAll;
  return attr;
}

Result<UniqueFd> new_ruleset(int abi, int abi_min) {
  if (abi < abi_min) {
    return make_error(ErrorCode::kUnsupportedPlatform,
                      abi < 1 ? "the kernel has no Landlock" : "the kernel's Landlock is too old")
        .hinting(
            "Landlock needs Linux 5.13 (5.19 for the mirror) or later with "
            "CONFIG_SECURITY_LANDLOCK, and must be named in the boot option lsm= where one is "
            "given");
  }
  const kernel::LandlockRulesetAttr attr = every_right(abi);
  // An older kernel accepts the longer struct, since what it does not know is zero.
  const long fd = ::syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
  UniqueFd ruleset(static_cast<int>(fd));
  if (!ruleset.is_open()) return os_error("create a landlock ruleset");
  return ruleset;
}

Result<void> enter(const UniqueFd& ruleset, int abi, IsolationReport& report) {
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return os_error("enter the landlock domain");
  }
  report.add_active(Mechanism::kLandlock, "abi " + std::to_string(abi));
  return {};
}

/// Rights that a rule about a file, not a folder, may have.
constexpr std::uint64_t kOfFiles =
    kernel::kLandlockFsReadFile | kernel::kLandlockFsWriteFile | kernel::kLandlockFsTruncate;

Result<void> allow_below(const UniqueFd& ruleset, const std::string& path, std::uint64_t rights) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
    return os_error("open", path);
  }
  struct stat status {};
  if (::fstat(place.get(), &status) != 0) return os_error("stat", path);
  const std::uint64_t fitting = S_ISDIR(status.st_mode) ? rights : rights & kOfFiles;
  const kernel::LandlockPathBeneathAttr rule{fitting, place.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), kernel::kLandlockRulePathBeneath, &rule, 0) !=
      0) {
    return os_error("allow by landlock", path);
  }
  return {};
}

}  // namespace

int landlock_abi() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kernel::kLandlockCreateRulesetVersion);
  return version < 0 ? 0 : static_cast<int>(version);
}

Result<void> landlock_deny_everything(IsolationReport& report) {
  const int abi = landlock_abi();
  MLXGUARD_TRY_ASSIGN(const UniqueFd ruleset, new_ruleset(abi, 1));
  return enter(ruleset, abi, report);
}

Result<void> landlock_deny_all_but(const LandlockExceptions& exceptions, IsolationReport& report) {
  const int abi = landlock_abi();
  MLXGUARD_TRY_ASSIGN(const UniqueFd ruleset, new_ruleset(abi, 2));
  constexpr std::uint64_t kRead = kernel::kLandlockFsReadFile | kernel::kLandlockFsReadDir;
  std::uint64_t write = kRead | kernel::kLandlockFsWriteFile | kernel::kLandlockFsRemoveDir |
                        kernel::kLandlockFsRemoveFile | kernel::kLandlockFsMakeDir |
                        kernel::kLandlockFsMakeReg | kernel::kLandlockFsRefer;
  if (abi >= 3) write |= kernel::kLandlockFsTruncate;
  for (const std::string& path : exceptions.readable) {
    MLXGUARD_TRY(allow_below(ruleset, path, kRead));
  }
  for (const std::string& path : exceptions.writable) {
    MLXGUARD_TRY(allow_below(ruleset, path, write));
  }
  for (const std::uint16_t port : exceptions.connect_ports) {
    if (abi < 4) break;
    const kernel::LandlockNetPortAttr rule{kernel::kLandlockNetConnectTcp, port};
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), kernel::kLandlockRuleNetPort, &rule, 0) !=
        0) {
      return os_error("allow a port by landlock");
    }
  }
  return enter(ruleset, abi, report);
}

}  // namespace mlxguard::sandbox
