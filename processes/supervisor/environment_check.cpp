// SPDX-License-Identifier: Apache-2.0
#include "environment_check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "sandbox/spawn.h"

namespace mlxguard::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "mlxguard-deps";

/// Starts the program of this descriptor; its exit status. Its words for people go to our standard
/// error.
Result<int> run(const UniqueFd& program, std::vector<std::string> arguments) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  sigset_t none;  // ours are blocked, for the signalfd
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> pointers;
  for (std::string& one : arguments) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  // The file that was opened is the one that is started. Its descriptor is closed on execution.
  const std::string path = "/proc/self/fd/" + std::to_string(program.get());
  pid_t pid = -1;
  const int problem =
      ::posix_spawn(&pid, path.c_str(), &actions, &attributes, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (problem != 0) return os_error("start", arguments[0], problem);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return os_error("wait for", arguments[0]);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

Result<void> check_environment(const config::ServeConfig& config) {
  if (config.dependencies.require.empty()) return {};
  if (config.dependencies.environment.empty()) {
    return make_error(ErrorCode::kConfig, "[dependencies] require needs environment beside it");
  }
  std::error_code missing;
  const fs::path self = fs::read_symlink("/proc/self/exe", missing);
  if (missing) return make_error(ErrorCode::kIo, "the place of this binary cannot be told");
  MLXGUARD_TRY_ASSIGN(const UniqueFd program,
                      sandbox::open_program((self.parent_path() / kProgram).string()));
  MLXGUARD_TRY_ASSIGN(
      const int status,
      run(program, {kProgram, "check", config.dependencies.require.string(),
                    config.dependencies.environment.string(), "--state",
                    config.server.state.string()}));
  if (status == 0) return {};
  return make_error(ErrorCode::kDepsLock, "the worker's environment is not as its lock says")
      .about(config.dependencies.environment.string())
      .hinting("mlxguard deps check " + config.dependencies.require.string() + " " +
               config.dependencies.environment.string() + " lists what differs");
}

}  // namespace mlxguard::supervisor
