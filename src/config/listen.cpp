// SPDX-License-Identifier: Apache-2.0
// Where the server listens, and whether others may reach it there.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/config.h"

namespace mlxguard::config {

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return make_error(ErrorCode::kConfig, "expected ADDRESS:PORT to listen on, found no port")
        .about("listen");
  }
  std::string host(text.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") host = "127.0.0.1";
  const std::string_view port_text = text.substr(colon + 1);
  ListenAddress address;
  const auto [end, problem] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), address.port);
  std::array<std::uint8_t, 16> raw{};
  if (::inet_pton(AF_INET, host.c_str(), raw.data()) == 1) {
    address.loopback = raw[0] == 127;
  } else if (::inet_pton(AF_INET6, host.c_str(), raw.data()) == 1) {
    address.loopback =
        std::all_of(raw.begin(), raw.end() - 1, [](auto b) { return b == 0; }) && raw.back() == 1;
  } else {
    return make_error(ErrorCode::kConfig, "expected an IPv4 or IPv6 address to listen on")
        .about("listen")
        .hinting("write 127.0.0.1:8443 or [::1]:8443");
  }
  if (problem != std::errc{} || end != port_text.data() + port_text.size()) {
    return make_error(ErrorCode::kConfig, "expected a port from 0 to 65535").about("listen");
  }
  address.host = std::move(host);
  return address;
}

Result<void> check_exposure(const ServeConfig& config) {
  if (config.tls.certificate.empty() != config.tls.private_key.empty()) {
    return make_error(ErrorCode::kConfig, "expected both a TLS certificate and its private key");
  }
  MLXGUARD_TRY_ASSIGN(const ListenAddress address, parse_listen(config.server.listen));
  if (address.loopback) return {};
  if (config.tls.certificate.empty() || config.server.allow_anonymous) {
    return make_error(ErrorCode::kListenUnsafe, "refusing to listen on " + config.server.listen +
                                                    " without " +
                                                    (config.server.allow_anonymous ? "API keys"
                                                                                   : "TLS"))
        .about("listen")
        .hinting(
            "set [tls] certificate and private_key and keep API keys on, or listen on 127.0.0.1");
  }
  return {};
}

}  // namespace mlxguard::config
