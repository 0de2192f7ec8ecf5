// SPDX-License-Identifier: Apache-2.0
// SeccompPolicy: which system calls a process may make, as an immutable value that reads aloud.
// What no rule names kills the whole process (SIGSYS). Built for the machine's own architecture; a
// call by any other calling convention (32-bit, x32) kills too.
// Limits: arguments are compared by value, what a pointer points to cannot be; the kernel does not
// tell the parent which call killed a process, so a verdict says only that it was one; newer x86-64
// kernels let uprobe and uretprobe pass every filter (they fail unless the kernel placed them).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::sandbox {

/// True if (argument & mask) == value.
struct ArgumentCondition {
  unsigned index;
  std::uint64_t mask;
  std::uint64_t value;
};

[[nodiscard]] ArgumentCondition argument_is(unsigned index, std::uint64_t value);
/// Every bit of `bits` is set.
[[nodiscard]] ArgumentCondition argument_has(unsigned index, std::uint64_t bits);
/// No bit of `bits` is set.
[[nodiscard]] ArgumentCondition argument_lacks(unsigned index, std::uint64_t bits);
/// Every bit of `set` is set and none of `clear`; one condition, as libseccomp takes one for each
/// argument.
[[nodiscard]] ArgumentCondition argument_has_but_lacks(unsigned index, std::uint64_t set,
                                                       std::uint64_t clear);

class SeccompPolicy {
 public:
  [[nodiscard]] static SeccompPolicy kill_unless_named() { return {}; }

  /// Each of these returns a new policy with one more sentence.
  [[nodiscard]] SeccompPolicy allow(std::initializer_list<std::string_view> names) const;
  [[nodiscard]] SeccompPolicy allow_if(std::string_view name,
                                       std::vector<ArgumentCondition> all_of) const;
  /// The call is not made and fails with `error_number`: for probes that a library survives.
  [[nodiscard]] SeccompPolicy refuse(int error_number,
                                     std::initializer_list<std::string_view> names) const;
  /// The same where the arguments are so; what `allow_if` lets through must not overlap.
  [[nodiscard]] SeccompPolicy refuse_if(int error_number, std::string_view name,
                                        std::vector<ArgumentCondition> all_of) const;

  /// New threads of this process, and no other process, neither in new namespaces. clone3 does not
  /// exist (ENOSYS), since its flags are behind a pointer: the library then uses clone.
  [[nodiscard]] SeccompPolicy allow_threads() const;

  struct Rule {
    std::string_view name;  ///< a literal
    int error_number;       ///< 0: allowed
    std::vector<ArgumentCondition> all_of;
  };
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

  /// Puts the policy on every thread of this process, for good. Needs no_new_privs.
  /// Errors: kInternal if a rule names a system call that does not exist, kSandbox.
  Result<void> load(IsolationReport& report) const;

 private:
  SeccompPolicy() = default;
  std::vector<Rule> rules_;
};

/// Whether the kernel offers seccomp filters with the actions used here.
[[nodiscard]] bool seccomp_available();

}  // namespace mlxguard::sandbox
