// SPDX-License-Identifier: Apache-2.0
// Passphrases from a descriptor, a file or the terminal; never from arguments or the environment.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

enum class PassphraseUse : std::uint8_t { kOpen, kCreate };

/// Reads to the end; one trailing newline is removed. kTooLarge beyond kPassphraseBytesMax;
/// kPassphraseWeak below kPassphraseBytesMin when creating.
[[nodiscard]] Result<Secret> passphrase_from_fd(int fd, PassphraseUse use);
/// Refuses a file that group or others may read or write, or that is neither this user's nor
/// root's: kUnsafePermissions.
[[nodiscard]] Result<Secret> passphrase_from_file(const std::filesystem::path& file,
                                                  PassphraseUse use);
/// Asks on /dev/tty without echo, twice when creating; one call at a time. The terminal is restored
/// before a signal (Ctrl-C) takes its effect. kPassphraseMissing where there is no terminal.
[[nodiscard]] Result<Secret> passphrase_from_terminal(std::string_view prompt, PassphraseUse use);

/// Runs a program that asks the user, or an agent, and prints the passphrase (as ssh-askpass,
/// systemd-ask-password or `secret-tool` in a script do): absolute path, `prompt` as its only
/// argument, no shell. Refuses a program that others can write: kUnsafePermissions.
/// kPassphraseMissing if it fails.
[[nodiscard]] Result<Secret> passphrase_from_agent(const std::filesystem::path& program,
                                                   std::string_view prompt, PassphraseUse use);

}  // namespace mlxguard::crypto
