// SPDX-License-Identifier: Apache-2.0
// The whole public API but mlxguard/mlx.h, which needs mlx's headers.
//
//   auto guard = mlxguard::Guard::open({.public_keys = {"release.pub"}});
//   auto model = guard->load("models/minilm");
//   if (!model) std::cerr << model.error().code << '\n';
#pragma once

#include "mlxguard/error.h"
#include "mlxguard/guard.h"
#include "mlxguard/model.h"
#include "mlxguard/version.h"
