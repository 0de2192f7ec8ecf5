// SPDX-License-Identifier: Apache-2.0
// An InspectorProcess together with what it needs, for those who inspect a model on the way to
// admitting it.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "inspect/inspector.h"
#include "sandbox/host.h"

namespace mlxguard::launch {

/// `mlxguard-inspector` beside the program that runs. `host` lives longer than the inspector.
/// Errors: kNotFound if it is not there.
[[nodiscard]] Result<std::unique_ptr<inspect::Inspector>> open_inspector(const sandbox::Host& host);

}  // namespace mlxguard::launch
