// SPDX-License-Identifier: Apache-2.0
// mlxguard.toml and the command line, as one value. Sole includer of the TOML library. The operator
// writes the file, so it is trusted, but a slip in it must not weaken anything: an unknown key or a
// value of another type is an error, never ignored.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::config {

enum class IsolationLevel : std::uint8_t { kContainer, kNoCgroup, kFull };

struct ServeConfig {
  // [server]
  std::string listen = "127.0.0.1:8443";
  std::filesystem::path state;         ///< empty: the default of default_state()
  std::filesystem::path api_key_file;  ///< empty: $STATE/api-keys
  bool allow_anonymous = false;
  std::filesystem::path tls_certificate;
  std::filesystem::path tls_private_key;

  // [models] name = folder
  std::vector<std::pair<std::string, std::filesystem::path>> models;

  // [trust]
  std::vector<std::filesystem::path> public_keys;  ///< besides those in $STATE/keys
  std::filesystem::path
      policy;            ///< trust policy; empty: trust.toml in the state folder, if it is there
  std::string root_key;  ///< fingerprint of the key that signs the policy; empty: it need not be
  bool receipts =
      false;  ///< without a policy: a stored model that was not touched is not hashed again

  // [limits]
  std::int64_t body_bytes_max = 64 << 20;
  std::int64_t header_bytes_max = 16 << 10;
  std::int64_t connections_max = 1024;
  std::int64_t queue_max = 256;
  std::int64_t in_flight_max = 2;
  std::int64_t texts_max = 2048;
  std::int64_t text_bytes_max = 1 << 20;
  std::int64_t header_timeout_ms = 10'000;
  std::int64_t idle_timeout_ms = 60'000;
  std::int64_t request_timeout_ms = 60'000;

  // [worker]
  std::int64_t worker_memory_bytes_max = 0;  ///< 0: from the model's size
  std::int64_t worker_threads = 0;           ///< 0: every core
  std::int64_t worker_start_timeout_ms = 120'000;

  // [dependencies]
  std::filesystem::path dependencies_require;  ///< lock file; empty: nothing is required
  std::filesystem::path
      dependencies_environment;  ///< the Python environment that must be as locked

  // [isolation]
  IsolationLevel isolation_minimum = IsolationLevel::kContainer;

  // [log]
  bool answer_after_durable = true;
};

struct ConfigKey {
  std::string_view table;
  std::string_view name;
  std::string_view meaning;
};

/// Every key of mlxguard.toml; `[models]` takes any name. The example file is tested against this.
[[nodiscard]] std::span<const ConfigKey> keys();

/// Reads `text` over the defaults (or over `base`). Relative paths are relative to `folder`.
/// Errors: kConfig, kConfigUnknownKey, naming line and key.
[[nodiscard]] Result<ServeConfig> parse(std::string_view text, const std::filesystem::path& folder,
                                        ServeConfig base = {});
[[nodiscard]] Result<ServeConfig> load(const std::filesystem::path& file);

/// A model's name on the wire: letters, digits, '.', '_', '-', not starting with a dot.
[[nodiscard]] bool is_model_name(std::string_view name);

/// $XDG_STATE_HOME/mlxguard; for root /var/lib/mlxguard; else ~/.local/state/mlxguard.
/// The three environment values are read by main.cpp alone and passed in.
struct Environment {
  std::string xdg_state_home;
  std::string home;
  bool is_root = false;
};
[[nodiscard]] std::filesystem::path default_state(const Environment& environment);

struct ListenAddress {
  std::string host;  ///< literal IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;
  bool loopback = false;
};
/// "127.0.0.1:8443", "[::1]:8443", "localhost:8443". Errors: kConfig.
[[nodiscard]] Result<ListenAddress> parse_listen(std::string_view text);

/// kListenUnsafe unless the address is loopback or both TLS and API keys are on.
[[nodiscard]] Result<void> check_exposure(const ServeConfig& config);

}  // namespace mlxguard::config
