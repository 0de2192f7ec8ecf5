// SPDX-License-Identifier: Apache-2.0
// `mlxguard-mirror fetch URL FILE`: one download for other commands, so that HTTP and TLS stay in
// this program. Locked like the mirror: it can write below the file's folder and start nothing.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace mlxguard::mirror {

struct FetchOptions {
  std::string url;
  std::filesystem::path file;  ///< made new; removed again if the download fails
  std::string ca_bundle;
};

/// Errors: kUsage (a URL that is not https, nor http on this machine), kMirrorUpstream, kTooLarge,
/// kIo.
[[nodiscard]] Result<void> fetch_to_file(const FetchOptions& options);

}  // namespace mlxguard::mirror
