// SPDX-License-Identifier: Apache-2.0
// What a chat template does beyond plain templating: reaching into Python, loading files, working
// without end, hiding text. Nothing is rendered: the template's tokens are read. Limits: a name
// built at run time from pieces that this reader does not fold is seen as computed, not resolved.
// Input: text chosen by an attacker.
#pragma once

#include <string>
#include <string_view>

#include "inspect/finding.h"

namespace mlxguard::inspect {

/// Whether lines of the template are lines of the file.
enum class TemplateOrigin : std::uint8_t { kFile, kInsideConfig };

/// `name` says which template, for people: "chat_template". `inside_at` is where a template that
/// stands inside of another file begins.
void scan_template(std::string_view untrusted_text, const std::string& name, TemplateOrigin origin,
                   Findings& findings, Place inside_at = {});

}  // namespace mlxguard::inspect
