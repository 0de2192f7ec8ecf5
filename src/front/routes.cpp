// SPDX-License-Identifier: Apache-2.0
#include "front/routes.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/percent.h"

namespace mlxguard::front {
namespace {

// clang-format off
constexpr std::array kRoutes{
    Route{"GET",  "/healthz",                           Access::kOpen,  Protocol::kOpenAi,    Purpose::kAlive},
    Route{"GET",  "/v1/models",                         Access::kKeyed, Protocol::kOpenAi,    Purpose::kOpenAiModels},
    Route{"GET",  "/v1/models/{model}",                 Access::kKeyed, Protocol::kOpenAi,    Purpose::kOpenAiModel},
    Route{"GET",  "/v2",                                Access::kKeyed, Protocol::kInference, Purpose::kServerMetadata},
    Route{"GET",  "/v2/health/live",                    Access::kOpen,  Protocol::kInference, Purpose::kAlive},
    Route{"GET",  "/v2/health/ready",                   Access::kOpen,  Protocol::kInference, Purpose::kReady},
    Route{"GET",  "/v2/models/{model}",                 Access::kKeyed, Protocol::kInference, Purpose::kModelMetadata},
    Route{"GET",  "/v2/models/{model}/versions/1",      Access::kKeyed, Protocol::kInference, Purpose::kModelMetadata},
    Route{"GET",  "/v2/models/{model}/ready",           Access::kKeyed, Protocol::kInference, Purpose::kModelReady},
    Route{"GET",  "/v2/models/{model}/versions/1/ready", Access::kKeyed, Protocol::kInference, Purpose::kModelReady},
};
// clang-format on

constexpr std::string_view kModelSegment = "{model}";

/// Takes the next segment off `path`; both start with '/'.
std::string_view next_segment(std::string_view& path) {
  const std::size_t end = path.find('/', 1);
  const std::string_view segment = path.substr(1, end == std::string_view::npos ? end : end - 1);
  path = end == std::string_view::npos ? std::string_view() : path.substr(end);
  return segment;
}

/// What "{model}" stands for if `path` fits `pattern`; an empty view if the pattern has none.
std::optional<std::string_view> fit(std::string_view pattern, std::string_view path) {
  std::string_view model;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_segment(pattern);
    const std::string_view found = next_segment(path);
    if (wanted == kModelSegment) {
      if (found.empty()) return std::nullopt;
      model = found;
    } else if (wanted != found) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return model;
}

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

}  // namespace

Router::Router(std::span<const task::Row> rows) : routes_(kRoutes.begin(), kRoutes.end()) {
  for (const task::Row& row : rows) {
    for (const task::Route& route : row.routes) {
      // Tasks share a path where the kind of the model tells them apart.
      const bool known = std::any_of(routes_.begin(), routes_.end(), [&](const Route& one) {
        return one.purpose == Purpose::kTask && one.pattern == route.pattern;
      });
      if (known) continue;
      routes_.push_back(
          {"POST", route.pattern, Access::kKeyed, route.protocol, Purpose::kTask, &route});
    }
  }
}

Protocol protocol_of(std::string_view target) {
  const std::string_view path = path_of(target);
  return path == "/v2" || path.starts_with("/v2/") ? Protocol::kInference : Protocol::kOpenAi;
}

Result<Match> Router::find(std::string_view method, std::string_view target) const {
  const std::string_view path = path_of(target);
  std::string allowed;
  if (!path.starts_with('/')) return make_error(ErrorCode::kRouteUnknown, "no such path");
  for (const Route& route : routes_) {
    const auto model = fit(route.pattern, path);
    if (!model) continue;
    if (route.method != method) {
      allowed.append(allowed.empty() ? "" : ", ").append(route.method);
      continue;
    }
    auto decoded = percent_decode(*model);
    if (!decoded) break;
    return Match{&route, std::move(*decoded)};
  }
  if (allowed.empty()) return make_error(ErrorCode::kRouteUnknown, "no such path");
  return make_error(ErrorCode::kMethodNotAllowed, "this path takes " + allowed)
      .compared(allowed, "");
}

}  // namespace mlxguard::front
