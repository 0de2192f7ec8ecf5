// SPDX-License-Identifier: Apache-2.0
// The coroutine vocabulary under the mirror's own name. One thread runs the event loop and its
// coroutines; a pool of threads does what blocks (upstream, disk, inspection) and posts back.
#pragma once

#include "async/pool.h"
#include "async/task.h"

namespace mlxguard::mirror {

namespace asio = boost::asio;
using async::Executor;
using async::kAwait;
using async::SteadyTime;
using async::Task;
using async::Timer;

}  // namespace mlxguard::mirror
