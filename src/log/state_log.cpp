// SPDX-License-Identifier: Apache-2.0
#include "log/state_log.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "log/log_key.h"

namespace mlxguard::log {
namespace {

/// A log's name for people: the machine it was begun on. Letters that a checkpoint line may not
/// hold are replaced.
std::string origin_of_machine() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "mlxguard/unnamed";
  std::string host(name.data());
  std::replace_if(
      host.begin(), host.end(),
      [](char c) { return !is_ascii_alphanumeric(c) && c != '.' && c != '-'; },
      '-');
  return "mlxguard/" + (host.empty() ? "unnamed" : host);
}

}  // namespace

std::filesystem::path log_folder(const std::filesystem::path& state) { return state / "log"; }

std::filesystem::path log_key_file(const std::filesystem::path& state) {
  return state / "keys" / "log.ed25519";
}

Result<std::unique_ptr<EventLog>> open_state_log(const std::filesystem::path& state,
                                                 std::string process_name, const Clock& clock,
                                                 crypto::Random& random) {
  MLXGUARD_TRY_ASSIGN(crypto::Ed25519Key key, load_or_create_log_key(state / "keys", random));
  LogOptions options;
  options.dir = log_folder(state);
  options.origin = origin_of_machine();
  options.process_name = std::move(process_name);
  options.clock = &clock;
  options.random = &random;
  return EventLog::open(std::move(options), std::move(key));
}

}  // namespace mlxguard::log
