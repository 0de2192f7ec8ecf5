// SPDX-License-Identifier: Apache-2.0
#include "async/event.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace mlxguard::async {

class Event::Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void resume(const Executor& executor) = 0;
};

template <class Handler>
class Event::WaiterOf final : public Event::Waiter {
 public:
  explicit WaiterOf(Handler handler) : handler_(std::move(handler)) {}
  void resume(const Executor& executor) override { asio::post(executor, std::move(handler_)); }

 private:
  Handler handler_;
};

Event::Event(Executor executor) : executor_(executor) {}
Event::~Event() = default;

Task<void> Event::wait() {
  if (!std::exchange(is_set_, false)) {
    MLXGUARD_CHECK(waiter_ == nullptr);
    co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
        [this](auto handler) {
          waiter_ = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler));
        },
        asio::use_awaitable_t<Executor>{});
  }
}

void Event::set() {
  if (waiter_ == nullptr) {
    is_set_ = true;
    return;
  }
  std::exchange(waiter_, nullptr)->resume(executor_);
}

}  // namespace mlxguard::async
