// SPDX-License-Identifier: Apache-2.0
// Bounds on what the processes that we start may send and write: each may be compromised, so its
// receiver enforces them. Bounds on other input are in base/limits.h.
#pragma once

#include <cstddef>

namespace mlxguard::limits {

// What a process that may be compromised may send to the supervisor
inline constexpr std::size_t kWorkerControlBytesMax = 1u << 20;  // a message; most of it a schema
inline constexpr std::size_t kGatewayControlBytesMax = 32u << 10;
inline constexpr std::size_t kControlMessagesPerTurn = 64;  // before other descriptors are served
inline constexpr std::size_t kWorkerTextBytesMax = 4096;    // its runtime, isolation or failure
// Events that the gateway has reported and that are not yet acknowledged. At `kEventsShedAt` it
// refuses requests; one that is refused may still report two.
inline constexpr std::size_t kEventsShedAt = 4096;
inline constexpr std::size_t kEventWindow = kEventsShedAt + 2;
inline constexpr std::size_t kEventWindowBytes = kEventWindow * (6u << 10);
inline constexpr std::size_t kReportedTextBytesMax = 512;
inline constexpr std::size_t kReportedAttributesMax = 32;

// What a process that we started writes to its standard output and error
inline constexpr std::size_t kProcessOutputBytesPerSecond = 16u << 10;
inline constexpr std::size_t kProcessOutputBytesMax = 256u << 10;  // shown, over its life
inline constexpr std::size_t kProcessOutputBytesAtEnd = 64u << 10;  // left in the pipe at its death
inline constexpr std::size_t kProcessOutputLineBytesMax = 512;

}  // namespace mlxguard::limits
