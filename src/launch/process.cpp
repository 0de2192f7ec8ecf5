// SPDX-License-Identifier: Apache-2.0
#include "launch/process.h"

#include <utility>

namespace mlxguard::launch {
namespace {

class SpawnedProcess final : public Process {
 public:
  SpawnedProcess(sandbox::Child child, std::string shown_as, ProcessOutput::Print print)
      : child_(std::move(child)),
        output_(child_.take_output(), std::move(shown_as), std::move(print)) {}

  [[nodiscard]] int pid() const override { return child_.pid(); }
  [[nodiscard]] int exit_fd() const override { return child_.pidfd(); }
  [[nodiscard]] const sandbox::IsolationReport& isolation() const override {
    return child_.isolation();
  }
  void kill(sandbox::KillReason reason) override { child_.kill(reason); }
  [[nodiscard]] Result<sandbox::ExitVerdict> reap() override {
    auto verdict = child_.wait();
    output_.finish();
    return verdict;
  }
  [[nodiscard]] ProcessOutput& output() override { return output_; }

 private:
  sandbox::Child child_;
  ProcessOutput output_;
};

}  // namespace

Result<std::unique_ptr<Process>> spawn_process(const sandbox::Host& host, sandbox::SpawnPlan plan,
                                               std::string shown_as, ProcessOutput::Print print) {
  plan.standard_output = sandbox::StandardOutput::kPipe;
  MLXGUARD_TRY_ASSIGN(sandbox::Child child, sandbox::spawn(host, plan));
  return std::unique_ptr<Process>(
      std::make_unique<SpawnedProcess>(std::move(child), std::move(shown_as), std::move(print)));
}

}  // namespace mlxguard::launch
