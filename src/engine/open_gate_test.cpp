// SPDX-License-Identifier: Apache-2.0
#include "engine/open_gate.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"
#include "engine/test_support.h"

using namespace mlxguard;

namespace {

/// As a library finds it, not as this file's header defines it.
int library_open(const char* path, int flags, unsigned mode = 0) {
  using Open = int (*)(const char*, int, ...);
  static const auto function = reinterpret_cast<Open>(::dlsym(RTLD_DEFAULT, "open"));
  return function(path, flags, mode);
}

}  // namespace

TEST_CASE("open gate: answers one name, once, with a private sealed copy") {
  const std::string text = "the function's bytes";
  auto gate = engine::OpenGate::admit(as_bytes(text));
  REQUIRE(gate.has_value());
  const UniqueFd fd(library_open(engine::OpenGate::path(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fd.is_open());
  std::array<char, 64> buffer{};
  CHECK(::read(fd.get(), buffer.data(), buffer.size()) == static_cast<ssize_t>(text.size()));
  CHECK(std::string(buffer.data()) == text);
  CHECK(::fcntl(fd.get(), F_GET_SEALS) ==
        (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
  CHECK(library_open(engine::OpenGate::path(), O_RDONLY) == -1);
  CHECK(errno == ENOENT);
}

TEST_CASE("open gate: the name is unknown before and after a gate lives") {
  CHECK(library_open(engine::OpenGate::path(), O_RDONLY) == -1);
  CHECK(errno == ENOENT);
  {
    auto gate = engine::OpenGate::admit({});
    REQUIRE(gate.has_value());
  }
  CHECK(library_open(engine::OpenGate::path(), O_RDONLY) == -1);
  CHECK(errno == ENOENT);
}

TEST_CASE("open gate: the name cannot be opened for writing or created") {
  auto gate = engine::OpenGate::admit({});
  REQUIRE(gate.has_value());
  for (const int flags : {O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC, O_RDONLY | O_CREAT}) {
    CHECK(library_open(engine::OpenGate::path(), flags, 0600) == -1);
    CHECK(errno == EACCES);
  }
}

TEST_CASE("open gate: other names go to the kernel until they are refused") {
  const UniqueFd fd(library_open("/dev/null", O_RDONLY));
  CHECK(fd.is_open());
}

TEST_CASE("open gate: child that refuses other names" * doctest::skip()) {
  engine::refuse_other_paths();
  REQUIRE(library_open("/dev/null", O_RDONLY) == -1);
  REQUIRE(errno == EACCES);
  auto gate = engine::OpenGate::admit({});
  REQUIRE(gate.has_value());
  const UniqueFd fd(library_open(engine::OpenGate::path(), O_RDONLY));
  REQUIRE(fd.is_open());
  engine::test::end_alone();
}

TEST_CASE("open gate: other names are refused for good, the one name is not") {
  CHECK(engine::test::run_alone("open gate: child that refuses other names"));
}
