// SPDX-License-Identifier: Apache-2.0
// Any bytes as JSON: what the strict reader accepts has no duplicate keys and only valid UTF-8, is
// not nested deeper than allowed, and reads back the same after it is written.
#include <cstdint>
#include <set>
#include <string>

#include "base/check.h"
#include "codec/json.h"
#include "codec/text.h"

using namespace mlxguard;

namespace {

constexpr std::size_t kDepthMax = 16;

void check_value(const codec::JsonValue& value, std::size_t depth_left) {
  switch (value.kind()) {
    case codec::JsonKind::kObject: {
      MLXGUARD_CHECK(depth_left > 0);
      std::set<std::string_view> keys;
      const auto member = [&](std::string_view key, codec::JsonValue inner) -> Result<void> {
        MLXGUARD_CHECK(codec::is_utf8(key) && keys.insert(key).second);
        MLXGUARD_CHECK(value.find(key).has_value());
        check_value(inner, depth_left - 1);
        return {};
      };
      MLXGUARD_CHECK(value.each_member(member).has_value() && keys.size() == value.size());
      return;
    }
    case codec::JsonKind::kArray: {
      MLXGUARD_CHECK(depth_left > 0);
      const auto element = [&](std::size_t, codec::JsonValue inner) -> Result<void> {
        check_value(inner, depth_left - 1);
        return {};
      };
      MLXGUARD_CHECK(value.each_element(element).has_value());
      return;
    }
    case codec::JsonKind::kString: {
      const auto text = value.as_string();
      MLXGUARD_CHECK(text.has_value() && codec::is_utf8(*text));
      return;
    }
    case codec::JsonKind::kInteger:
      MLXGUARD_CHECK(value.as_int64().has_value() || value.as_uint64().has_value());
      return;
    default:
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const codec::JsonLimits limits{.bytes_max = 8 << 20, .depth_max = kDepthMax};
  const auto document = codec::JsonDocument::parse(text, limits);
  if (!document) return 0;
  MLXGUARD_CHECK(codec::is_utf8(text));
  check_value(document->root(), kDepthMax);
  const std::string written = document->root().dump();
  const auto again = codec::JsonDocument::parse(written, limits);
  MLXGUARD_CHECK(again.has_value());
  MLXGUARD_CHECK(again->root().dump() == written);
  return 0;
}
