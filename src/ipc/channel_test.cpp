// SPDX-License-Identifier: Apache-2.0
#include "ipc/channel.h"

#include <doctest/doctest.h>

using namespace mlxguard;

TEST_CASE("channel: a large message arrives whole, through sealed memory") {
  auto ends = ipc::Channel::pair().value();
  ipc::EmbedRequest request;
  request.id = 7;
  request.texts.emplace_back(300'000, 'x');
  REQUIRE(ends.first.send(request).has_value());
  const auto received = ends.second.receive().value().as<ipc::EmbedRequest>().value();
  CHECK(received.id == 7);
  CHECK(received.texts == request.texts);
}
