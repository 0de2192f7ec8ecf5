// SPDX-License-Identifier: Apache-2.0
// Every path that is answered: a table of those that only look, and the paths of the tasks' rows. A
// request's method and target find at most one route.
// Input: a request target chosen by a client.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "task/table.h"

namespace mlxguard::front {

using task::Protocol;

enum class Access : std::uint8_t { kOpen, kKeyed };

enum class Purpose : std::uint8_t {
  kAlive,  ///< the gateway answers
  kReady,  ///< every model is ready
  kOpenAiModels,
  kOpenAiModel,
  kServerMetadata,
  kModelMetadata,
  kModelReady,
  kTask,  ///< a request to a model
};

struct Route {
  std::string_view method;
  std::string_view pattern;  ///< "{model}" stands for one segment
  Access access;
  Protocol protocol;
  Purpose purpose;
  const task::Route* task_route = nullptr;  ///< of kTask
};

struct Match {
  const Route* route = nullptr;  ///< lives as long as its Router
  std::string model;  ///< the "{model}" segment, percent-decoded
};

class Router {
 public:
  /// `rows` outlive it.
  explicit Router(std::span<const task::Row> rows);
  /// The query is ignored. Errors: kRouteUnknown; kMethodNotAllowed, with `expected` the methods
  /// that the path takes.
  [[nodiscard]] Result<Match> find(std::string_view method, std::string_view target) const;
  [[nodiscard]] std::span<const Route> routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

/// Of a path that may have no route: errors below /v2 take the inference protocol's form.
[[nodiscard]] Protocol protocol_of(std::string_view target);

}  // namespace mlxguard::front
