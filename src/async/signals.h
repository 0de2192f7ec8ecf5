// SPDX-License-Identifier: Apache-2.0
// Signals of this process as events of the loop.
#pragma once

#include <boost/asio/signal_set.hpp>

#include "async/task.h"

namespace mlxguard::async {

using Signals = asio::signal_set;

}  // namespace mlxguard::async
