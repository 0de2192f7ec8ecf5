// SPDX-License-Identifier: Apache-2.0
#include "mirror_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>

#include "base/file.h"
#include "base/limits.h"

namespace mlxguard::mirror {
namespace {

namespace fs = std::filesystem;

struct Given {
  std::string upstream, listen = "127.0.0.1:8089", state, config_file, ca_bundle, proxy, allow_list;
  std::string cooldown = "7d", index_ttl = "10m", scan_wait = "5m", database_age_max = "30d";
  std::string api_key_file, tls_certificate, tls_private_key;
  std::vector<std::string> accepted, inner_hosts;
  bool upstream_from_pip = false, plain_http = false, json = false;
};

Error usage(std::string message) {
  return make_error(ErrorCode::kUsage, std::move(message))
      .hinting("mlxguard deps mirror serve --help");
}

std::string accepted_help() {
  std::string text = "serve although it could not be told: ";
  for (const UnknownRow& row : unknown_rows()) {
    text += (row.unknown == unknown_rows().front().unknown ? "" : ", ") + std::string(row.name);
  }
  return text;
}

void define(CLI::App& app, Given& given) {
  app.add_option("--upstream", given.upstream,
                 "simple index to stand in front of: https://HOST/simple/");
  app.add_flag("--upstream-from-pip", given.upstream_from_pip,
               "take the index from PIP_INDEX_URL or pip's configuration file");
  app.add_option("--listen", given.listen, "ADDRESS:PORT, unix:PATH or fd://N")
      ->capture_default_str();
  app.add_option("--cooldown", given.cooldown, "hold files younger than this; 0: none")
      ->capture_default_str();
  app.add_option("--allow", given.allow_list,
                 "serve only files of this lock: pylock.toml, requirements.txt");
  app.add_option("--accept", given.accepted, accepted_help())->allow_extra_args(false);
  app.add_option("--index-ttl", given.index_ttl, "ask upstream again for pages older than this")
      ->capture_default_str();
  app.add_option("--scan-wait", given.scan_wait, "longest wait for a download and its scan")
      ->capture_default_str();
  app.add_option("--database-age-max", given.database_age_max,
                 "an older advisory database could not tell")
      ->capture_default_str();
  app.add_option("--ca-bundle", given.ca_bundle, "PEM file of authorities for upstream");
  app.add_option("--proxy", given.proxy, "HTTP proxy to upstream; the environment's is not used");
  app.add_option("--inner-host", given.inner_hosts,
                 "HOST[:PORT], besides upstream's own, that links may lead to in the inner network "
                 "or at a port of its own")
      ->allow_extra_args(false);
  app.add_flag("--plain-http", given.plain_http,
               "allow an http upstream that is not on this machine");
  app.add_option("--api-key-file", given.api_key_file, "file with one API key a line");
  app.add_option("--tls-certificate", given.tls_certificate, "PEM chain, leaf first");
  app.add_option("--tls-private-key", given.tls_private_key, "PEM key of the leaf");
  app.add_option("--state", given.state, "folder for cache, advisories and log");
  app.add_option("-c,--config", given.config_file, "configuration file (mlxguard.toml)");
  app.add_flag("--json", given.json, "one JSON line on standard output when ready");
}

/// `index-url = ...` below [global] or [install]; the file is the operator's own.
std::string index_url_in(const fs::path& file) {
  const auto text = read_file(file, limits::kConfigBytesMax);
  if (!text) return {};  // pip, too, goes on to the next place
  std::istringstream stream(*text);
  bool in_section = false;
  std::string found;
  for (std::string line; std::getline(stream, line);) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos) continue;
    line.erase(0, begin);
    if (line[0] == '[') in_section = line.starts_with("[global]") || line.starts_with("[install]");
    if (!in_section || !(line.starts_with("index-url") || line.starts_with("index_url"))) continue;
    const auto equals = line.find_first_of("=:");
    if (equals == std::string::npos) continue;
    const auto value = line.find_first_not_of(" \t", equals + 1);
    if (value != std::string::npos)
      found = line.substr(value, line.find_last_not_of(" \t\r") - value + 1);
  }
  return found;
}

Result<std::string> upstream_of_pip(const MirrorEnvironment& environment) {
  if (!environment.pip_index_url.empty()) return environment.pip_index_url;
  std::vector<fs::path> files;
  if (!environment.pip_config_file.empty()) files.emplace_back(environment.pip_config_file);
  if (!environment.state.home.empty()) {
    files.push_back(fs::path(environment.state.home) / ".config/pip/pip.conf");
    files.push_back(fs::path(environment.state.home) / ".pip/pip.conf");
  }
  files.emplace_back("/etc/pip.conf");
  for (const fs::path& file : files) {
    if (std::string found = index_url_in(file); !found.empty()) return found;
  }
  return usage("pip's configuration names no index").hinting("name it with --upstream URL");
}

