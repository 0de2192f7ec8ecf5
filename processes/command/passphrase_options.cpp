// SPDX-License-Identifier: Apache-2.0
#include "passphrase_options.h"

#include "arguments.h"


namespace mlxguard::cli {
namespace {

constexpr double kTokenTimeoutMaxS = 3600;

}  // namespace

void PassphraseOptions::define(Arguments& app) {
  Argument* from_fd = app.add_option("--passphrase-fd,--pin-fd", fd,
                                        "read the passphrase or PIN from this descriptor");
  Argument* from_file = app.add_option("--passphrase-file,--pin-file", file,
                                          "read the passphrase or PIN from this file (mode 600)")
                               ->excludes(from_fd);
  app.add_option("--passphrase-agent,--pin-agent", agent,
                 "run this program, which asks for the passphrase or PIN and prints it")
      ->excludes(from_fd)
      ->excludes(from_file);
  app.add_option("--token-timeout", token_timeout_s,
                 "seconds that a token's module may take for an answer")
      ->in_range(0.1, kTokenTimeoutMaxS);
}

void PassphraseOptions::define_new(Arguments& app) {
  Argument* from_fd = app.add_option("--new-passphrase-fd,--new-pin-fd", fd,
                                        "the same for the new key, from this descriptor");
  Argument* from_file = app.add_option("--new-passphrase-file,--new-pin-file", file,
                                          "the same for the new key, from this file (mode 600)")
                               ->excludes(from_fd);
  app.add_option("--new-passphrase-agent,--new-pin-agent", agent,
                 "the same for the new key, by this program")
      ->excludes(from_fd)
      ->excludes(from_file);
}

Result<crypto::Secret> PassphraseOptions::ask(const std::string& prompt,
                                              crypto::PassphraseUse use) const {
  if (fd) return crypto::passphrase_from_fd(*fd, use);
  if (!file.empty()) return crypto::passphrase_from_file(file, use);
  if (!agent.empty()) return crypto::passphrase_from_agent(agent, prompt, use);
  return crypto::passphrase_from_terminal(prompt, use);
}

Result<crypto::Secret> PassphraseOptions::read(const std::string& key_name,
                                               crypto::PassphraseUse use) const {
  return ask(
      (use == crypto::PassphraseUse::kCreate ? "New passphrase for key " : "Passphrase for key ") +
          key_name,
      use);
}

Result<crypto::Secret> PassphraseOptions::read_pin(const std::string& key_name) const {
  return ask("PIN of the token with key " + key_name, crypto::PassphraseUse::kOpen);
}

trust::KeySecrets PassphraseOptions::secrets(std::string key_name) const {
  trust::KeySecrets secrets;
  secrets.token = token();
  secrets.ask = [this, name = std::move(key_name)](trust::KeyKind kind) {
    return kind == trust::KeyKind::kToken ? read_pin(name)
                                          : read(name, crypto::PassphraseUse::kOpen);
  };
  return secrets;
}

crypto::TokenOptions PassphraseOptions::token() const {
  crypto::TokenOptions options;
  options.answer_within = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(token_timeout_s));
  return options;
}

}  // namespace mlxguard::cli
