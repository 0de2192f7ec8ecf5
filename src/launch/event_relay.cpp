// SPDX-License-Identifier: Apache-2.0
#include "launch/event_relay.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/os_error.h"
#include "base/process_bounds.h"
#include "base/unique_fd.h"

namespace mlxguard::launch {

/// What came of submissions, written by the log's thread. Each number is in flight once, so both
/// lists together are no longer than the window.
struct EventRelay::Shared {
  std::mutex mutex;
  UniqueFd notify;
  std::vector<std::uint64_t> durable;
  std::vector<std::uint64_t> failed;

  void add(std::uint64_t sequence, bool written) {
    bool is_first = false;
    {
      const std::lock_guard lock(mutex);
      is_first = durable.empty() && failed.empty();
      (written ? durable : failed).push_back(sequence);
    }
    if (!is_first) return;  // the reader has been told, and takes everything when it comes
    const std::uint64_t one = 1;
    // The counter cannot overflow into blocking; a full one is readable all the same.
    [[maybe_unused]] const auto ignored = ::write(notify.get(), &one, sizeof(one));
  }
};

EventRelay::EventRelay(Submit submit, std::shared_ptr<Shared> shared)
    : submit_(std::move(submit)), shared_(std::move(shared)) {}

Result<std::unique_ptr<EventRelay>> EventRelay::create(Submit submit) {
  auto shared = std::make_shared<Shared>();
  shared->notify = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->notify.is_open()) return os_error("eventfd");
  return std::unique_ptr<EventRelay>(new EventRelay(std::move(submit), std::move(shared)));
}

EventRelay::Pending& EventRelay::at(std::uint64_t sequence) {
  MLXGUARD_CHECK(sequence > acknowledged_ && sequence - acknowledged_ <= pending_.size());
  return pending_[static_cast<std::size_t>(sequence - acknowledged_ - 1)];
}

void EventRelay::submit(std::uint64_t sequence) {
  std::shared_ptr<const record::Event> event = at(sequence).event;
  const record::Event& borrowed = *event;
  submit_(borrowed, [shared = shared_, sequence, event = std::move(event)](Result<void> written) {
    shared->add(sequence, written.has_value());
  });
}

Result<void> EventRelay::add(std::uint64_t sequence, record::Event event, std::size_t size_bytes) {
  if (sequence != acknowledged_ + pending_.size() + 1) {
    return make_error(ErrorCode::kWorkerProtocol, "an event out of sequence");
  }
  if (pending_.size() >= limits::kEventWindow ||
      pending_bytes_ + size_bytes > limits::kEventWindowBytes) {
    return make_error(ErrorCode::kWorkerProtocol,
                      "more events than may wait for their acknowledgement");
  }
  pending_bytes_ += size_bytes;
  pending_.push_back({std::make_shared<const record::Event>(std::move(event)), size_bytes, false});
  return {};
}

void EventRelay::submit_added() {
  while (submitted_ < acknowledged_ + pending_.size()) submit(++submitted_);
}

std::optional<std::uint64_t> EventRelay::take_acknowledged() {
  std::uint64_t drained = 0;
  [[maybe_unused]] const auto ignored =
      ::read(shared_->notify.get(), &drained, sizeof(drained));
  std::vector<std::uint64_t> durable;
  std::vector<std::uint64_t> failed;
  {
    const std::lock_guard lock(shared_->mutex);
    durable.swap(shared_->durable);
    failed.swap(shared_->failed);
  }
  failed_.insert(failed_.end(), failed.begin(), failed.end());
  for (const std::uint64_t sequence : durable) at(sequence).durable = true;
  const std::uint64_t before = acknowledged_;
  while (!pending_.empty() && pending_.front().durable) {
    pending_bytes_ -= pending_.front().size_bytes;
    pending_.pop_front();
    ++acknowledged_;
  }
  if (acknowledged_ == before) return std::nullopt;
  return acknowledged_;
}

void EventRelay::retry_failed() {
  for (const std::uint64_t sequence : std::exchange(failed_, {})) submit(sequence);
}

int EventRelay::notify_fd() const { return shared_->notify.get(); }

}  // namespace mlxguard::launch
