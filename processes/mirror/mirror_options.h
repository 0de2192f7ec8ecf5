// SPDX-License-Identifier: Apache-2.0
// The command line of `mlxguard deps mirror serve`, laid over mlxguard.toml.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "mirror/scanner.h"
#include "mirror/url.h"
#include "upstream.h"

namespace mlxguard::mirror {

struct ServeOptions {
  std::filesystem::path state;
  http::ListenAddress listen;
  config::ServeConfig exposure;  ///< for check_exposure, once an inherited socket is known
  Url upstream;
  std::string ca_bundle;
  std::string proxy;
  std::vector<InnerHost> inner_hosts;
  std::chrono::milliseconds cooldown{std::chrono::hours(7 * 24)};
  std::chrono::milliseconds fresh_for{std::chrono::minutes(10)};
  std::chrono::milliseconds scan_wait{std::chrono::minutes(5)};
  std::chrono::milliseconds database_age_max{std::chrono::hours(30 * 24)};
  std::set<Unknown> accepted;
  std::filesystem::path allow_list;
  std::filesystem::path api_key_file;
  std::filesystem::path tls_certificate;
  std::filesystem::path tls_private_key;
  bool json = false;
};

/// Options, or a text to print (help) and an exit status.
struct Parsed {
  std::optional<ServeOptions> options;
  std::string text;
};

/// What main.cpp reads of the environment.
struct MirrorEnvironment {
  config::Environment state;
  std::string pip_index_url;    ///< PIP_INDEX_URL
  std::string pip_config_file;  ///< PIP_CONFIG_FILE
  std::string ssl_cert_file;    ///< SSL_CERT_FILE
};

[[nodiscard]] Result<Parsed> parse_command_line(int argc, const char* const* argv,
                                                const MirrorEnvironment& environment);

/// "90s", "10m", "12h", "7d", "0". Errors: kUsage.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace mlxguard::mirror
