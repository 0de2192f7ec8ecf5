// SPDX-License-Identifier: Apache-2.0
// A VerifiedModel cannot be made by hand.
#include "engine/engine.h"

void try_it() { static_cast<void>(mlxguard::engine::load(mlxguard::signature::VerifiedModel{})); }
