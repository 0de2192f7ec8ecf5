// SPDX-License-Identifier: Apache-2.0
// Flights: work that many wait for and that is done once. Whoever asks first starts the job in the
// pool; who asks while it is under way waits for the same outcome. A waiter is woken now and then
// so that it can keep its client's patience. Used on the event loop's thread alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "net.h"

namespace mlxguard::mirror {

/// Told every few seconds that the wait goes on.
class Patience {
 public:
  virtual ~Patience() = default;
  /// False if nobody waits any more.
  [[nodiscard]] virtual Task<bool> still_waiting() = 0;
};

template <class T>
class Flights {
 public:
  using Outcome = std::shared_ptr<const T>;
  using Job = std::function<T()>;

  Flights(asio::io_context& io, asio::thread_pool& pool) : io_(io), pool_(pool) {}
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;

  /// The outcome, or nullptr after `wait` or when the client went away; the job goes on all the
  /// same.
  [[nodiscard]] Task<Outcome> join(std::string key, Job job, std::chrono::milliseconds wait,
                                   Patience& patience) {
    std::shared_ptr<Flight>& known = flights_[key];
    if (!known) {
      known = std::make_shared<Flight>();
      start(key, known, std::move(job));
    }
    const std::shared_ptr<Flight> flight = known;
    const SteadyTime end = std::chrono::steady_clock::now() + wait;
    Timer timer(io_.get_executor());
    while (!flight->outcome) {
      timer.expires_at(std::min(end, std::chrono::steady_clock::now() + kPatienceInterval));
      flight->waiters.insert(&timer);
      co_await timer.async_wait(kAwait);
      flight->waiters.erase(&timer);
      if (flight->outcome) break;
      if (std::chrono::steady_clock::now() >= end) co_return nullptr;
      if (!co_await patience.still_waiting()) co_return nullptr;
    }
    co_return flight->outcome;
  }

  [[nodiscard]] bool under_way(const std::string& key) const { return flights_.contains(key); }

 private:
  struct Flight {
    Outcome outcome;
    std::set<Timer*> waiters;
  };
  static constexpr std::chrono::seconds kPatienceInterval{5};

  void start(const std::string& key, std::shared_ptr<Flight> flight, Job job) {
    asio::post(pool_, [this, key, flight = std::move(flight), job = std::move(job)]() mutable {
      auto outcome = std::make_shared<const T>(job());
      asio::post(io_, [this, key, flight = std::move(flight), outcome = std::move(outcome)] {
        flight->outcome = outcome;
        flights_.erase(key);
        for (Timer* timer : flight->waiters) timer->cancel();
      });
    });
  }

  asio::io_context& io_;
  asio::thread_pool& pool_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace mlxguard::mirror
