// SPDX-License-Identifier: Apache-2.0
#include "engine/runtime.h"

#include <dlfcn.h>
#include <mlx/compile.h>
#include <mlx/memory.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <mlx/version.h>

#include <array>
#include <charconv>

#include "engine/mlx_guard.h"

// OpenBLAS's own calls; Debian's runtime package has no header.
extern "C" {
void openblas_set_num_threads(int threads);
char* openblas_get_config(void);
char* openblas_get_corename(void);
}

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

using Version = std::array<unsigned, 3>;

/// Exactly "N.N.N".
std::optional<Version> parse_version(std::string_view text) {
  Version version{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < version.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const auto parsed = std::from_chars(at, end, version[i]);
    if (parsed.ec != std::errc{}) return std::nullopt;
    at = parsed.ptr;
  }
  if (at != end) return std::nullopt;
  return version;
}

/// Kept for reuse between requests; without it every large intermediate is a page fault for each
/// page.
constexpr std::size_t kCacheBytesMax = 256u << 20;

}  // namespace

Result<void> check_mlx_version(std::string_view version) {
  const auto found = parse_version(version);
  if (found && *found >= *parse_version(kMlxVersionMin)) return {};
  return make_error(ErrorCode::kEngineVersion,
                    "the mlx runtime is older than the oldest tested, or "
                    "not a release")
      .compared(std::string(kMlxVersionMin) + " or newer", std::string(version));
}

Result<void> prepare_runtime() {
  MLXGUARD_TRY(check_mlx_version(mx::version()));
  mx::disable_compile();
  // The allocator asks the kernel for the machine's memory when it is first used.
  static_cast<void>(mx::get_memory_limit());
  return {};
}

Result<void> start_runtime(std::uint32_t threads) {
  openblas_set_num_threads(static_cast<int>(threads));
  return stop_exceptions(ErrorCode::kEngineRun, [&]() -> Result<void> {
    mx::set_cache_limit(kCacheBytesMax);
    // The first evaluation starts the stream's thread.
    mx::eval(mx::add(mx::array(1.0f), mx::array(2.0f)));
    return {};
  });
}

std::string blas_library() {
  Dl_info info{};
  // dlsym asks in the order in which libmlx's own reference was resolved.
  void* const symbol = ::dlsym(RTLD_DEFAULT, "cblas_sgemm");
  if (symbol == nullptr || ::dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return {};
  return info.dli_fname;
}

std::string describe_runtime() {
  std::string text = "mlx " + std::string(mx::version()) + ", ";
  if (blas_library().find("openblas") == std::string::npos) return text + "reference BLAS";
  const std::string config =
      openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
  const auto after_version = config.find(' ', config.find(' ') + 1);
  return text + config.substr(0, after_version) + " " + openblas_get_corename();
}

}  // namespace mlxguard::engine
