// SPDX-License-Identifier: Apache-2.0
// OpenGate: hands verified bytes to a library that insists on a path, without any path being
// opened. mlx's import_function calls open(2) on the name it is given. The program that links this
// folder defines `open` and `open64` itself (the dynamic linker takes a program's definition before
// libc's); ours knows one name, answers it once with a private sealed copy, and makes no system
// call for it. Decision and alternatives: docs/adr/0004-mlxfn-by-interposed-open.md. Limit: works
// for libraries that call open or open64 and are bound against the program, not for calls inside
// libc (fopen), nor when this code is itself in a shared library loaded late.
#pragma once

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::engine {

/// While one lives, opening `path()` for reading yields its bytes, once. At most one lives at a
/// time.
class OpenGate {
 public:
  /// Copies the bytes into a sealed memfd of its own: a descriptor shared with other processes
  /// would share its read position with them, and one of them could move it between mlx's reads.
  /// Errors: kIo.
  [[nodiscard]] static Result<OpenGate> admit(Bytes bytes);
  OpenGate(OpenGate&& other) noexcept;
  OpenGate& operator=(OpenGate&&) = delete;
  ~OpenGate();

  [[nodiscard]] static const char* path();

 private:
  OpenGate() = default;
  bool owns_ = true;
};

/// From now on `open` of any other name answers EACCES without asking the kernel, so that a
/// library's harmless probe is refused politely where the sandbox would kill. Before, names go to
/// the kernel.
void refuse_other_paths();

}  // namespace mlxguard::engine
