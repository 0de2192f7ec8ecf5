// SPDX-License-Identifier: Apache-2.0
// The asynchronous vocabulary of the mirror: one thread runs the event loop and its coroutines; a
// pool of threads does what blocks (upstream, disk, inspection) and posts back.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/result.h"

namespace mlxguard::mirror {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;
template <class T>
using Task = asio::awaitable<T, Executor>;
using SteadyTime = std::chrono::steady_clock::time_point;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

/// Completion token: the error code comes back as a value, never as an exception.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});

}  // namespace mlxguard::mirror

/// MLXGUARD_TRY_ASSIGN in a coroutine.
#define MLXGUARD_CO_TRY_ASSIGN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                         \
  if (!temporary.has_value()) co_return std::move(temporary).error();    \
  declaration = *std::move(temporary) /* NOLINT(bugprone-macro-parentheses) */
#define MLXGUARD_CO_TRY_ASSIGN(declaration, ...) \
  MLXGUARD_CO_TRY_ASSIGN_INNER(MLXGUARD_CONCAT(mlxguard_try_, __LINE__), declaration, (__VA_ARGS__))
