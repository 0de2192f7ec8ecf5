// SPDX-License-Identifier: Apache-2.0
// The public API as a program sees it; what it stands on has tests of its own.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "mlxguard/mlxguard.h"

namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-api-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

mlxguard::Guard guard_in(const fs::path& state) {
  auto guard = mlxguard::Guard::open({.state = state});
  REQUIRE(guard);
  return *std::move(guard);
}

}  // namespace

TEST_CASE("api: a model without a signature is refused by its stable code") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "model");
  std::ofstream(folder.path() / "model/weights.safetensors") << "bytes";
  auto guard = guard_in(folder.path() / "state");
  const auto model = guard.load(folder.path() / "model");
  REQUIRE_FALSE(model);
  CHECK(model.error().code == "signature.missing");
  CHECK(model.error().number == 500);
  CHECK(model.error().kind == mlxguard::Error::Kind::kRefused);
}

TEST_CASE("api: a folder that is not there could not be looked at") {
  const TemporaryFolder folder;
  auto guard = guard_in(folder.path() / "state");
  const auto model = guard.load(folder.path() / "none");
  REQUIRE_FALSE(model);
  CHECK(model.error().code == "artifact.not_found");
  CHECK(model.error().kind == mlxguard::Error::Kind::kFailed);
}

TEST_CASE("api: a configuration with an unknown key is refused") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "mlxguard.toml") << "[trust]\nsandbox = \"off\"\n";
  const auto guard = mlxguard::Guard::open(
      {.state = folder.path() / "state", .config = folder.path() / "mlxguard.toml"});
  REQUIRE_FALSE(guard);
  CHECK(guard.error().code == "config.unknown_key");
}

TEST_CASE("api: a guard is of no use, and does no harm, in a process that forked") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "model");
  std::ofstream(folder.path() / "model/weights.safetensors") << "bytes";
  auto guard = std::make_unique<mlxguard::Guard>(guard_in(folder.path() / "state"));
  const pid_t child = ::fork();
  if (child == 0) {
    const auto model = guard->load(folder.path() / "model");
    const bool refused = !model && model.error().code == "usage" && !model.error().hint.empty();
    const bool closed = guard->close().has_value();
    guard.reset();  // waits for no thread of the parent
    ::_exit(refused && !closed ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(guard->load(folder.path() / "model").error().code == "signature.missing");
}
