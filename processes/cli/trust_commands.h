// SPDX-License-Identifier: Apache-2.0
// What the `trust` commands share, and where each of them is.
#pragma once

#include <functional>
#include <string>

#include "arguments.h"
#include "commands.h"
#include "trust/policy.h"

namespace mlxguard::cli {

/// `trust add`, `trust remove`, `trust sign`: trust_change_command.cpp.
void define_trust_changes(Arguments& app, const std::function<void(Action)>& chosen);

/// "release (3f9c41d2)", "email:ci@example.org by authority 77aa0b1e": for a list of signers.
[[nodiscard]] std::string describe_signer(const trust::SignerRule& signer,
                                          const trust::KeyRing& ring);

}  // namespace mlxguard::cli
