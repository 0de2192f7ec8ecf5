// SPDX-License-Identifier: Apache-2.0
// For tests: a Process that is none. The test plays what it says, writes and dies of.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "launch/process.h"

namespace mlxguard::launch::test {

/// What the test keeps of a FakeProcess, which belongs to the code that is tested.
struct FakeProcessState {
  UniqueFd exited{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  int pid = 4711;
  std::vector<sandbox::KillReason> kills;
  sandbox::ExitVerdict verdict;
  bool destroyed = false;
  std::vector<std::string> lines;  ///< what was printed of its output

  void die(sandbox::ExitReason reason) {
    verdict.reason = reason;
    const std::uint64_t one = 1;
    MLXGUARD_CHECK(::write(exited.get(), &one, sizeof(one)) == sizeof(one));
  }
};

class FakeProcess final : public Process {
 public:
  explicit FakeProcess(std::shared_ptr<FakeProcessState> state, UniqueFd output_pipe = {})
      : state_(std::move(state)),
        output_(std::move(output_pipe), "fake",
                [lines = state_](std::string_view line) { lines->lines.emplace_back(line); }) {}
  ~FakeProcess() override { state_->destroyed = true; }

  [[nodiscard]] int pid() const override { return state_->pid; }
  [[nodiscard]] int exit_fd() const override { return state_->exited.get(); }
  [[nodiscard]] const sandbox::IsolationReport& isolation() const override { return isolation_; }
  void kill(sandbox::KillReason reason) override { state_->kills.push_back(reason); }
  [[nodiscard]] Result<sandbox::ExitVerdict> reap() override {
    output_.finish();
    return state_->verdict;
  }
  [[nodiscard]] ProcessOutput& output() override { return output_; }

 private:
  std::shared_ptr<FakeProcessState> state_;
  sandbox::IsolationReport isolation_;
  ProcessOutput output_;
};

/// Asked of every process of a test, so that one that does not put it in place is seen.
inline sandbox::IsolationReport promised() {
  sandbox::IsolationReport report;
  report.add_active(sandbox::Mechanism::kSeccomp);
  return report;
}

}  // namespace mlxguard::launch::test
