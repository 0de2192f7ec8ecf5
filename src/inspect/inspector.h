// SPDX-License-Identifier: Apache-2.0
// Inspector: whoever looks at one file's bytes. In production a locked process
// (launch/inspector_process); in tests, and inside that process, the function itself.
#pragma once

#include "base/result.h"
#include "inspect/finding.h"
#include "inspect/inspect_file.h"

namespace mlxguard::inspect {

class Inspector {
 public:
  Inspector() = default;
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;
  virtual ~Inspector() = default;
  /// `fd` is open for reading and stays the caller's. What goes wrong with this one file is a gap
  /// of its report; an error is for what makes every further file useless (no sandbox, no program).
  [[nodiscard]] virtual Result<FileReport> inspect(int fd, std::uint64_t size_bytes,
                                                   const FileContext& context) = 0;
};

/// Maps the file and looks at it in this very process. For the inspector process and for tests.
class LocalInspector final : public Inspector {
 public:
  [[nodiscard]] Result<FileReport> inspect(int fd, std::uint64_t size_bytes,
                                           const FileContext& context) override;
};

}  // namespace mlxguard::inspect
