// SPDX-License-Identifier: Apache-2.0
// What an operator can set of the HTTP server.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/setting.h"

namespace mlxguard::http {

struct TlsSettings {
  static constexpr std::string_view kTable = "tls";
  std::filesystem::path certificate;  ///< empty: no TLS
  std::filesystem::path private_key;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.path({"certificate", "PEM chain, leaf first", "server.pem"}, certificate);
    visitor.path({"private_key", "PEM key of the leaf", "server.key"}, private_key);
  }
};

struct LimitSettings {
  static constexpr std::string_view kTable = "limits";
  std::int64_t body_bytes_max = 64 << 20;
  std::int64_t header_bytes_max = 16 << 10;
  std::int64_t connections_max = 1024;
  std::int64_t header_timeout_ms = 10'000;
  std::int64_t idle_timeout_ms = 60'000;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.integer({"body_bytes_max", "largest request body"}, body_bytes_max, {1024, 1 << 28});
    visitor.integer({"header_bytes_max", "largest request head"}, header_bytes_max,
                    {1024, 1 << 20});
    visitor.integer({"connections_max", "open connections; beyond: 503 with Retry-After"},
                    connections_max, {1, 100'000});
    visitor.integer({"header_timeout_ms", "time for a request's head to arrive"},
                    header_timeout_ms, kDurationMsBounds);
    visitor.integer({"idle_timeout_ms", "time a connection may wait between requests"},
                    idle_timeout_ms, kDurationMsBounds);
  }
};

}  // namespace mlxguard::http
