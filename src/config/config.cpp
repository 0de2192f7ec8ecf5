// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/limits.h"
#include "base/os_error.h"
#include "codec/toml_text.h"

#define TOML_EXCEPTIONS 0
// Its assertions can be reached by bytes of a file ("[="); the check behind each gives an error.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

namespace mlxguard::config {
namespace {

using Setter = Result<void> (*)(ServeConfig&, const toml::node&,
                                const std::filesystem::path& folder);

Error wrong_type(std::string_view expected) {
  return make_error(ErrorCode::kConfig, "expected " + std::string(expected));
}

template <auto Member>
Result<void> set_text(ServeConfig& config, const toml::node& node, const std::filesystem::path&) {
  const auto text = node.value_exact<std::string>();
  if (!text) return wrong_type("a string");
  config.*Member = *text;
  return {};
}

template <auto Member>
Result<void> set_path(ServeConfig& config, const toml::node& node,
                      const std::filesystem::path& folder) {
  const auto text = node.value_exact<std::string>();
  if (!text || text->empty()) return wrong_type("a path");
  config.*Member = folder / *text;
  return {};
}

template <auto Member>
Result<void> set_flag(ServeConfig& config, const toml::node& node, const std::filesystem::path&) {
  const auto flag = node.value_exact<bool>();
  if (!flag) return wrong_type("true or false");
  config.*Member = *flag;
  return {};
}

/// Bounds are inclusive.
template <auto Member, std::int64_t Min, std::int64_t Max>
Result<void> set_integer(ServeConfig& config, const toml::node& node,
                         const std::filesystem::path&) {
  const auto number = node.value_exact<std::int64_t>();
  if (!number || *number < Min || *number > Max) {
    return wrong_type("an integer from " + std::to_string(Min) + " to " + std::to_string(Max));
  }
  config.*Member = *number;
  return {};
}

Result<void> set_public_keys(ServeConfig& config, const toml::node& node,
                             const std::filesystem::path& folder) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return wrong_type("an array of paths");
  config.public_keys.clear();
  for (const toml::node& item : *array) {
    const auto text = item.value_exact<std::string>();
    if (!text) return wrong_type("an array of paths");
    config.public_keys.push_back(folder / *text);
  }
  return {};
}

Result<void> set_root_key(ServeConfig& config, const toml::node& node,
                          const std::filesystem::path&) {
  constexpr std::size_t kFingerprintHexBytes = 64;
  const auto text = node.value_exact<std::string>();
  const bool fingerprint = text && text->size() == kFingerprintHexBytes &&
                           text->find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!fingerprint) return wrong_type("a fingerprint: 64 digits of lowercase hex");
  config.root_key = *text;
  return {};
}

Result<void> set_receipts(ServeConfig& config, const toml::node& node,
                          const std::filesystem::path&) {
  const auto text = node.value_exact<std::string>();
  if (text != "allow" && text != "refuse") return wrong_type("\"allow\" or \"refuse\"");
  config.receipts = text == "allow";
  return {};
}

Result<void> set_isolation(ServeConfig& config, const toml::node& node,
                           const std::filesystem::path&) {
  const auto text = node.value_exact<std::string>();
  if (text == "full") {
    config.isolation_minimum = IsolationLevel::kFull;
  } else if (text == "no-cgroup") {
    config.isolation_minimum = IsolationLevel::kNoCgroup;
  } else if (text == "container") {
    config.isolation_minimum = IsolationLevel::kContainer;
  } else {
    return wrong_type("\"full\", \"no-cgroup\" or \"container\"");
  }
  return {};
}

struct Row {
  ConfigKey key;
  Setter set;
};

using C = ServeConfig;
constexpr std::int64_t kDayMs = 86'400'000;

