// SPDX-License-Identifier: Apache-2.0
// What every command is given: where the state is, how to print, what time it is. Made in main.cpp.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "admission/model_claim.h"
#include "admission/trust.h"
#include "base/clock.h"
#include "config/config.h"
#include "crypto/random.h"
#include "log/state_log.h"
#include "output.h"
#include "sandbox/host.h"

namespace mlxguard::cli {

/// Options that every command takes.
struct CommonOptions {
  std::string state;
  std::string config_file;
  bool json = false;
};

class Session {
 public:
  Session(const CommonOptions& options, const config::Environment& environment, bool color_allowed);

  [[nodiscard]] const Output& output() const { return output_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] crypto::Random& random() { return random_; }
  /// Configuration file's values (defaults without one); `state` is always set.
  [[nodiscard]] Result<config::ServeConfig> config() const;
  [[nodiscard]] Result<std::filesystem::path> state() const;
  [[nodiscard]] Result<std::filesystem::path> keys_folder() const;
  /// The keys and the policy that models are held against; `public_keys` besides the configured
  /// ones.
  [[nodiscard]] Result<admission::Trust> trust(const std::vector<std::string>& public_keys = {});
  [[nodiscard]] Result<trust::PolicyPlaces> policy_places(
      const std::vector<std::string>& public_keys = {}) const;
  /// Looks into models where the policy refuses findings. Before log(): what the machine allows is
  /// tried in a child process, before there are threads. Tried only if the policy speaks of
  /// findings.
  [[nodiscard]] Result<admission::OpenInspector> inspector();
  /// The event log of this state folder, created (0700) when there is none.
  [[nodiscard]] Result<log::EventLog*> log();
  /// Ends the log in order: integrates what was appended.
  [[nodiscard]] Result<void> close();

 private:
  CommonOptions options_;
  config::Environment environment_;
  Output output_;
  SystemClock clock_;
  crypto::SystemRandom random_;
  std::unique_ptr<log::EventLog> log_;
  std::optional<sandbox::Host> host_;
};

}  // namespace mlxguard::cli
