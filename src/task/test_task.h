// SPDX-License-Identifier: Apache-2.0
// For tests of tasks: a request taken from its body to the run of a model, and its parts back.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "task/table.h"
#include "wire/encoding.h"

namespace mlxguard::task::test {

template <class M>
std::vector<std::uint8_t> encoded(M message) {
  wire::Encoder encoder;
  message.visit(encoder);
  return std::move(encoder).take();
}

template <class M>
M decoded(Bytes bytes) {
  M message;
  wire::Decoder decoder(bytes);
  message.visit(decoder);
  REQUIRE(decoder.finish().has_value());
  return message;
}

inline Served served(validate::ModelSchema schema) {
  return {"m", std::make_shared<const validate::ModelSchema>(std::move(schema))};
}

inline Incoming incoming(const Row& row, std::size_t route, std::string_view body, Served model) {
  Incoming incoming;
  incoming.body = body;
  incoming.route = &row.routes[route];
  incoming.model = std::move(model);
  incoming.texts = {.texts_max = 4, .text_bytes_max = 100};
  return incoming;
}

/// The code that a call ends with; empty if it ends well.
inline std::string code_of(Result<std::unique_ptr<call::Run>> run) {
  while (run) {
    const auto step = (*run)->next();
    if (!step) return std::string(name_of(step.error().code));
    if (step->last) return "";
  }
  return std::string(name_of(run.error().code));
}

}  // namespace mlxguard::task::test
