// SPDX-License-Identifier: Apache-2.0
// Which addresses belong to the inner network: what an upstream's redirect or link must not make
// the mirror connect to.
#pragma once

struct sockaddr;

namespace mlxguard::mirror {

/// Loopback, private, link-local, shared, multicast, unspecified and reserved addresses, also as
/// IPv4 inside IPv6; and every family that is neither.
[[nodiscard]] bool is_inner_address(const sockaddr* address);

}  // namespace mlxguard::mirror
