// SPDX-License-Identifier: Apache-2.0
// From shared libraries to components: which libraries lie in the wheel, which of the machine's
// they need, and what was linked into them, each with the evidence for it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/builder.h"
#include "inventory/fingerprints.h"
#include "inventory/native_file.h"

namespace mlxguard::inventory {

/// What is kept of a native file once its bytes are gone.
struct NativeSummary {
  NativeFile::Format format = NativeFile::Format::kElf;
  std::string architecture;
  std::string soname;
  std::string version;
  std::vector<NativeFile::Needed> needed;
  std::vector<std::string> search;
  std::string build_id;
  std::string comment;
  std::vector<Fingerprint> fingerprints;
};

/// One a slice. Errors: as read_native.
[[nodiscard]] Result<std::vector<NativeSummary>> summarize(Bytes file);

/// A package that has native files; empty purl: files that no package lists.
struct NativeOwner {
  std::string purl;
  std::string name;  ///< normalised
  std::string version;
  std::set<std::string> embedded;  ///< purls of the SBOMs that it carries
};

struct NativeEntry {
  std::string path;    ///< relative to the root
  std::string sha256;  ///< lowercase hex
  std::size_t owner = 0;
  std::vector<NativeSummary> slices;
};

/// Names a library of the machine that is not in the environment; see system_libraries.h.
class SystemLibraries {
 public:
  virtual ~SystemLibraries() = default;
  /// Adds the library (and what it needs) to the builder; its purl.
  [[nodiscard]] virtual std::string add(Builder& builder, const NativeFile::Needed& needed,
                                        const NativeSummary& by) = 0;
};

/// Knows nothing of a machine: a library is a name without a version. For wheels.
class UnknownSystem final : public SystemLibraries {
 public:
  [[nodiscard]] std::string add(Builder& builder, const NativeFile::Needed& needed,
                                const NativeSummary& by) override;
};

/// Adds components, evidence and needs for all `files`.
void add_native_parts(Builder& builder, const std::vector<NativeOwner>& owners,
                      const std::vector<NativeEntry>& files, SystemLibraries& system);

struct LibraryName {
  std::string stem;     ///< "liblapack"
  std::string version;  ///< "3.10.0": what follows .so., or stands before .dylib
  bool hashed = false;  ///< a tool that repairs wheels put a hash in
};
/// "liblapack-86b2c207.so.3.10.0" in parts.
[[nodiscard]] LibraryName split_library_name(std::string_view file_name);
/// Whether a shared library came from elsewhere and was copied in, by where it is and how it is
/// named.
[[nodiscard]] bool is_copied_in(std::string_view path);

}  // namespace mlxguard::inventory
