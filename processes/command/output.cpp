// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "codec/json.h"
#include "codec/text.h"

namespace mlxguard::cli {
namespace {

void write_line(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fputc('\n', stream);
  std::fflush(stream);
}

std::string_view escape_of(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kWarn:
      return "\x1b[33m";
  }
  return "";
}

}  // namespace

Output::Output(Options options)
    : options_(options),
      stdout_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      stderr_is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void Output::line(std::string_view text) const {
  if (!options_.json) write_line(stdout, text);
}

void Output::json_line(std::string_view json) const {
  if (options_.json) write_line(stdout, json);
}

void Output::note(std::string_view text) const {
  progress({});
  write_line(stderr, "mlxguard: " + std::string(text));
}

void Output::error(const Error& error) const {
  progress({});
  if (options_.json) write_line(stdout, error_json(error));
  std::string message = error.message;
  if (!error.subject.empty() && message.find(error.subject) == std::string::npos) {
    message = error.subject + ": " + message;
  }
  const bool colour = stderr_is_terminal_ && options_.color_allowed;
  write_line(stderr, fmt::format("mlxguard: {}error:{} {} [{}]", colour ? "\x1b[31m" : "",
                                 colour ? "\x1b[0m" : "", printable(message), name_of(error.code)));
  if (!error.expected.empty() || !error.actual.empty()) {
    write_line(stderr, fmt::format("mlxguard:   expected {}", printable(error.expected)));
    write_line(stderr, fmt::format("mlxguard:   found    {}", printable(error.actual)));
  }
  const std::string hint =
      error.hint.empty() ? std::string(describe(error.code).meaning) : error.hint;
  write_line(stderr, "mlxguard: hint: " + printable(hint));
}

void Output::progress(std::string_view text) const {
  if (!interactive()) return;
  std::fputs("\r\x1b[K", stderr);
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string Output::styled(Style style, std::string_view text) const {
  if (style == Style::kPlain || !stdout_is_terminal_ || !options_.color_allowed || options_.json) {
    return std::string(text);
  }
  return std::string(escape_of(style)) + std::string(text) + "\x1b[0m";
}

std::string printable(std::string_view text) {
  std::string out;
  const bool valid = codec::is_utf8(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8, 0xC2 0x80..0x9F; some terminals obey them.
    const bool c1 =
        byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (byte < 0x20 || byte == 0x7F || c1 || (!valid && byte >= 0x80)) {
      out += fmt::format("\\x{:02x}", byte);
      if (c1) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string error_json(const Error& error) {
  codec::JsonWriter writer;
  writer.begin_object().key("error").begin_object();
  writer.field("code", name_of(error.code)).field("message", error.message);
  if (!error.subject.empty()) writer.field("subject", error.subject);
  if (!error.expected.empty()) writer.field("expected", error.expected);
  if (!error.actual.empty()) writer.field("actual", error.actual);
  if (!error.hint.empty()) writer.field("hint", error.hint);
  writer.end_object().end_object();
  return writer.text();
}

int exit_status_of(const Error& error) { return static_cast<int>(describe(error.code).exit_class); }

}  // namespace mlxguard::cli
