// SPDX-License-Identifier: Apache-2.0
// Which addresses belong to the inner network: what an upstream's redirect or link must not make
// the mirror connect to.
#pragma once

#include <string>

struct sockaddr;

namespace mlxguard::mirror {

/// Loopback, private, link-local, shared, multicast, unspecified and reserved addresses, also as
/// IPv4 inside IPv6; and every family that is neither.
[[nodiscard]] bool is_inner_address(const sockaddr* address);
/// The same of a host as a URL has it: an address in any form that the C library takes ("127.1",
/// "0x7f000001"), or "localhost" and names below it. Other names are not resolved here.
[[nodiscard]] bool is_inner_text(const std::string& host);

}  // namespace mlxguard::mirror
