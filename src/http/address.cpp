// SPDX-License-Identifier: Apache-2.0
#include "http/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace mlxguard::http {
namespace {

Result<ListenAddress> parse_unix(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return make_error(ErrorCode::kConfig, "expected the path of a Unix socket after unix:")
        .about("listen")
        .hinting("write unix:/run/mlxguard.sock");
  }
  ListenAddress address;
  address.unix_path = path;
  address.loopback = true;
  return address;
}

Result<ListenAddress> parse_inherited(std::string_view number) {
  int fd = -1;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), fd);
  // 0, 1 and 2 are the standard streams.
  if (problem != std::errc{} || end != number.data() + number.size() || fd < 3) {
    return make_error(ErrorCode::kConfig, "expected a descriptor of 3 or more after fd://")
        .about("listen")
        .hinting("write fd://3");
  }
  ListenAddress address;
  address.inherited_fd = fd;
  return address;
}

}  // namespace

Result<ListenAddress> parse_listen(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kInherited = "fd://";
  if (text.starts_with(kUnix)) return parse_unix(text.substr(kUnix.size()));
  if (text.starts_with(kInherited)) return parse_inherited(text.substr(kInherited.size()));
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
        .hinting("write 127.0.0.1:8443, [::1]:8443, unix:/run/mlxguard.sock or fd://3");
  }
  if (problem != std::errc{} || end != port_text.data() + port_text.size()) {
    return make_error(ErrorCode::kConfig, "expected a port from 0 to 65535").about("listen");
  }
  address.host = std::move(host);
  return address;
}

}  // namespace mlxguard::http
