// SPDX-License-Identifier: Apache-2.0
// Threads beside the event loop, for work that blocks. They hand their outcomes to the loop with
// asio::post, so its Io must be made with Threads::kOthersPost.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "async/task.h"

namespace mlxguard::async {

using Pool = asio::thread_pool;

}  // namespace mlxguard::async
