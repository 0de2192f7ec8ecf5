// SPDX-License-Identifier: Apache-2.0
// Event: one coroutine waits, another one (or a callback) wakes it. Both run on the thread of one
// event loop.
#pragma once

#include <memory>

#include "async/task.h"

namespace mlxguard::async {

/// Remembers a signal until somebody waits for it, so that no signal is lost. At most one coroutine
/// may wait at a time.
class Event {
 public:
  explicit Event(Executor executor);
  /// A coroutine that still waits is destroyed, not resumed.
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// Returns when the event is set, at once if it is set already; takes the signal away.
  [[nodiscard]] Task<void> wait();
  /// Sets the event. A coroutine that waits is resumed by the event loop, never from inside set().
  void set();

 private:
  class Waiter;
  template <class Handler>
  class WaiterOf;

  Executor executor_;
  std::unique_ptr<Waiter> waiter_;
  bool is_set_ = false;
};

}  // namespace mlxguard::async
