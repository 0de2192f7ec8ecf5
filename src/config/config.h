// SPDX-License-Identifier: Apache-2.0
// mlxguard.toml and the command line, as one value. Each library declares its own settings
// (base/setting.h); this one collects them and reads the file. The operator writes the file, so it
// is trusted, but a slip in it must not weaken anything: an unknown key or a value of another type
// is an error, never ignored.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "call/settings.h"
#include "front/settings.h"
#include "http/address.h"
#include "http/settings.h"
#include "limits/settings.h"
#include "validate/settings.h"

namespace mlxguard::config {

enum class IsolationLevel : std::uint8_t { kContainer, kNoCgroup, kFull };
inline constexpr std::array<std::string_view, 3> kIsolationNames{"container", "no-cgroup", "full"};

enum class Receipts : std::uint8_t { kRefuse, kAllow };
inline constexpr std::array<std::string_view, 2> kReceiptNames{"refuse", "allow"};

struct ServerSettings {
  static constexpr std::string_view kTable = "server";
  std::string listen = "127.0.0.1:8443";
  std::filesystem::path state;         ///< empty: the default of default_state()
  std::filesystem::path api_key_file;  ///< empty: $STATE/api-keys
  bool allow_anonymous = false;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.text({"listen",
                  "address and port, unix:PATH or fd://N; beyond this machine it needs [tls] and "
                  "API keys"},
                 listen);
    visitor.path({"state",
                  "folder for keys, log and store; default $XDG_STATE_HOME/mlxguard, for root "
                  "/var/lib/mlxguard",
                  "/var/lib/mlxguard"},
                 state);
    visitor.path({"api_key_file",
                  "one API key in each line: `name sha256:<hex>`, or the key itself; default "
                  "$STATE/api-keys",
                  "api-keys"},
                 api_key_file);
    visitor.flag({"allow_anonymous", "serve without API keys; loopback addresses only"},
                 allow_anonymous);
  }
};

struct TrustSettings {
  static constexpr std::string_view kTable = "trust";
  std::vector<std::filesystem::path> public_keys;
  std::filesystem::path policy;  ///< empty: trust.toml in the state folder, if it is there
  std::string root_key;          ///< empty: the policy need not be signed
  Receipts receipts = Receipts::kRefuse;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.paths({"public_keys",
                   "PEM keys whose signatures are trusted, besides those in the key folder"},
                  public_keys);
    visitor.path({"policy",
                  "who may sign what; default: trust.toml in the state folder, if it is there",
                  "trust.toml"},
                 policy);
    visitor.fingerprint(
        {"root_key", "fingerprint of the key that must have signed the trust policy",
         "0000000000000000000000000000000000000000000000000000000000000000"},
        root_key);
    visitor.choice({"receipts",
                    "without a trust policy: allow, a stored model that nobody touched since it "
                    "was admitted is not hashed again; refuse, always hash"},
                   receipts, kReceiptNames);
  }
};

struct DependencySettings {
  static constexpr std::string_view kTable = "dependencies";
  std::filesystem::path require;  ///< empty: nothing is required
  std::filesystem::path environment;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.path({"require",
                  "lock file: refuse to start unless the environment below is as it says",
                  "pylock.toml"},
                 require);
    visitor.path({"environment", "the Python environment whose mlx the worker loads", ".venv"},
                 environment);
  }
};

struct IsolationSettings {
  static constexpr std::string_view kTable = "isolation";
  IsolationLevel minimum = IsolationLevel::kContainer;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.choice({"minimum", "refuse to start below: full, no-cgroup or container"}, minimum,
                   kIsolationNames);
  }
};

struct LogSettings {
  static constexpr std::string_view kTable = "log";
  bool answer_after_durable = true;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.flag({"answer_after_durable",
                  "answer a request only when its event is on disk; false: a power loss can lose "
                  "the last group of events"},
                 answer_after_durable);
  }
};

/// `[models]`: `NAME = "FOLDER"`, or a table `[models.NAME]` with these keys.
struct ModelSettings {
  std::string name;
  std::filesystem::path path;  ///< a folder, or store:NAME

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.model_path({"path", "folder of the signed model, or store:NAME", "models/minilm"},
                       path);
  }
};

struct ServeConfig {
  ServerSettings server;
  http::TlsSettings tls;
  std::vector<ModelSettings> models;
  TrustSettings trust;
  http::LimitSettings http;
  call::QueueSettings queue;
  validate::TextSettings texts;
  front::RateSettings rates;
  limits::WorkerSettings worker;
  DependencySettings dependencies;
  IsolationSettings isolation;
  LogSettings log;

  /// Calls `function` with each group of settings, in the order of the example file. `[models]` is
  /// not among them: its keys are names.
  template <class Function>
  void for_each_group(Function&& function) {
    function(server), function(tls), function(trust), function(http), function(queue),
        function(texts), function(rates), function(worker), function(dependencies),
        function(isolation), function(log);
  }
};

/// The text of mlxguard.toml.example: every key with what it means and its default. What is absent
/// by default stands there as a comment, so the text is a configuration that works as it is.
[[nodiscard]] std::string example_text();

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

/// kListenUnsafe unless only this machine can connect, or both TLS and API keys are on. The reach
/// of an inherited descriptor is known when it is looked at: the second form is asked then.
[[nodiscard]] Result<void> check_exposure(const ServeConfig& config);
[[nodiscard]] Result<void> check_exposure(const ServeConfig& config, http::Reach reach);

}  // namespace mlxguard::config
