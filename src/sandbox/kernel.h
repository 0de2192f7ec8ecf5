// SPDX-License-Identifier: Apache-2.0
// Numbers of the kernel's interface that the build machine's headers may be too old to name.
// Each is a constant of the stable system-call interface; the probe decides whether it works here.
#pragma once

#include <cstdint>

namespace mlxguard::sandbox::kernel {

// prctl(2)
inline constexpr int kPrSetMdwe = 65;
inline constexpr int kPrGetMdwe = 66;
inline constexpr unsigned long kPrMdweRefuseExecGain = 1;

// landlock(7); bits that arrived with an ABI version
inline constexpr std::uint32_t kLandlockCreateRulesetVersion = 1;
inline constexpr std::uint64_t kLandlockFsAbi1 = (1ull << 13) - 1;  // execute ... make_sym
inline constexpr std::uint64_t kLandlockFsWriteFile = 1ull << 1;
inline constexpr std::uint64_t kLandlockFsReadFile = 1ull << 2;
inline constexpr std::uint64_t kLandlockFsReadDir = 1ull << 3;
inline constexpr std::uint64_t kLandlockFsRemoveDir = 1ull << 4;
inline constexpr std::uint64_t kLandlockFsRemoveFile = 1ull << 5;
inline constexpr std::uint64_t kLandlockFsMakeDir = 1ull << 7;
inline constexpr std::uint64_t kLandlockFsMakeReg = 1ull << 8;
inline constexpr std::uint64_t kLandlockFsRefer = 1ull << 13;     // ABI 2
inline constexpr std::uint64_t kLandlockFsTruncate = 1ull << 14;  // ABI 3
inline constexpr std::uint64_t kLandlockNetTcp = 3;               // ABI 4: bind, connect
inline constexpr std::uint64_t kLandlockNetConnectTcp = 1ull << 1;
inline constexpr std::uint64_t kLandlockFsIoctlDev = 1ull << 15;  // ABI 5
inline constexpr std::uint64_t kLandlockScopeAll = 3;             // ABI 6: abstract unix, signal

/// struct landlock_ruleset_attr of ABI 6 and later; older kernels take a prefix of it.
struct LandlockRulesetAttr {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};

inline constexpr int kLandlockRulePathBeneath = 1;
inline constexpr int kLandlockRuleNetPort = 2;

/// struct landlock_path_beneath_attr
struct [[gnu::packed]] LandlockPathBeneathAttr {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};

/// struct landlock_net_port_attr
struct LandlockNetPortAttr {
  std::uint64_t allowed_access;
  std::uint64_t port;
};

// close_range(2)
inline constexpr unsigned kCloseRangeCloexec = 1u << 2;

// The identity that holds no file: "nobody" by its number, since name services are not asked.
inline constexpr unsigned kNobody = 65534;

}  // namespace mlxguard::sandbox::kernel
