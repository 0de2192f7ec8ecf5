// SPDX-License-Identifier: Apache-2.0
// Everything the command line prints goes through here. The rules:
//   - results go to standard output, everything else to standard error;
//   - with --json, standard output holds JSON and nothing else;
//   - an error is two lines, `mlxguard: error: ... [code]` and `mlxguard: hint: ...`;
//   - colour and progress only on a terminal, never with NO_COLOR or --json;
//   - text that came from a file or a peer is printed with control characters replaced.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::cli {

enum class Style : std::uint8_t { kPlain, kBold, kDim, kGood, kBad, kWarn };

class Output {
 public:
  struct Options {
    bool json = false;
    bool color_allowed = true;
  };
  explicit Output(Options options);

  [[nodiscard]] bool json() const { return options_.json; }
  /// True when a person reads standard error as it is written.
  [[nodiscard]] bool interactive() const { return stderr_is_terminal_ && !options_.json; }

  /// One line on standard output; nothing with --json.
  void line(std::string_view text) const;
  /// One JSON value on standard output; nothing without --json.
  void json_line(std::string_view json) const;
  /// One line on standard error: a warning or a remark.
  void note(std::string_view text) const;
  /// The two lines of an error (or its JSON object on standard output with --json).
  void error(const Error& error) const;
  /// Replaces the progress line on a terminal; `text` empty removes it.
  void progress(std::string_view text) const;

  [[nodiscard]] std::string styled(Style style, std::string_view text) const;

 private:
  Options options_;
  bool stdout_is_terminal_;
  bool stderr_is_terminal_;
};

/// `text` with control characters and invalid UTF-8 made visible; safe to print to a terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// "1.2 MB", "91 B".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// The JSON object of an error: code, message, subject, expected, actual, hint.
[[nodiscard]] std::string error_json(const Error& error);

[[nodiscard]] int exit_status_of(const Error& error);

}  // namespace mlxguard::cli
