// SPDX-License-Identifier: Apache-2.0
// Where a command takes a passphrase from: --passphrase-fd, --passphrase-file, or the terminal.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/passphrase.h"

namespace CLI {
class App;
}

namespace mlxguard::cli {

struct PassphraseOptions {
  std::optional<int> fd;
  std::string file;

  void define(CLI::App& app);
  [[nodiscard]] Result<crypto::Secret> read(const std::string& key_name,
                                            crypto::PassphraseUse use) const;
};

}  // namespace mlxguard::cli
