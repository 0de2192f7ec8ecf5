// SPDX-License-Identifier: Apache-2.0
// The coroutine vocabulary of our event loops: one thread, one loop, coroutines. Names Asio's types
// once, with a concrete executor, since the type-erased one costs an allocation at every hop.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>

#include "base/result.h"

namespace mlxguard::async {

namespace asio = boost::asio;

/// The event loop. One thread runs it.
class Io : public asio::io_context {
 public:
  /// Without locks where no other thread exists. With them, other threads may post to the loop and
  /// do nothing else with it.
  enum class Threads : std::uint8_t { kNoOther, kOthersPost };
  explicit Io(Threads threads = Threads::kNoOther)
      : asio::io_context(threads == Threads::kNoOther ? BOOST_ASIO_CONCURRENCY_HINT_UNSAFE : 1) {}
  /// Destroys every coroutine that still waits. Coroutines refer to other parts of the process, so
  /// call this before those parts are destroyed. The loop itself must be destroyed last, because
  /// the parts hold its timers and sockets.
  void drop_everything() { shutdown(); }
};

using Executor = asio::io_context::executor_type;
/// What a coroutine returns. It starts when it is awaited or spawned.
template <class T>
using Task = asio::awaitable<T, Executor>;
using SteadyTime = std::chrono::steady_clock::time_point;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;

/// Completion token: the error code comes back as a value, never as an exception.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});

}  // namespace mlxguard::async

/// MLXGUARD_TRY in a coroutine.
#define MLXGUARD_CO_TRY(expression)                                          \
  do {                                                                       \
    if (auto mlxguard_result = (expression); !mlxguard_result.has_value()) { \
      co_return std::move(mlxguard_result).error();                          \
    }                                                                        \
  } while (false)

#define MLXGUARD_CO_TRY_ASSIGN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                         \
  if (!temporary.has_value()) co_return std::move(temporary).error();    \
  declaration = *std::move(temporary) /* NOLINT(bugprone-macro-parentheses) */

/// MLXGUARD_TRY_ASSIGN in a coroutine.
#define MLXGUARD_CO_TRY_ASSIGN(declaration, ...) \
  MLXGUARD_CO_TRY_ASSIGN_INNER(MLXGUARD_CONCAT(mlxguard_try_, __LINE__), declaration, (__VA_ARGS__))
