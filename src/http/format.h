// SPDX-License-Identifier: Apache-2.0
// The bytes of an HTTP/1.1 answer's head. Internal to this library.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace mlxguard::http {

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// How the client finds the end of an answer's body.
enum class Framing : std::uint8_t { kLength, kChunked, kUntilClose, kNoBody };
enum class KeepAlive : std::uint8_t { kYes, kNo };

/// Status line and headers, with the empty line after them. Aborts on a header that could end its
/// own line.
[[nodiscard]] std::string format_head(const ResponseHead& head, std::string_view date,
                                      Framing framing, KeepAlive keep_alive);
/// "name: value" and the end of the line.
void append_header(std::string& text, const Header& header);

/// Of RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::string http_date(std::chrono::sys_seconds time);

}  // namespace mlxguard::http
