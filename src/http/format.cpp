// SPDX-License-Identifier: Apache-2.0
#include "http/format.h"

#include <fmt/format.h>

#include <array>

namespace mlxguard::http {
namespace {

constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool stays_on_its_line(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

void append_header(std::string& text, const Header& header) {
  MLXGUARD_CHECK(!header.name.empty() && stays_on_its_line(header.name));
  MLXGUARD_CHECK(stays_on_its_line(header.value));
  text.append(header.name).append(": ").append(header.value).append("\r\n");
}

std::string format_head(const ResponseHead& head, std::string_view date, Framing framing,
                        KeepAlive keep_alive) {
  const std::string_view reason = head.reason.empty() ? reason_of(head.status) : head.reason;
  MLXGUARD_CHECK(stays_on_its_line(reason));
  std::string text;
  text.reserve(512);
  text.append("HTTP/1.1 ").append(std::to_string(head.status)).append(" ").append(reason);
  text.append("\r\nDate: ").append(date).append("\r\n");
  for (const Header& header : head.headers) append_header(text, header);
  if (framing == Framing::kLength) {
    text.append("Content-Length: ").append(std::to_string(head.content_length.value_or(0)));
    text.append("\r\n");
  } else if (framing == Framing::kChunked) {
    text.append("Transfer-Encoding: chunked\r\n");
  }
  text.append(keep_alive == KeepAlive::kYes ? "Connection: keep-alive\r\n\r\n"
                                            : "Connection: close\r\n\r\n");
  return text;
}

std::string http_date(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace mlxguard::http
