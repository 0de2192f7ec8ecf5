// SPDX-License-Identifier: Apache-2.0
#include "signature/verified_model.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <type_traits>

#include "signature/verify.h"

namespace mlxguard::signature {
namespace {

constexpr int kEverySeal = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

artifact::SnapshotFile memory_file(const std::string& name, int seals,
                                   std::uint64_t announced = 4) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(fd.is_open());
  REQUIRE(::write(fd.get(), "data", 4) == 4);
  if (seals != 0) REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return {name, announced, {}, std::move(fd)};
}

Result<VerifiedModel> receive(artifact::SnapshotFile file) {
  std::vector<artifact::SnapshotFile> files;
  files.push_back(std::move(file));
  return VerifiedModel::receive("m", std::string(64, '0'), std::move(files));
}

ErrorCode code_of(artifact::SnapshotFile file) {
  auto model = receive(std::move(file));
  REQUIRE_FALSE(model.has_value());
  return model.error().code;
}

TEST_CASE("verified model: takes sealed memory, and finds files by name") {
  std::vector<artifact::SnapshotFile> files;
  files.push_back(memory_file("b", kEverySeal));
  files.push_back(memory_file("a", kEverySeal));
  auto model = VerifiedModel::receive("m", "00", std::move(files));
  REQUIRE(model.has_value());
  CHECK(model->files()[0].name == "a");
  REQUIRE(model->find("b") != nullptr);
  CHECK(model->find("b")->name == "b");
  CHECK(model->find("c") == nullptr);
  CHECK(model->find("") == nullptr);
}

TEST_CASE("verified model: refuses memory that lacks any one seal") {
  for (const int missing : {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL}) {
    CAPTURE(missing);
    CHECK(code_of(memory_file("a", kEverySeal & ~missing)) == ErrorCode::kWorkerSeals);
  }
  CHECK(code_of(memory_file("a", 0)) == ErrorCode::kWorkerSeals);
}

TEST_CASE(
    "verified model: refuses another size than announced, a file on disk, and no descriptor") {
  CHECK(code_of(memory_file("a", kEverySeal, 5)) == ErrorCode::kWorkerSeals);
  CHECK(code_of({"a", 0, {}, UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))}) ==
        ErrorCode::kWorkerSeals);
  CHECK(code_of({"a", 0, {}, UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC))}) ==
        ErrorCode::kWorkerSeals);
  CHECK(code_of({"a", 0, {}, UniqueFd()}) == ErrorCode::kWorkerSeals);
}

TEST_CASE("verified model: refuses two files of one name") {
  std::vector<artifact::SnapshotFile> files;
  files.push_back(memory_file("a", kEverySeal));
  files.push_back(memory_file("a", kEverySeal));
  auto model = VerifiedModel::receive("m", "00", std::move(files));
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().code == ErrorCode::kWorkerSeals);
}

// Loading without verifying does not compile: there is no public way to a VerifiedModel but these
// two.
static_assert(!std::is_default_constructible_v<VerifiedModel>);
static_assert(!std::is_default_constructible_v<Verifier>);

}  // namespace
}  // namespace mlxguard::signature
