// SPDX-License-Identifier: Apache-2.0
// Where a command takes a secret from (a key's passphrase, a token's PIN): a descriptor, a file, an
// agent, or the terminal. Never from an argument or the environment.
#pragma once

#include <optional>
#include <string>

#include "arguments.h"
#include "base/result.h"
#include "crypto/passphrase.h"
#include "trust/key_actions.h"

namespace mlxguard::cli {

struct PassphraseOptions {
  std::optional<int> fd;
  std::string file;
  std::string agent;
  double token_timeout_s = 30;

  /// --passphrase-fd, --passphrase-file, --passphrase-agent (with --pin-... for the same).
  void define(Arguments& app);
  /// --new-passphrase-fd and so on: for the second key of a command.
  void define_new(Arguments& app);
  /// True if an option says where from; else the terminal is asked.
  [[nodiscard]] bool given() const { return fd.has_value() || !file.empty() || !agent.empty(); }

  [[nodiscard]] Result<crypto::Secret> read(const std::string& key_name,
                                            crypto::PassphraseUse use) const;
  [[nodiscard]] Result<crypto::Secret> read_pin(const std::string& key_name) const;
  /// For keys of either kind. Valid as long as this is.
  [[nodiscard]] trust::KeySecrets secrets(std::string key_name) const;
  [[nodiscard]] crypto::TokenOptions token() const;

 private:
  [[nodiscard]] Result<crypto::Secret> ask(const std::string& prompt,
                                           crypto::PassphraseUse use) const;
};

}  // namespace mlxguard::cli
