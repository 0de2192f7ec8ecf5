// SPDX-License-Identifier: Apache-2.0
#include "codec/text.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

namespace mlxguard::codec {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> reverse(std::string_view digits) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    table[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}
constexpr auto kHexValues = reverse(kHexDigits);
constexpr auto kBase64Values = reverse(kBase64Digits);

int value_of(const std::array<std::int8_t, 256>& table, char c) {
  return table[static_cast<unsigned char>(c)];
}

/// Digits only, exactly `text.size()` of them.
std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string to_hex(Bytes bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out.push_back(kHexDigits[byte >> 4]);
    out.push_back(kHexDigits[byte & 15]);
  }
  return out;
}

Result<ByteVector> from_hex(std::string_view text) {
  ByteVector out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const int high = value_of(kHexValues, text[i]);
    const int low = value_of(kHexValues, text[i + 1]);
    if (high < 0 || low < 0) break;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  if (out.size() * 2 != text.size()) {
    return make_error(ErrorCode::kHex, "expected pairs of lowercase hexadecimal digits");
  }
  return out;
}

std::string to_base64(Bytes bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0u);
    for (std::size_t j = 0; j < 4; ++j) {
      out.push_back(j <= count ? kBase64Digits[group >> (18 - 6 * j) & 63] : '=');
    }
  }
  return out;
}

Result<ByteVector> from_base64(std::string_view text) {
  const auto invalid = [] {
    return make_error(ErrorCode::kBase64, "expected canonical base64 with padding");
  };
  if (text.size() % 4 != 0) return invalid();
  ByteVector out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t count = 4;
    if (i + 4 == text.size()) {
      if (text[i + 3] == '=') count = text[i + 2] == '=' ? 2 : 3;
    }
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const int value = j < count ? value_of(kBase64Values, text[i + j]) : 0;
      if (value < 0) return invalid();
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    // Bits behind the last byte must be zero, or two texts would mean the same bytes.
    if ((count == 2 && (group & 0xFFFF) != 0) || (count == 3 && (group & 0xFF) != 0)) {
      return invalid();
    }
    for (std::size_t j = 0; j + 1 < count; ++j) {
      out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * j)));
    }
  }
  return out;
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string to_rfc3339(std::int64_t milliseconds_since_epoch) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(milliseconds_since_epoch)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

Result<std::int64_t> from_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto invalid = [] {
    return make_error(ErrorCode::kJsonSyntax,
                      "expected a UTC time such as 2026-01-31 or 2026-01-31T12:00:00Z");
  };
  if (text.size() < 10 || text[4] != '-' || text[7] != '-') return invalid();
  const auto y = digits(text.substr(0, 4));
  const auto m = digits(text.substr(5, 2));
  const auto d = digits(text.substr(8, 2));
  if (!y || !m || !d) return invalid();
  const year_month_day date{year(*y), month(static_cast<unsigned>(*m)),
                            day(static_cast<unsigned>(*d))};
  if (!date.ok()) return invalid();
  milliseconds total = sys_days(date).time_since_epoch();
  if (text.size() == 10) return total.count();

  if (text.size() < 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text.back() != 'Z') {
    return invalid();
  }
  const auto h = digits(text.substr(11, 2));
  const auto min = digits(text.substr(14, 2));
  const auto s = digits(text.substr(17, 2));
  if (!h || !min || !s || *h > 23 || *min > 59 || *s > 59) return invalid();
  total += hours(*h) + minutes(*min) + seconds(*s);
  std::string_view fraction = text.substr(19, text.size() - 20);
  if (fraction.empty()) return total.count();
  if (fraction.size() < 2 || fraction.size() > 10 || fraction[0] != '.') return invalid();
  fraction.remove_prefix(1);
  if (!digits(fraction)) return invalid();
  std::string thousandths(fraction.substr(0, 3));
  thousandths.resize(3, '0');
  total += milliseconds(*digits(thousandths));
  return total.count();
}

}  // namespace mlxguard::codec
