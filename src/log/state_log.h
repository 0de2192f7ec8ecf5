// SPDX-License-Identifier: Apache-2.0
// The event log of a state folder: where its files and its signing key are, by the layout of
// $STATE.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/random.h"
#include "log/event_log.h"

namespace mlxguard::log {

[[nodiscard]] std::filesystem::path log_folder(const std::filesystem::path& state);
[[nodiscard]] std::filesystem::path log_key_file(const std::filesystem::path& state);

/// Opens $STATE/log with the key $STATE/keys/log.ed25519, making both (0700, 0600) when there are
/// none. `clock` and `random` must outlive the log. Errors: as EventLog::open; kLogKey;
/// kPermission.
[[nodiscard]] Result<std::unique_ptr<EventLog>> open_state_log(const std::filesystem::path& state,
                                                               std::string process_name,
                                                               const Clock& clock,
                                                               crypto::Random& random);

}  // namespace mlxguard::log
