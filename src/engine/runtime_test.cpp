// SPDX-License-Identifier: Apache-2.0
#include "engine/runtime.h"

#include <doctest/doctest.h>
#include <mlx/compile.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <cstdlib>
#include <filesystem>

#include "engine/test_support.h"

using namespace mlxguard;
namespace mx = mlx::core;

namespace {

std::size_t thread_count() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    count += entry.is_directory() ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("runtime: refuses an mlx older than the oldest tested, and what is no release") {
  for (const std::string version :
       {"0.32.0", "0.31.9", "0.29.3", "0.0.99", "", "0.32", "0.32.1.dev20260101+abc", "0.32.1 ",
        "1", "x.y.z", "0.32.-1", "0..1", "99999999999.0.0"}) {
    CAPTURE(version);
    const auto checked = engine::check_mlx_version(version);
    REQUIRE(!checked.has_value());
    CHECK(checked.error().code == ErrorCode::kEngineVersion);
  }
  for (const std::string version : {"0.32.1", "0.32.4", "0.33.0", "1.0.0"}) {
    CAPTURE(version);
    CHECK(engine::check_mlx_version(version).has_value());
  }
}

TEST_CASE("runtime: mlx's BLAS calls are served by OpenBLAS, not by the wheel's reference BLAS") {
  CHECK(engine::blas_library().find("openblas") != std::string::npos);
  CHECK(engine::describe_runtime().find("OpenBLAS 0.") != std::string::npos);
}

// Run in a process of its own, since other tests start threads.
TEST_CASE("runtime: child that counts its threads" * doctest::skip()) {
  REQUIRE(thread_count() == 1);
  REQUIRE(engine::prepare_runtime().has_value());
  REQUIRE(thread_count() == 1);
  REQUIRE(engine::start_runtime(2).has_value());
  REQUIRE(thread_count() > 1);
  engine::test::end_alone();
}

TEST_CASE("runtime: no thread exists before it is started") {
  CHECK(engine::test::run_alone("runtime: child that counts its threads"));
}

// The compiler would be run through a shell and its output loaded from the temp folder.
TEST_CASE("runtime: child whose compiled function compiles nothing" * doctest::skip()) {
  const auto folder = std::filesystem::temp_directory_path() / ("mlxguard-jit-test");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  REQUIRE(::setenv("TMPDIR", folder.c_str(), 1) == 0);
  REQUIRE(engine::prepare_runtime().has_value());
  const auto chain = [](const std::vector<mx::array>& in) {
    return std::vector<mx::array>{mx::exp(mx::multiply(mx::add(in[0], in[0]), in[0]))};
  };
  const auto compiled =
      mx::compile(std::function<std::vector<mx::array>(const std::vector<mx::array>&)>(chain));
  auto outputs = compiled({mx::array({0.0f, 1.0f})});
  mx::eval(outputs);
  REQUIRE(outputs[0].data<float>()[0] == doctest::Approx(1.0));
  REQUIRE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
  engine::test::end_alone();
}

TEST_CASE("runtime: mlx's just-in-time compiler is off") {
  CHECK(engine::test::run_alone("runtime: child whose compiled function compiles nothing"));
}
