// SPDX-License-Identifier: Apache-2.0
// What the `key` commands share: curves, dates and lifetimes as users write them, and the events
// that each of their endings is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "arguments.h"
#include "base/clock.h"
#include "base/result.h"
#include "command.h"
#include "crypto/ec_key.h"
#include "passphrase_options.h"
#include "trust/key_actions.h"

namespace mlxguard::cli {

/// "p256", "P-256"; kUsage.
[[nodiscard]] Result<crypto::Curve> curve_of(std::string_view text);
/// "365d", "12h", "30m", "90s", "4w", "2y" (of 365 days); up to a century. kUsage.
[[nodiscard]] Result<std::chrono::milliseconds> lifetime_of(std::string_view text);
enum class DateEdge : std::uint8_t { kBegin, kEnd };
/// RFC 3339 in UTC, or a date alone: its first or its last moment. kUsage.
[[nodiscard]] Result<WallTime> date_of(std::string_view text, DateEdge edge);
/// For people: "2027-11-23 12:00".
[[nodiscard]] std::string date_text(WallTime time);

/// --valid-for, --valid-from, --valid-until of a command that makes a key.
struct WindowOptions {
  std::string valid_for;
  std::string valid_from;
  std::string valid_until;

  void define(Arguments& app);
  /// `name`, `curve` and the window; `now` is when it was made.
  [[nodiscard]] Result<trust::NewKey> make(std::string name, crypto::Curve curve,
                                           WallTime now) const;
};

/// Runs a command on keys; how it fails is an event `key.refused`. If that cannot be logged, the
/// log's error is the one to show.
[[nodiscard]] Result<int> or_refused(record::Sink& log, const std::string& key_name,
                                     Result<int> done);
[[nodiscard]] Result<void> log_use(record::Sink& log, const std::string& key_name,
                                   const crypto::EcPublicKey& key, std::string_view what_for);

/// The subcommands of key_list_command.cpp and key_change_command.cpp.
void define_key_list(Arguments& app, const std::function<void(Action)>& chosen);
void define_key_changes(Arguments& app, const std::function<void(Action)>& chosen);

/// The key ring of a session: its key folder and the configured public keys.
[[nodiscard]] Result<trust::KeyRing> load_ring(const Session& session);

}  // namespace mlxguard::cli
