// SPDX-License-Identifier: Apache-2.0
// What an operator can set of the texts in a request.
#pragma once

#include <cstdint>

#include "base/setting.h"

namespace mlxguard::validate {

struct TextSettings {
  static constexpr std::string_view kTable = "limits";
  std::int64_t texts_max = 2048;
  std::int64_t text_bytes_max = 1 << 20;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.integer({"texts_max", "texts in one embeddings request"}, texts_max, {1, 100'000});
    visitor.integer({"text_bytes_max", "bytes of one text"}, text_bytes_max, {1, 1 << 26});
  }
};

}  // namespace mlxguard::validate
