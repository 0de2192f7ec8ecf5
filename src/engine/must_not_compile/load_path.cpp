// SPDX-License-Identifier: Apache-2.0
// A path is no VerifiedModel.
#include "engine/engine.h"

void try_it() { static_cast<void>(mlxguard::engine::load(std::string("model"))); }
