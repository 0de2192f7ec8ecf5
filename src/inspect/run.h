// SPDX-License-Identifier: Apache-2.0
// Inspection of a whole model: everything its folder holds, each file's content by an Inspector.
// Its answer is a value that policies, people and SARIF viewers read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "inspect/finding.h"
#include "inspect/inspector.h"

namespace mlxguard::inspect {

using Progress = std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)>;

/// A folder or single file on disk, nothing of which is trusted. Errors: kArtifactNotFound,
/// kPermission, and what the Inspector fails with; a file that cannot be inspected is no error but
/// a gap.
[[nodiscard]] Result<Report> run(const std::filesystem::path& model, Inspector& inspector,
                                 const Progress& progress = {});

/// A file that is open already: sealed memory of a verified model. `fd` stays the caller's.
struct OpenFile {
  std::string name;
  int fd = -1;
  std::uint64_t size_bytes = 0;
};
/// The contents alone: links and modes are not those of the folder any more.
[[nodiscard]] Result<Report> run_open(std::span<const OpenFile> files, Inspector& inspector,
                                      const Progress& progress = {});

}  // namespace mlxguard::inspect
