// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <sys/stat.h>

#include "base/limits.h"
#include "base/os_error.h"
#include "launch/inspector_program.h"
#include "trust/state_file.h"

namespace mlxguard::cli {

Session::Session(const CommonOptions& options, const config::Environment& environment,
                 bool color_allowed)
    : options_(options), environment_(environment), output_({options.json, color_allowed}) {}

Result<config::ServeConfig> Session::config() const {
  config::ServeConfig config;
  if (!options_.config_file.empty()) {
    MLXGUARD_TRY_ASSIGN(config, config::load(options_.config_file));
  }
  if (!options_.state.empty()) config.server.state = options_.state;
  if (config.server.state.empty()) config.server.state = config::default_state(environment_);
  return config;
}

Result<std::filesystem::path> Session::state() const {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig read, config());
  return read.server.state;
}

Result<std::filesystem::path> Session::keys_folder() const {
  MLXGUARD_TRY_ASSIGN(const std::filesystem::path folder, state());
  return folder / "keys";
}

Result<trust::PolicyPlaces> Session::policy_places(
    const std::vector<std::string>& public_keys) const {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig read, config());
  trust::PolicyPlaces places{read.server.state, read.trust.policy, read.trust.root_key,
                             read.trust.public_keys};
  places.public_keys.insert(places.public_keys.end(), public_keys.begin(), public_keys.end());
  return places;
}

Result<admission::Trust> Session::trust(const std::vector<std::string>& public_keys) {
  MLXGUARD_TRY_ASSIGN(const trust::PolicyPlaces places, policy_places(public_keys));
  MLXGUARD_TRY_ASSIGN(log::EventLog * open_log, log());
  return admission::Trust::load(places, *open_log, clock_);
}

Result<admission::OpenInspector> Session::inspector() {
  if (log_) return admission::OpenInspector{};  // too late to try
  MLXGUARD_TRY_ASSIGN(const trust::PolicyPlaces places, policy_places());
  // A hint only: without an inspector a source that refuses findings refuses the model.
  const auto text = trust::read_trusted_file(places.file(), limits::kPolicyBytesMax);
  if (!text || text->find("refuse_findings") == std::string::npos)
    return admission::OpenInspector{};
  MLXGUARD_TRY_ASSIGN(host_, sandbox::Host::probe());
  return admission::OpenInspector([this] { return launch::open_inspector(*host_); });
}

Result<log::EventLog*> Session::log() {
  if (log_) return log_.get();
  MLXGUARD_TRY_ASSIGN(const std::filesystem::path folder, state());
  std::error_code ignored;  // the create below reports what matters
  std::filesystem::create_directories(folder.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", folder.string()).hinting("choose another folder with --state DIR");
  }
  MLXGUARD_TRY_ASSIGN(log_, log::open_state_log(folder, "mlxguard", clock_, random_));
  return log_.get();
}

Result<void> Session::close() {
  if (!log_) return {};
  auto flushed = log_->flush();
  log_.reset();
  return flushed;
}

}  // namespace mlxguard::cli
