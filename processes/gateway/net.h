// SPDX-License-Identifier: Apache-2.0
// The coroutine vocabulary under the gateway's own name.
#pragma once

#include "async/task.h"

namespace mlxguard::gateway {

namespace asio = boost::asio;
using async::Descriptor;
using async::Executor;
using async::Io;
using async::kAwait;
using async::SteadyTime;
using async::Task;
using async::Timer;

}  // namespace mlxguard::gateway
