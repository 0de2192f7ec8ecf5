// SPDX-License-Identifier: Apache-2.0
// What the trust policy said of a model, for people and as JSON.
#pragma once

#include "codec/json.h"
#include "output.h"
#include "trust/policy.h"

namespace mlxguard::cli {

/// The member "trust" of an object: source, match, mode, every condition, the signers that count.
void write_judgement(codec::JsonWriter& json, const trust::Judgement& judgement);

/// One line a condition with a mark, and what was expected and found where it failed.
void show_conditions(const Output& output, const trust::Judgement& judgement);

/// Notes on standard error for what a source in mode `warn` let through.
void show_warnings(const Output& output, const trust::Judgement& judgement);

}  // namespace mlxguard::cli
