// SPDX-License-Identifier: Apache-2.0
#include "limits/worker_limits.h"

#include <algorithm>

#include "base/checked.h"
#include "base/limits.h"

namespace mlxguard::limits {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kWorkerMemoryBytesFloor = 512 * kMiB;
constexpr std::uint64_t kModelCopies = 3;
constexpr std::uint64_t kWorkerThreadsFloor = 16;  // mlx starts 5 beside the first
constexpr std::uint64_t kWorkerFilesFloor = 256;

constexpr std::uint64_t kGatewayMemoryBytesFloor = 512 * kMiB;
constexpr std::uint64_t kConnectionBytes = 2 * kMiB;
constexpr std::uint64_t kGatewayThreads = 8;
constexpr std::uint64_t kGatewayFilesFloor = 256;

/// The largest limit that every interface of the kernel takes as a number and not as "none".
constexpr std::uint64_t kMemoryBytesCeiling = 1ull << 62;

std::uint64_t bounded_product_and_sum(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const auto product = checked_mul(a, b);
  const auto sum = product ? checked_add(*product, c) : std::nullopt;
  return std::min(sum.value_or(kMemoryBytesCeiling), kMemoryBytesCeiling);
}

}  // namespace

sandbox::ResourceLimits worker_limits(const WorkerLimitsInput& input) {
  const std::uint64_t threads = std::max<std::uint64_t>(input.threads, 1);
  sandbox::ResourceLimits limits;
  limits.memory_bytes_max =
      input.memory_bytes_max > 0
          ? std::min(input.memory_bytes_max, kMemoryBytesCeiling)
          : bounded_product_and_sum(input.model_bytes, kModelCopies, kWorkerMemoryBytesFloor);
  limits.cpu_cores_max = static_cast<double>(threads);
  limits.pids_max = kWorkerThreadsFloor + 2 * threads;
  limits.file_bytes_max = kIpcPayloadBytesMax;
  const std::uint64_t files = std::min<std::uint64_t>(input.model_files, kModelFilesMax);
  limits.open_files_max = kWorkerFilesFloor + files;
  return limits;
}

sandbox::ResourceLimits gateway_limits(std::uint64_t connections_max) {
  sandbox::ResourceLimits limits;
  limits.memory_bytes_max =
      bounded_product_and_sum(connections_max, kConnectionBytes, kGatewayMemoryBytesFloor);
  limits.cpu_cores_max = 1.0;
  limits.pids_max = kGatewayThreads;
  limits.file_bytes_max = kIpcPayloadBytesMax;
  limits.open_files_max = bounded_product_and_sum(connections_max, 2, kGatewayFilesFloor);
  return limits;
}

}  // namespace mlxguard::limits
