// SPDX-License-Identifier: Apache-2.0
#include "sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

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

}  // namespace

int landlock_abi() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kernel::kLandlockCreateRulesetVersion);
  return version < 0 ? 0 : static_cast<int>(version);
}

Result<void> landlock_deny_everything(IsolationReport& report) {
  const int abi = landlock_abi();
  if (abi < 1) {
    return make_error(ErrorCode::kUnsupportedPlatform, "the kernel has no Landlock")
        .hinting(
            "Landlock needs Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and must be "
            "named in the boot option lsm= where one is given");
  }
  const kernel::LandlockRulesetAttr attr = every_right(abi);
  // An older kernel accepts the longer struct, since what it does not know is zero.
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0)));
  if (!ruleset.is_open()) return os_error("create a landlock ruleset");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return os_error("enter the landlock domain");
  }
  report.add_active(Mechanism::kLandlock, "abi " + std::to_string(abi));
  return {};
}

}  // namespace mlxguard::sandbox