// clang-format off
constexpr Row kRows[] = {
    {{"server", "listen", "address and port to listen on"}, set_text<&C::listen>},
    {{"server", "state", "folder for keys, log and store"}, set_path<&C::state>},
    {{"server", "api_key_file", "file with one API key a line"}, set_path<&C::api_key_file>},
    {{"server", "allow_anonymous", "serve without API keys; loopback addresses only"}, set_flag<&C::allow_anonymous>},
    {{"tls", "certificate", "PEM chain, leaf first"}, set_path<&C::tls_certificate>},
    {{"tls", "private_key", "PEM key of the leaf"}, set_path<&C::tls_private_key>},
    {{"trust", "public_keys", "PEM keys whose signatures are trusted, besides those in the key folder"}, set_public_keys},
    {{"trust", "policy", "trust policy; without it trust.toml in the state folder, if it is there"}, set_path<&C::policy>},
    {{"trust", "root_key", "fingerprint of the key that must have signed the trust policy"}, set_root_key},
    {{"trust", "receipts", "where there is no trust policy: allow, a stored model that nobody touched since it was admitted is not hashed again; refuse, always hash"}, set_receipts},
    {{"limits", "body_bytes_max", "largest request body"}, set_integer<&C::body_bytes_max, 1024, 1 << 28>},
    {{"limits", "header_bytes_max", "largest request head"}, set_integer<&C::header_bytes_max, 1024, 1 << 20>},
    {{"limits", "connections_max", "open connections"}, set_integer<&C::connections_max, 1, 100'000>},
    {{"limits", "queue_max", "waiting requests of one model"}, set_integer<&C::queue_max, 0, 100'000>},
    {{"limits", "in_flight_max", "requests a worker holds at once"}, set_integer<&C::in_flight_max, 1, 64>},
    {{"limits", "texts_max", "texts in one embeddings request"}, set_integer<&C::texts_max, 1, 100'000>},
    {{"limits", "text_bytes_max", "bytes of one text"}, set_integer<&C::text_bytes_max, 1, 1 << 26>},
    {{"limits", "header_timeout_ms", "time for a request's head to arrive"}, set_integer<&C::header_timeout_ms, 10, kDayMs>},
    {{"limits", "idle_timeout_ms", "time a connection may wait between requests"}, set_integer<&C::idle_timeout_ms, 10, kDayMs>},
    {{"limits", "request_timeout_ms", "time from a request's head to its answer"}, set_integer<&C::request_timeout_ms, 10, kDayMs>},
    {{"worker", "memory_bytes_max", "memory limit of one worker; 0: from the model's size"}, set_integer<&C::worker_memory_bytes_max, 0, std::int64_t{1} << 42>},
    {{"worker", "threads", "processor cores a worker may use; 0: every core"}, set_integer<&C::worker_threads, 0, 1024>},
    {{"worker", "start_timeout_ms", "time for a worker to load its model"}, set_integer<&C::worker_start_timeout_ms, 100, kDayMs>},
    {{"dependencies", "require", "lock file: refuse to start unless the environment below is as it says"}, set_path<&C::dependencies_require>},
    {{"dependencies", "environment", "the Python environment whose mlx the worker loads"}, set_path<&C::dependencies_environment>},
    {{"isolation", "minimum", "refuse to start below: full, no-cgroup or container"}, set_isolation},
    {{"log", "answer_after_durable", "answer a request only when its event is on disk"}, set_flag<&C::answer_after_durable>},
};
// clang-format on

std::string at(const toml::node& node) {
  return "line " + std::to_string(node.source().begin.line);
}

Result<void> read_models(ServeConfig& config, const toml::table& table,
                         const std::filesystem::path& folder) {
  for (const auto& [name, node] : table) {
    const auto path = node.value_exact<std::string>();
    if (!is_model_name(name.str()) || !path || path->empty()) {
      return make_error(ErrorCode::kConfig, at(node) + ": expected a model name and its folder")
          .about("models." + std::string(name.str()));
    }
    // `store:NAME` is no path (artifact/store.h).
    const bool stored = path->starts_with("store:");
    config.models.emplace_back(name.str(), stored ? std::filesystem::path(*path) : folder / *path);
  }
  return {};
}

Result<void> read_table(ServeConfig& config, std::string_view table_name, const toml::table& table,
                        const std::filesystem::path& folder) {
  for (const auto& [name, node] : table) {
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& candidate) {
      return candidate.key.table == table_name && candidate.key.name == name.str();
    });
    const std::string full_name = std::string(table_name) + "." + std::string(name.str());
    if (row == std::end(kRows)) {
      return make_error(ErrorCode::kConfigUnknownKey, at(node) + ": no such key: " + full_name)
          .about(full_name)
          .hinting("mlxguard.toml.example lists every key");
    }
    if (auto set = row->set(config, node, folder); !set) {
      return std::move(set).error().with(at(node) + ":", full_name).about(full_name);
    }
  }
  return {};
}

}  // namespace

std::span<const ConfigKey> keys() {
  static const auto kKeys = [] {
    std::vector<ConfigKey> all;
    for (const Row& row : kRows) all.push_back(row.key);
    return all;
  }();
  return kKeys;
}

