// SPDX-License-Identifier: Apache-2.0
// The mlx runtime of this process: is it new enough, how many threads, how much it may keep.
// Two steps, because a thread that exists before the sandbox closes would stay outside of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::engine {

/// The oldest mlx whose evaluation reports a failing read; older ones go on with unread memory.
inline constexpr std::string_view kMlxVersionMin = "0.32.1";

/// kEngineVersion unless `version` is three numbers, not less than kMlxVersionMin. Builds with a
/// suffix
/// (".dev...") are refused: what they contain is not known.
[[nodiscard]] Result<void> check_mlx_version(std::string_view version);

/// Before the lock: checks the runtime, turns mlx's just-in-time compiler off for good (on CPU it
/// runs a compiler and loads what lies in the temp folder), reads what mlx wants to know of the
/// machine. Starts no thread, given OPENBLAS_NUM_THREADS=1 in the environment at exec. Errors:
/// kEngineVersion.
[[nodiscard]] Result<void> prepare_runtime();

/// After the lock: starts the threads that mlx and BLAS compute with.
/// Errors: kEngineRun.
[[nodiscard]] Result<void> start_runtime(std::uint32_t threads);

/// Such as "mlx 0.32.4, OpenBLAS 0.3.21 Haswell": what serves mlx's BLAS calls is found out, not
/// assumed.
[[nodiscard]] std::string describe_runtime();

/// The path of the library that the symbol cblas_sgemm, as mlx calls it, resolves to.
[[nodiscard]] std::string blas_library();

}  // namespace mlxguard::engine
