// SPDX-License-Identifier: Apache-2.0
#include "serve_options.h"

#include <CLI/CLI.hpp>

namespace mlxguard::supervisor {
namespace {

namespace fs = std::filesystem;

struct Given {
  std::vector<std::string> model_folders;
  std::vector<std::string> named_models;
  std::vector<std::string> public_keys;
  std::string config_file, state, listen, api_key_file, tls_certificate, tls_private_key, isolation;
  std::optional<std::int64_t> worker_memory_bytes, request_timeout_ms, worker_threads;
  bool allow_anonymous = false;
  bool json = false;
  bool example_config = false;
};

void define(CLI::App& app, Given& given) {
  app.add_option("MODEL", given.model_folders,
                 "signed model folders; each is served by its folder's name");
  app.add_option("--models", given.named_models,
                 "NAME=FOLDER: a signed model and the name to serve it by")
      ->allow_extra_args(false);
  app.add_option("-c,--config", given.config_file, "configuration file (mlxguard.toml)");
  app.add_option("--state", given.state, "folder for keys and log");
  app.add_option("--listen", given.listen,
                 "ADDRESS:PORT, unix:PATH or fd://N; by default 127.0.0.1:8443");
  app.add_option("--public-key", given.public_keys,
                 "PEM key whose signatures are trusted, besides those in the key folder")
      ->allow_extra_args(false);
  app.add_option("--api-key-file", given.api_key_file, "file with one API key a line");
  app.add_flag("--allow-anonymous", given.allow_anonymous, "serve without API keys; loopback only");
  app.add_option("--tls-certificate", given.tls_certificate, "PEM chain, leaf first");
  app.add_option("--tls-private-key", given.tls_private_key, "PEM key of the leaf");
  app.add_option("--isolation-minimum", given.isolation,
                 "refuse to start below: full, no-cgroup or container");
  app.add_option("--worker-memory-bytes", given.worker_memory_bytes, "memory limit of one worker");
  app.add_option("--worker-threads", given.worker_threads, "processor cores a worker may use");
  app.add_option("--request-timeout-ms", given.request_timeout_ms,
                 "time from a request to its answer");
  app.add_flag("--example-config", given.example_config,
               "print a configuration file with every key, what it means and its default");
  app.add_flag("--json", given.json, "one JSON line on standard output when ready");
}

Error usage(std::string message) { return make_error(ErrorCode::kUsage, std::move(message)); }

Result<void> add_model(config::ServeConfig& config, std::string name, const fs::path& folder) {
  if (!config::is_model_name(name)) {
    return usage("expected a model name of letters, digits, '.', '_' and '-'")
        .about(std::move(name))
        .hinting("name it with --models NAME=FOLDER");
  }
  for (const config::ModelSettings& known : config.models) {
    if (known.name == name) return usage("two models are named " + name).about(std::move(name));
  }
  config.models.push_back({std::move(name), folder});
  return {};
}

/// A number given as a flag obeys the same bounds as in the file: it is set through the same table.
Result<void> set_number(config::ServeConfig& config, const char* table, const char* key,
                        const std::optional<std::int64_t>& value) {
  if (!value) return {};
  const std::string text =
      "[" + std::string(table) + "]\n" + key + " = " + std::to_string(*value) + "\n";
  MLXGUARD_TRY_ASSIGN(config, config::parse(text, ".", std::move(config)));
  return {};
}

Result<config::ServeConfig> merge(const Given& given, const config::Environment& environment) {
  config::ServeConfig config;
  if (!given.config_file.empty()) {
    MLXGUARD_TRY_ASSIGN(config, config::load(given.config_file));
  }
  if (!given.listen.empty()) config.server.listen = given.listen;
  if (!given.state.empty()) config.server.state = given.state;
  if (config.server.state.empty()) config.server.state = config::default_state(environment);
  if (!given.api_key_file.empty()) config.server.api_key_file = given.api_key_file;
  if (given.allow_anonymous) config.server.allow_anonymous = true;
  if (!given.tls_certificate.empty()) config.tls.certificate = given.tls_certificate;
  if (!given.tls_private_key.empty()) config.tls.private_key = given.tls_private_key;
  for (const std::string& key : given.public_keys) config.trust.public_keys.emplace_back(key);
  if (!given.isolation.empty()) {
    const std::string text = "[isolation]\nminimum = '" + given.isolation + "'\n";
    MLXGUARD_TRY_ASSIGN(config, config::parse(text, ".", std::move(config)));
  }
  MLXGUARD_TRY(set_number(config, "worker", "memory_bytes_max", given.worker_memory_bytes));
  MLXGUARD_TRY(set_number(config, "worker", "threads", given.worker_threads));
  MLXGUARD_TRY(set_number(config, "limits", "request_timeout_ms", given.request_timeout_ms));
  for (const std::string& folder : given.model_folders) {
    fs::path path = fs::path(folder).lexically_normal();
    if (path.filename().empty()) path = path.parent_path();
    MLXGUARD_TRY(add_model(config, path.filename().string(), folder));
  }
  for (const std::string& named : given.named_models) {
    const auto equals = named.find('=');
    if (equals == std::string::npos) return usage("expected NAME=FOLDER after --models");
    MLXGUARD_TRY(add_model(config, named.substr(0, equals), named.substr(equals + 1)));
  }
  if (config.models.empty()) {
    return usage("expected at least one model to serve, found none")
        .hinting("mlxguard serve MODEL, or [models] in mlxguard.toml");
  }
  MLXGUARD_TRY(config::check_exposure(config));
  return config;
}

}  // namespace

Result<Parsed> parse_command_line(int argc, const char* const* argv,
                                  const config::Environment& environment) {
  CLI::App app{"Serves signed models: verified while mlx loads them, in locked workers."};
  app.name("mlxguard serve");
  Given given;
  define(app, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Parsed{std::nullopt, app.help(), 0};
  } catch (const CLI::ParseError& problem) {
    return usage(problem.what()).hinting("mlxguard serve --help");
  }
  if (given.example_config) return Parsed{std::nullopt, config::example_text(), 0};
  Parsed parsed;
  ServeOptions options;
  options.output = given.json ? Output::kJson : Output::kText;
  MLXGUARD_TRY_ASSIGN(options.config, merge(given, environment));
  parsed.options = std::move(options);
  return parsed;
}

}  // namespace mlxguard::supervisor
