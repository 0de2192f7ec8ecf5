// SPDX-License-Identifier: Apache-2.0
#include "launch/inspector_program.h"

#include <utility>

#include "base/unique_fd.h"
#include "launch/inspector_process.h"
#include "sandbox/spawn.h"

namespace mlxguard::launch {
namespace {

constexpr const char* kProgram = "mlxguard-inspector";

class InspectorProgram final : public inspect::Inspector {
 public:
  InspectorProgram(const sandbox::Host& host, UniqueFd program)
      : program_(std::move(program)), process_(plan_of(host, program_)) {}
  Result<inspect::FileReport> inspect(int fd, std::uint64_t size_bytes,
                                      const inspect::FileContext& context) override {
    return process_.inspect(fd, size_bytes, context);
  }

 private:
  static InspectorPlan plan_of(const sandbox::Host& host, const UniqueFd& program) {
    InspectorPlan plan;
    plan.host = &host;
    plan.program_fd = program.get();
    return plan;
  }
  UniqueFd program_;  // before what uses it
  InspectorProcess process_;
};

}  // namespace

Result<std::unique_ptr<inspect::Inspector>> open_inspector(const sandbox::Host& host) {
  std::error_code problem;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", problem);
  auto program = sandbox::open_program((self.parent_path() / kProgram).string());
  if (!program) {
    return std::move(program).error().hinting(std::string(kProgram) +
                                              " belongs beside mlxguard; run make build");
  }
  return std::unique_ptr<inspect::Inspector>(
      std::make_unique<InspectorProgram>(host, *std::move(program)));
}

}  // namespace mlxguard::launch
