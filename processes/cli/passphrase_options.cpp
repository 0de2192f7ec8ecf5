// SPDX-License-Identifier: Apache-2.0
#include "passphrase_options.h"

#include <CLI/CLI.hpp>

namespace mlxguard::cli {

void PassphraseOptions::define(CLI::App& app) {
  CLI::Option* from_fd =
      app.add_option("--passphrase-fd", fd, "read the passphrase from this descriptor");
  app.add_option("--passphrase-file", file, "read the passphrase from this file (mode 600)")
      ->excludes(from_fd);
}

Result<crypto::Secret> PassphraseOptions::read(const std::string& key_name,
                                               crypto::PassphraseUse use) const {
  if (fd) return crypto::passphrase_from_fd(*fd, use);
  if (!file.empty()) return crypto::passphrase_from_file(file, use);
  return crypto::passphrase_from_terminal(
      (use == crypto::PassphraseUse::kCreate ? "New passphrase for key " : "Passphrase for key ") +
          key_name,
      use);
}

}  // namespace mlxguard::cli
