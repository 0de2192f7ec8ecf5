// SPDX-License-Identifier: Apache-2.0
// Compiles: shows that the files beside it fail for the reason they name, not for a broken include.
#include "engine/engine.h"

void try_it(const mlxguard::signature::VerifiedModel& model) {
  static_cast<void>(mlxguard::engine::load(model));
}
