// SPDX-License-Identifier: Apache-2.0
// Read off the repository of mlx (github.com/ml-explore/mlx): for each version, the FetchContent
// declarations of its CMake files, the pins of pyproject.toml, and mlx/3rdparty.
#include "inventory/knowledge.h"

#include <charconv>
#include <cstddef>

namespace mlxguard::inventory {
namespace {

using Platform = KnowledgeRow::Platform;

constexpr std::string_view kKnownUntil = "0.32.4";

// clang-format off
constexpr KnowledgeRow kRows[] = {
    {"libmlx", "0.14.0", "0.30.5", Platform::kAll, "fmt",
     "pkg:github/fmtlib/fmt@10.2.1", "10.2.1", "CMakeLists.txt"},
    {"libmlx", "0.30.5", "", Platform::kAll, "fmt",
     "pkg:github/fmtlib/fmt@12.1.0", "12.1.0", "CMakeLists.txt"},
    {"libmlx", "0.0.8", "0.29.0", Platform::kAll, "gguflib",
     "pkg:github/antirez/gguf-tools@af7d88d808a7608a33723fba067036202910acb3", "af7d88d808a7608a33723fba067036202910acb3", "mlx/io/CMakeLists.txt"},
    {"libmlx", "0.29.0", "", Platform::kAll, "gguflib",
     "pkg:github/antirez/gguf-tools@8fa6eb65236618e28fd7710a0fba565f7faa1848", "8fa6eb65236618e28fd7710a0fba565f7faa1848", "mlx/io/CMakeLists.txt"},
    {"libmlx", "0.0.7", "", Platform::kAll, "nlohmann-json",
     "pkg:github/nlohmann/json@v3.11.3", "3.11.3", "CMakeLists.txt"},
    {"libmlx", "0.0.2", "", Platform::kAll, "pocketfft",
     "pkg:github/mreineck/pocketfft", "", "mlx/3rdparty/pocketfft.h"},
    {"libmlx", "0.15.1", "0.22.0", Platform::kDarwin, "metal-cpp",
     "pkg:generic/metal-cpp@macOS15_iOS18-beta", "macOS15_iOS18-beta", "CMakeLists.txt"},
    {"libmlx", "0.22.0", "0.29.4", Platform::kDarwin, "metal-cpp",
     "pkg:generic/metal-cpp@macOS15_iOS18", "macOS15_iOS18", "CMakeLists.txt"},
    {"libmlx", "0.29.4", "", Platform::kDarwin, "metal-cpp",
     "pkg:generic/metal-cpp@26", "26", "CMakeLists.txt"},
    {"libmlx", "0.25.2", "0.30.4", Platform::kCuda, "cccl",
     "pkg:github/nvidia/cccl@v2.8.1", "2.8.1", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.30.4", "", Platform::kCuda, "cccl",
     "pkg:github/nvidia/cccl@v3.1.3", "3.1.3", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.27.0", "0.29.0", Platform::kCuda, "cudnn-frontend",
     "pkg:github/nvidia/cudnn-frontend@v1.12.1", "1.12.1", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.29.0", "0.30.0", Platform::kCuda, "cudnn-frontend",
     "pkg:github/nvidia/cudnn-frontend@v1.14.0", "1.14.0", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.30.0", "", Platform::kCuda, "cudnn-frontend",
     "pkg:github/nvidia/cudnn-frontend@v1.16.0", "1.16.0", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.30.3", "0.30.4", Platform::kCuda, "cutlass",
     "pkg:github/nvidia/cutlass@v4.3.2", "4.3.2", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.30.4", "0.31.2", Platform::kCuda, "cutlass",
     "pkg:github/nvidia/cutlass@v4.3.5", "4.3.5", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.31.2", "", Platform::kCuda, "cutlass",
     "pkg:github/nvidia/cutlass@v4.4.2", "4.4.2", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.25.2", "", Platform::kCuda, "nvtx",
     "pkg:github/nvidia/nvtx@v3.1.1", "3.1.1", "mlx/backend/cuda/CMakeLists.txt"},
    {"libmlx", "0.22.0", "0.30.4", Platform::kWindows, "dlfcn-win32",
     "pkg:github/dlfcn-win32/dlfcn-win32@v1.4.1", "1.4.1", "CMakeLists.txt"},
    {"libmlx", "0.30.4", "", Platform::kWindows, "dlfcn-win32",
     "pkg:github/dlfcn-win32/dlfcn-win32@v1.4.2", "1.4.2", "CMakeLists.txt"},
    {"libmlx", "0.22.0", "0.30.4", Platform::kWindows, "openblas",
     "pkg:github/openmathlib/openblas@v0.3.28", "0.3.28", "CMakeLists.txt"},
    {"libmlx", "0.30.4", "0.32.0", Platform::kWindows, "openblas",
     "pkg:github/openmathlib/openblas@v0.3.31", "0.3.31", "CMakeLists.txt"},
    {"libmlx", "0.32.0", "", Platform::kWindows, "openblas",
     "pkg:github/openmathlib/openblas@v0.3.33", "0.3.33", "CMakeLists.txt"},
    {"core", "0.17.0", "0.18.1", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.1.0", "2.1.0", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.18.1", "0.22.0", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.2.0", "2.2.0", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.22.0", "0.30.1", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.4.0", "2.4.0", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.30.1", "0.31.2", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.10.2", "2.10.2", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.31.2", "0.32.0", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.12.0", "2.12.0", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.32.0", "0.32.3", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.13.0", "2.13.0", "pyproject.toml, CMakeLists.txt"},
    {"core", "0.32.3", "", Platform::kAll, "nanobind",
     "pkg:github/wjakob/nanobind@v2.15.0", "2.15.0", "pyproject.toml, CMakeLists.txt"},
    {"libjaccl", "0.31.0", "", Platform::kAll, "nlohmann-json",
     "pkg:github/nlohmann/json@v3.11.3", "3.11.3", "mlx/distributed/jaccl/lib/CMakeLists.txt"},
};
// clang-format on

/// The next number of a release, whose text is shortened; 0 where it has ended.
unsigned long next_number(std::string_view& release) {
  unsigned long number = 0;
  const auto parsed = std::from_chars(release.data(), release.data() + release.size(), number);
  const auto used = static_cast<std::size_t>(parsed.ptr - release.data());
  release.remove_prefix(used);
  const bool goes_on =
      used > 0 && release.size() > 1 && release[0] == '.' && release[1] >= '0' && release[1] <= '9';
  release = goes_on ? release.substr(1) : std::string_view{};
  return number;
}

}  // namespace

std::span<const KnowledgeRow> knowledge_rows() { return kRows; }

std::string_view knowledge_until() { return kKnownUntil; }

int compare_releases(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const unsigned long x = next_number(a), y = next_number(b);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

std::vector<const KnowledgeRow*> knowledge_of(std::string_view library,
                                              std::string_view mlx_version, Platform platform) {
  std::vector<const KnowledgeRow*> rows;
  for (const KnowledgeRow& row : kRows) {
    if (row.library != library) continue;
    if (row.platform != Platform::kAll && row.platform != platform) continue;
    if (compare_releases(mlx_version, row.first) < 0) continue;
    if (!row.until.empty() && compare_releases(mlx_version, row.until) >= 0) continue;
    rows.push_back(&row);
  }
  return rows;
}

}  // namespace mlxguard::inventory
