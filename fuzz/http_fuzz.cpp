// SPDX-License-Identifier: Apache-2.0
// Any bytes as HTTP, in pieces whose size the first byte chooses. However they are cut, the same
// request comes out or the same refusal, within its bounds.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "http/parser.h"

namespace {

using namespace mlxguard;
using namespace mlxguard::http;

const RequestLimits kLimits{.header_bytes_max = 2048, .body_bytes_max = 512};

struct Outcome {
  bool refused = false;
  bool done = false;
  RequestHead head;
  std::string body;
};

Outcome parse(std::string_view text, std::size_t step) {
  RequestParser parser(kLimits);
  Outcome outcome;
  std::string unread;
  for (std::size_t at = 0; at < text.size() && !parser.done() && !outcome.refused;) {
    const std::size_t count = std::min(step, text.size() - at);
    unread.append(text.substr(at, count));
    at += count;
    for (int pass = 0; pass < 2 && !outcome.refused; ++pass) {
      const auto used = parser.feed({unread.data(), unread.size()});
      outcome.refused = !used.has_value();
      if (!used) break;
      MLXGUARD_CHECK(*used <= unread.size());
      unread.erase(0, *used);
      if (parser.has_head()) parser.read_body();
    }
  }
  outcome.done = parser.done();
  outcome.head = parser.head();
  outcome.body = parser.body();
  MLXGUARD_CHECK(outcome.body.size() <= kLimits.body_bytes_max);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = parse(text, text.size() + 1);
  const Outcome pieces = parse(text, data[0] % 64 + 1u);
  if (!whole.done || !pieces.done) return 0;
  MLXGUARD_CHECK(whole.head.method == pieces.head.method);
  MLXGUARD_CHECK(whole.head.target == pieces.head.target);
  MLXGUARD_CHECK(whole.body == pieces.body);
  MLXGUARD_CHECK(whole.head.headers.size() == pieces.head.headers.size());
  MLXGUARD_CHECK(whole.head.headers.joined("authorization") ==
                 pieces.head.headers.joined("authorization"));
  return 0;
}
