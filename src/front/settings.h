// SPDX-License-Identifier: Apache-2.0
// What an operator can set of one API key's share of the server.
#pragma once

#include <cstdint>

#include "base/setting.h"

namespace mlxguard::front {

struct RateSettings {
  static constexpr std::string_view kTable = "limits";
  std::int64_t requests_per_second_max = 0;
  std::int64_t requests_concurrent_max = 0;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.integer({"requests_per_second_max",
                     "of one API key; a second's worth may come at once; beyond: 429 with "
                     "Retry-After; 0: no bound"},
                    requests_per_second_max, {0, 1'000'000});
    visitor.integer({"requests_concurrent_max",
                     "of one API key, waiting or running; beyond: 429 with Retry-After; 0: no "
                     "bound"},
                    requests_concurrent_max, {0, 1'000'000});
  }
};

}  // namespace mlxguard::front