Result<ServeConfig> parse(std::string_view text, const std::filesystem::path& folder,
                          ServeConfig base) {
  if (const auto line = codec::find_stray_character(text)) {
    return make_error(ErrorCode::kConfig,
                      "line " + std::to_string(*line) +
                          ": expected UTF-8, with what is not ASCII in strings and comments only");
  }
  toml::parse_result parsed = toml::parse(codec::toml_in_ascii(text));
  if (parsed) parsed = toml::parse(text);
  if (!parsed) {
    return make_error(ErrorCode::kConfig, "line " +
                                              std::to_string(parsed.error().source().begin.line) +
                                              ": " + std::string(parsed.error().description()));
  }
  for (const auto& [name, node] : parsed.table()) {
    const toml::table* table = node.as_table();
    const std::string_view table_name = name.str();
    const bool known = table_name == "models" ||
                       std::any_of(std::begin(kRows), std::end(kRows),
                                   [&](const Row& row) { return row.key.table == table_name; });
    if (table == nullptr || !known) {
      return make_error(ErrorCode::kConfigUnknownKey,
                        at(node) + ": no such table: " + std::string(table_name))
          .about(std::string(table_name))
          .hinting("mlxguard.toml.example lists every key");
    }
    if (table_name == "models") {
      MLXGUARD_TRY(read_models(base, *table, folder));
    } else {
      MLXGUARD_TRY(read_table(base, table_name, *table, folder));
    }
  }
  return base;
}

Result<ServeConfig> load(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(limits::kConfigBytesMax + 1, '\0');
  if (!stream) return os_error("open", file.string());
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A folder opens like a file, and what was read of a file before an error is not what it says.
  if (stream.bad()) return os_error("read", file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > limits::kConfigBytesMax) {
    return make_error(ErrorCode::kConfig, "the file is larger than a configuration may be");
  }
  auto config = parse(text, file.parent_path());
  if (!config) return std::move(config).error().with(file.string());
  return config;
}

bool is_model_name(std::string_view name) {
  if (name.empty() || name.size() > limits::kModelNameBytesMax || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::filesystem::path default_state(const Environment& environment) {
  if (!environment.xdg_state_home.empty()) {
    return std::filesystem::path(environment.xdg_state_home) / "mlxguard";
  }
  if (environment.is_root || environment.home.empty()) return "/var/lib/mlxguard";
  return std::filesystem::path(environment.home) / ".local/state/mlxguard";
}

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return make_error(ErrorCode::kConfig, "expected ADDRESS:PORT to listen on, found no port")
        .about("listen");
  }
  std::string host(text.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") host = "127.0.0.1";
  const std::string_view port_text = text.substr(colon + 1);
  ListenAddress address;
  const auto [end, problem] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), address.port);
  std::array<std::uint8_t, 16> raw{};
  if (::inet_pton(AF_INET, host.c_str(), raw.data()) == 1) {
    address.loopback = raw[0] == 127;
  } else if (::inet_pton(AF_INET6, host.c_str(), raw.data()) == 1) {
    address.loopback =
        std::all_of(raw.begin(), raw.end() - 1, [](auto b) { return b == 0; }) && raw.back() == 1;
  } else {
    return make_error(ErrorCode::kConfig, "expected an IPv4 or IPv6 address to listen on")
        .about("listen")
        .hinting("write 127.0.0.1:8443 or [::1]:8443");
  }
  if (problem != std::errc{} || end != port_text.data() + port_text.size()) {
    return make_error(ErrorCode::kConfig, "expected a port from 0 to 65535").about("listen");
  }
  address.host = std::move(host);
  return address;
}

Result<void> check_exposure(const ServeConfig& config) {
  if (config.tls_certificate.empty() != config.tls_private_key.empty()) {
    return make_error(ErrorCode::kConfig, "expected both a TLS certificate and its private key");
  }
  MLXGUARD_TRY_ASSIGN(const ListenAddress address, parse_listen(config.listen));
  if (address.loopback) return {};
  if (config.tls_certificate.empty() || config.allow_anonymous) {
    return make_error(ErrorCode::kListenUnsafe, "refusing to listen on " + config.listen +
                                                    " without " +
                                                    (config.allow_anonymous ? "API keys" : "TLS"))
        .about("listen")
        .hinting(
            "set [tls] certificate and private_key and keep API keys on, or listen on 127.0.0.1");
  }
  return {};
}

}  // namespace mlxguard::config
