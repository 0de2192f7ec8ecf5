// SPDX-License-Identifier: Apache-2.0
// Every path the gateway answers, as one table. A request's method and target find at most one row.
// Input: a request target chosen by a client.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::gateway {

/// Whose form an error takes.
enum class Protocol : std::uint8_t { kOpenAi, kInference };

enum class Access : std::uint8_t { kOpen, kKeyed };

enum class Handler : std::uint8_t {
  kAlive,  ///< the gateway answers
  kReady,  ///< every model is ready
  kOpenAiModels,
  kOpenAiModel,
  kEmbeddings,
  kServerMetadata,
  kModelMetadata,
  kModelReady,
  kInfer,
};

struct Route {
  std::string_view method;
  std::string_view pattern;  ///< "{model}" stands for one segment
  Access access;
  Protocol protocol;
  Handler handler;
};

[[nodiscard]] std::span<const Route> all_routes();

struct Match {
  const Route* route = nullptr;
  std::string model;  ///< the "{model}" segment, percent-decoded
};

/// The query is ignored. Errors: kRouteUnknown; kMethodNotAllowed, with `expected` the methods that
/// the path takes.
[[nodiscard]] Result<Match> find_route(std::string_view method, std::string_view target);

/// Of a path that may have no route: errors below /v2 take the inference protocol's form.
[[nodiscard]] Protocol protocol_of(std::string_view target);

}  // namespace mlxguard::gateway
