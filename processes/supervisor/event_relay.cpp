// SPDX-License-Identifier: Apache-2.0
#include "event_relay.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/os_error.h"

namespace mlxguard::supervisor {

struct EventRelay::Shared {
  std::mutex mutex;
  UniqueFd notify;
  std::uint64_t contiguous = 0;           ///< all up to here are durable
  std::set<std::uint64_t> durable_ahead;  ///< durable, with a gap before them
  std::map<std::uint64_t, record::Event> failed;

  void mark_durable(std::uint64_t sequence) {
    durable_ahead.insert(sequence);
    while (!durable_ahead.empty() && *durable_ahead.begin() == contiguous + 1) {
      durable_ahead.erase(durable_ahead.begin());
      ++contiguous;
    }
  }
};

EventRelay::EventRelay(log::EventLog& log, std::shared_ptr<Shared> shared)
    : log_(log), shared_(std::move(shared)) {}

Result<std::unique_ptr<EventRelay>> EventRelay::create(log::EventLog& log) {
  auto shared = std::make_shared<Shared>();
  shared->notify = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->notify.is_open()) return os_error("eventfd");
  return std::unique_ptr<EventRelay>(new EventRelay(log, std::move(shared)));
}

void EventRelay::write(std::uint64_t sequence, const record::Event& event) {
  log_.submit(event, [shared = shared_, sequence, event](Result<void> written) {
    const std::lock_guard lock(shared->mutex);
    if (written) {
      shared->mark_durable(sequence);
    } else {
      shared->failed.emplace(sequence, event);
    }
    const std::uint64_t one = 1;
    // The counter cannot overflow into blocking; a full one is readable all the same.
    [[maybe_unused]] const auto ignored = ::write(shared->notify.get(), &one, sizeof(one));
  });
}

Result<void> EventRelay::submit(std::uint64_t sequence, record::Event event) {
  if (sequence != expected_) {
    return make_error(ErrorCode::kWorkerProtocol, "an event out of sequence");
  }
  ++expected_;
  write(sequence, event);
  return {};
}

std::optional<std::uint64_t> EventRelay::take_acknowledged() {
  std::uint64_t drained = 0;
  [[maybe_unused]] const auto ignored = ::read(shared_->notify.get(), &drained, sizeof(drained));
  const std::lock_guard lock(shared_->mutex);
  if (shared_->contiguous == acknowledged_) return std::nullopt;
  acknowledged_ = shared_->contiguous;
  return acknowledged_;
}

void EventRelay::retry_failed() {
  std::map<std::uint64_t, record::Event> failed;
  {
    const std::lock_guard lock(shared_->mutex);
    failed.swap(shared_->failed);
  }
  for (const auto& [sequence, event] : failed) write(sequence, event);
}

bool EventRelay::has_failed() const {
  const std::lock_guard lock(shared_->mutex);
  return !shared_->failed.empty();
}

int EventRelay::notify_fd() const { return shared_->notify.get(); }

}  // namespace mlxguard::supervisor