Result<void> read_upstream(const Given& given, const MirrorEnvironment& environment,
                           ServeOptions& options) {
  std::string text = given.upstream;
  if (given.upstream_from_pip) {
    if (!text.empty()) return usage("expected --upstream or --upstream-from-pip, found both");
    MLXGUARD_TRY_ASSIGN(text, upstream_of_pip(environment));
  }
  if (text.empty()) return usage("expected the index to stand in front of: --upstream URL");
  auto url = parse_url(text, Credentials::kAllowed);
  if (!url) return usage("not a URL of an index: " + url.error().message);
  if (!url->query.empty()) return usage("expected an index URL without a query");
  if (!url->path.ends_with('/')) url->path += '/';
  const bool here = url->host == "127.0.0.1" || url->host == "::1" || url->host == "localhost";
  if (url->scheme == "http" && !here && !given.plain_http) {
    return usage("an http upstream can be altered on its way")
        .hinting("use https, or say --plain-http");
  }
  options.upstream = *std::move(url);
  return {};
}

Result<void> read_accepted(const Given& given, ServeOptions& options) {
  for (const std::string& name : given.accepted) {
    const UnknownRow* row = find_unknown(name);
    if (row == nullptr) {
      return usage("there is no such reason to accept").about(name).hinting(accepted_help());
    }
    options.accepted.insert(row->unknown);
  }
  return {};
}

Result<void> read_inner_hosts(const Given& given, ServeOptions& options) {
  for (const std::string& text : given.inner_hosts) {
    const auto url = parse_url("https://" + text);
    if (!url || url->path != "/" || !url->query.empty() || text.find('/') != std::string::npos) {
      return usage("expected HOST or HOST:PORT after --inner-host").about(text);
    }
    const bool with_port = text.find(':', text.rfind(']') + 1) != std::string::npos;
    options.inner_hosts.push_back({url->host, with_port ? url->port : std::uint16_t{0}});
  }
  return {};
}

Result<ServeOptions> merge(const Given& given, const MirrorEnvironment& environment) {
  ServeOptions options;
  config::ServeConfig config;
  if (!given.config_file.empty()) {
    MLXGUARD_TRY_ASSIGN(config, config::load(given.config_file));
  }
  options.state = given.state.empty() ? config.server.state : fs::path(given.state);
  if (options.state.empty()) options.state = config::default_state(environment.state);
  MLXGUARD_TRY(read_upstream(given, environment, options));
  MLXGUARD_TRY(read_accepted(given, options));
  MLXGUARD_TRY_ASSIGN(options.cooldown, parse_duration(given.cooldown));
  MLXGUARD_TRY_ASSIGN(options.fresh_for, parse_duration(given.index_ttl));
  MLXGUARD_TRY_ASSIGN(options.scan_wait, parse_duration(given.scan_wait));
  MLXGUARD_TRY_ASSIGN(options.database_age_max, parse_duration(given.database_age_max));
  options.ca_bundle = given.ca_bundle.empty() ? environment.ssl_cert_file : given.ca_bundle;
  options.proxy = given.proxy;
  MLXGUARD_TRY(read_inner_hosts(given, options));
  options.allow_list = given.allow_list;
  options.api_key_file = given.api_key_file;
  options.tls_certificate = given.tls_certificate;
  options.tls_private_key = given.tls_private_key;
  options.json = given.json;
  // The rule of every listener: beyond this machine only with TLS and keys.
  options.exposure.server.listen = given.listen;
  options.exposure.server.allow_anonymous = given.api_key_file.empty();
  options.exposure.tls.certificate = options.tls_certificate;
  options.exposure.tls.private_key = options.tls_private_key;
  MLXGUARD_TRY(config::check_exposure(options.exposure));
  MLXGUARD_TRY_ASSIGN(options.listen, http::parse_listen(given.listen));
  return options;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::int64_t kSecondsMax = std::int64_t{10} * 366 * 86400;
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  std::int64_t seconds = 0;
  if (unit == "s") seconds = 1;
  if (unit == "m") seconds = 60;
  if (unit == "h") seconds = 3600;
  if (unit == "d") seconds = 86400;
  if (unit.empty() && number == 0) seconds = 1;
  if (error != std::errc() || number < 0 || seconds == 0 || number > kSecondsMax / seconds) {
    return usage("expected a time such as 90s, 10m, 12h or 7d").about(std::string(text));
  }
  return std::chrono::milliseconds(number * seconds * 1000);
}

Result<Parsed> parse_command_line(int argc, const char* const* argv,
                                  const MirrorEnvironment& environment) {
  CLI::App app{"A package index for pip and uv that scans before it serves."};
  app.name("mlxguard deps mirror serve");
  Given given;
  define(app, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Parsed{std::nullopt, app.help()};
  } catch (const CLI::ParseError& problem) {
    return usage(problem.what());
  }
  Parsed parsed;
  MLXGUARD_TRY_ASSIGN(parsed.options, merge(given, environment));
  return parsed;
}

}  // namespace mlxguard::mirror
