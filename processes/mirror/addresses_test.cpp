// SPDX-License-Identifier: Apache-2.0
#include "addresses.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/un.h>

#include <string>

using namespace mlxguard::mirror;

namespace {
bool inner(const std::string& text) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    return is_inner_address(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  REQUIRE(::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1);
  return is_inner_address(reinterpret_cast<const sockaddr*>(&v6));
}
}  // namespace

TEST_CASE("addresses: what is inside of a network is inner, in every spelling") {
  for (const char* address : {"127.0.0.1",
                              "127.255.0.1",
                              "10.1.2.3",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.0.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "0.0.0.0",
                              "224.0.0.1",
                              "255.255.255.255",
                              "::1",
                              "::",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "64:ff9b::10.0.0.1",
                              "2002:7f00:1::"}) {
    CAPTURE(address);
    CHECK(inner(address));
  }
}

TEST_CASE("addresses: what is outside is not") {
  for (const char* address : {"1.1.1.1", "151.101.0.223", "172.32.0.1", "100.128.0.1",
                              "192.169.0.1", "2a04:4e42::223", "2001:4860::1"}) {
    CAPTURE(address);
    CHECK_FALSE(inner(address));
  }
}

TEST_CASE("addresses: other families are inner") {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  CHECK(is_inner_address(reinterpret_cast<const sockaddr*>(&local)));
}

TEST_CASE("addresses: a host in a URL that is an inner address in any spelling") {
  for (const char* host :
       {"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "169.254.169.254", "::1",
        "::ffff:10.0.0.1", "localhost", "a.localhost"}) {
    CAPTURE(host);
    CHECK(is_inner_text(host));
  }
  for (const char* host : {"1.1.1.1", "index.example", "localhost.example", "2a04:4e42::223"}) {
    CAPTURE(host);
    CHECK_FALSE(is_inner_text(host));
  }
}
