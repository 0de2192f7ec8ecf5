// SPDX-License-Identifier: Apache-2.0
// What a shared library says of itself: the libraries it needs, where it looks for them, the names
// of its symbols, the bytes that hold its strings. One shape for ELF and Mach-O. Input: bytes
// chosen by an attacker. Output: views into them, every one in bounds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::inventory {

struct NativeSymbol {
  enum class State : std::uint8_t { kDefined, kUndefined };
  std::string_view name;
  State state = State::kDefined;
};

struct NativeFile {
  enum class Format : std::uint8_t { kElf, kMachO };
  struct Needed {
    std::string name;     ///< as written: a file name, or for Mach-O a path
    std::string version;  ///< Mach-O's current version; empty for ELF
  };
  Format format = Format::kElf;
  std::string architecture;  ///< "x86_64", "aarch64", "arm64", or a number
  std::string soname;        ///< DT_SONAME or LC_ID_DYLIB; may be empty
  std::string version;       ///< of LC_ID_DYLIB; empty for ELF
  std::vector<Needed> needed;
  std::vector<std::string> search;    ///< RUNPATH, else RPATH; LC_RPATH
  std::string build_id;               ///< lowercase hex; may be empty
  std::vector<NativeSymbol> symbols;  ///< of every symbol table
  std::vector<Bytes> string_areas;    ///< read-only data, where literals are
  std::string comment;                ///< .comment: which compilers; may be empty
};

/// Whether these first bytes (16 suffice) are those of an ELF or Mach-O file.
[[nodiscard]] bool is_native(Bytes head);

/// Errors: kElf, kTruncated, kTooLarge. 32 and 64 bits, little-endian.
[[nodiscard]] Result<NativeFile> read_elf(Bytes file);
/// One a slice of a fat file. Errors: kMachO, kTruncated, kTooLarge.
[[nodiscard]] Result<std::vector<NativeFile>> read_macho(Bytes file);
/// Either of the two, by its first bytes.
[[nodiscard]] Result<std::vector<NativeFile>> read_native(Bytes file);

}  // namespace mlxguard::inventory
