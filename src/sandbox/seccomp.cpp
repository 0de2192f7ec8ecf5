// SPDX-License-Identifier: Apache-2.0
#include "sandbox/seccomp.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/os_error.h"

namespace mlxguard::sandbox {
namespace {

struct FilterDeleter {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterDeleter>;

Error seccomp_error(std::string_view doing, int negative_errno) {
  Error error = os_error(doing, "", -negative_errno);
  error.code = ErrorCode::kSandbox;
  return error;
}

Result<Filter> new_filter() {
  Filter filter(::seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter) return make_error(ErrorCode::kSandbox, "libseccomp could not start a filter");
  struct Attribute {
    scmp_filter_attr name;
    std::uint32_t value;
  };
  constexpr Attribute kAttributes[] = {
      {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
      {SCMP_FLTATR_CTL_TSYNC, 1},      // all threads, or none and an error
      {SCMP_FLTATR_CTL_NNP, 0},        // no_new_privs is a sentence of its own in the lock
      {SCMP_FLTATR_CTL_OPTIMIZE, 2}};  // binary tree
  for (const Attribute& attribute : kAttributes) {
    const int rc = ::seccomp_attr_set(filter.get(), attribute.name, attribute.value);
    if (rc != 0) return seccomp_error("set a seccomp attribute", rc);
  }
  return filter;
}

Result<void> add_rule(void* filter, const SeccompPolicy::Rule& rule) {
  const int number = ::seccomp_syscall_resolve_name(std::string(rule.name).c_str());
  if (number == __NR_SCMP_ERROR) {
    return make_error(ErrorCode::kInternal, "the policy names a system call that does not exist: " +
                                                std::string(rule.name));
  }
  if (number < 0) return {};  // another architecture's call: nothing to allow or refuse here
  std::vector<scmp_arg_cmp> comparisons;
  for (const ArgumentCondition& condition : rule.all_of) {
    comparisons.push_back({condition.index, SCMP_CMP_MASKED_EQ, condition.mask, condition.value});
  }
  const std::uint32_t action = rule.error_number == 0
                                   ? SCMP_ACT_ALLOW
                                   : SCMP_ACT_ERRNO(static_cast<std::uint16_t>(rule.error_number));
  const int rc = ::seccomp_rule_add_exact_array(
      filter, action, number, static_cast<unsigned>(comparisons.size()), comparisons.data());
  if (rc != 0) return seccomp_error("add a seccomp rule for " + std::string(rule.name), rc);
  return {};
}

}  // namespace

ArgumentCondition argument_is(unsigned index, std::uint64_t value) { return {index, ~0ull, value}; }
ArgumentCondition argument_has(unsigned index, std::uint64_t bits) { return {index, bits, bits}; }
ArgumentCondition argument_lacks(unsigned index, std::uint64_t bits) { return {index, bits, 0}; }
ArgumentCondition argument_has_but_lacks(unsigned index, std::uint64_t set, std::uint64_t clear) {
  return {index, set | clear, set};
}

SeccompPolicy SeccompPolicy::allow(std::initializer_list<std::string_view> names) const {
  SeccompPolicy policy = *this;
  for (const std::string_view name : names) policy.rules_.push_back({name, 0, {}});
  return policy;
}

SeccompPolicy SeccompPolicy::allow_if(std::string_view name,
                                      std::vector<ArgumentCondition> all_of) const {
  SeccompPolicy policy = *this;
  policy.rules_.push_back({name, 0, std::move(all_of)});
  return policy;
}

SeccompPolicy SeccompPolicy::allow_threads() const {
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  constexpr std::uint64_t kNewNamespace = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
                                          CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                          CLONE_NEWCGROUP;
  return allow_if("clone", {argument_has_but_lacks(0, kThread, kNewNamespace)})
      .refuse(ENOSYS, {"clone3"});
}

SeccompPolicy SeccompPolicy::refuse(int error_number,
                                    std::initializer_list<std::string_view> names) const {
  SeccompPolicy policy = *this;
  for (const std::string_view name : names) policy.rules_.push_back({name, error_number, {}});
  return policy;
}

SeccompPolicy SeccompPolicy::refuse_if(int error_number, std::string_view name,
                                       std::vector<ArgumentCondition> all_of) const {
  SeccompPolicy policy = *this;
  policy.rules_.push_back({name, error_number, std::move(all_of)});
  return policy;
}

Result<void> SeccompPolicy::load(IsolationReport& report) const {
  MLXGUARD_TRY_ASSIGN(const Filter filter, new_filter());
  for (const Rule& rule : rules_) MLXGUARD_TRY(add_rule(filter.get(), rule));
  const int rc = ::seccomp_load(filter.get());
  if (rc != 0) return seccomp_error("load the seccomp filter", rc);
  report.add_active(Mechanism::kSeccomp, std::to_string(rules_.size()) + " rules");
  return {};
}

bool seccomp_available() {
  const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) == 0;
}

}  // namespace mlxguard::sandbox
