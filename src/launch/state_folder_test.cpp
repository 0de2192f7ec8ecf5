// SPDX-License-Identifier: Apache-2.0
#include "launch/state_folder.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

using namespace mlxguard;
using namespace mlxguard::launch;

namespace {

struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlxguard-state-XXXXXX");
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("state folder: is made for its owner alone, and found again") {
  const Folder folder;
  const auto state = folder.path / "a" / "b";
  REQUIRE(prepare_state(state).has_value());
  CHECK(mode_of(state) == 0700);
  CHECK(prepare_state(state).has_value());
}

TEST_CASE("state folder: one that others can write is refused") {
  const Folder folder;
  for (const mode_t mode : {0720u, 0702u, 0777u}) {
    REQUIRE(::chmod(folder.path.c_str(), mode) == 0);
    const auto prepared = prepare_state(folder.path);
    REQUIRE_FALSE(prepared.has_value());
    CHECK(prepared.error().code == ErrorCode::kUnsafePermissions);
  }
}

TEST_CASE("state folder: one of another user is refused" * doctest::skip(::geteuid() != 0)) {
  const Folder folder;
  REQUIRE(::chown(folder.path.c_str(), 65534, 65534) == 0);
  CHECK(prepare_state(folder.path).error().code == ErrorCode::kUnsafePermissions);
}
