// SPDX-License-Identifier: Apache-2.0
#include "addresses.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace mlxguard::mirror {
namespace {

struct Network {
  std::uint32_t address;
  unsigned bits;
};

constexpr std::uint32_t v4(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 24 | b << 16 | c << 8 | d;
}

constexpr std::array<Network, 11> kInner = {{
    {v4(0, 0, 0, 0), 8},       // this host
    {v4(10, 0, 0, 0), 8},      // private
    {v4(100, 64, 0, 0), 10},   // shared, behind a carrier's translation
    {v4(127, 0, 0, 0), 8},     // loopback
    {v4(169, 254, 0, 0), 16},  // link-local: where clouds answer with credentials
    {v4(172, 16, 0, 0), 12},   // private
    {v4(192, 0, 0, 0), 24},    // protocol assignments
    {v4(192, 168, 0, 0), 16},  // private
    {v4(198, 18, 0, 0), 15},   // benchmarks of inner networks
    {v4(224, 0, 0, 0), 4},     // multicast
    {v4(240, 0, 0, 0), 4},     // reserved, broadcast
}};

bool is_inner_v4(std::uint32_t address) {
  return std::any_of(kInner.begin(), kInner.end(), [&](const Network& network) {
    return (address ^ network.address) >> (32 - network.bits) == 0;
  });
}

bool is_inner_v6(const in6_addr& address) {
  const std::uint8_t* bytes = address.s6_addr;
  const auto embedded = [&](std::size_t at) {
    return v4(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
  };
  if (IN6_IS_ADDR_V4MAPPED(&address)) return is_inner_v4(embedded(12));
  static constexpr std::uint8_t kTranslated[12] = {0, 0x64, 0xff, 0x9b};  // 64:ff9b::/96
  if (std::equal(std::begin(kTranslated), std::end(kTranslated), bytes)) {
    return is_inner_v4(embedded(12));
  }
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return is_inner_v4(embedded(2));  // 6to4
  // Only 2000::/3 is global unicast; what else there is stays inside of something.
  return (bytes[0] & 0xe0) != 0x20;
}

}  // namespace

bool is_inner_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4_address{};
    std::memcpy(&v4_address, address, sizeof(v4_address));
    return is_inner_v4(ntohl(v4_address.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6_address{};
    std::memcpy(&v6_address, address, sizeof(v6_address));
    return is_inner_v6(v6_address.sin6_addr);
  }
  return true;
}

bool is_inner_text(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  const bool inner = is_inner_address(found->ai_addr);
  ::freeaddrinfo(found);
  return inner;
}

}  // namespace mlxguard::mirror
