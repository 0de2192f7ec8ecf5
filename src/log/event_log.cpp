// SPDX-License-Identifier: Apache-2.0
#include "log/event_log.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "log/files.h"
#include "log/journal.h"
#include "log/layout.h"
#include "log/ocsf.h"
#include "log/recent.h"

namespace mlxguard::log {

using record::Attr;
namespace {

constexpr std::chrono::milliseconds kRetryAfter{500};
constexpr std::chrono::milliseconds kLookForOthers{200};
/// What is in the newest journal file is read at each open, whether or not it is in the tree.
constexpr std::uint64_t kRotateAtCloseBytes = 32u << 10;

/// Events on their way, with one answer: written and hashed in the caller's thread.
struct Pending {
  std::vector<EventLine> lines;
  std::size_t bytes = 0;
  EventLog::Done done;
};

Error not_durable(const Error& error) {
  Error out =
      make_error(ErrorCode::kLogWrite, "an event could not be made durable: " + error.message +
                                           " [" + std::string(name_of(error.code)) + "]");
  out.subject = error.subject;
  out.hint = error.hint;
  return out;
}

/// Lets a caller wait for the commit thread's answer.
class Waiter {
 public:
  EventLog::Done done() {
    return [this](Result<void> result) {
      const std::lock_guard lock(mutex_);
      result_ = std::move(result);
      answered_.notify_one();
    };
  }
  Result<void> wait() {
    std::unique_lock lock(mutex_);
    answered_.wait(lock, [this] { return result_.has_value(); });
    return *std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<Result<void>> result_;
};

}  // namespace

struct EventLog::Impl {
  Impl(LogOptions log_options, crypto::Ed25519Key log_key)
      : options(std::move(log_options)), key(std::move(log_key)) {}

  Result<void> open();
  Result<void> recover_if_needed();
  Result<void> recover();
  Result<void> append_recovered_event();
  void start();
  void submit(std::span<const record::Event> events, Done done);
  std::vector<Pending> take_group();
  Result<std::size_t> commit(const std::vector<Pending>& group);
  void remember(std::vector<Pending>& group, std::size_t events);
  void commit_loop();
  void wait_for_integrator();
  void integrate_loop();
  /// A process that closes leaves a long backlog to those that stay, if it is not its own.
  enum class Until : std::uint8_t { kAllDone, kOthersGoOn };
  Result<void> integrate_now(Until until = Until::kAllDone);
  Result<bool> others_are_alive();
  bool others_appended();
  void wait_until_committed();
  Result<void> stop();

  LogOptions options;
  crypto::Ed25519Key key;
  std::string dir;
  std::string origin;
  Hash correlation_key{};
  Recovery recovery;

  // The commit thread's own.
  std::optional<FileLock> append_lock;
  std::optional<JournalWriter> journal;
  std::optional<OcsfWriter> ocsf;  // thread-safe

  std::mutex integrator_mutex;  // guards the three below
  std::optional<FileLock> integrate_lock;
  std::optional<FileLock> extent_lock;  // DIR/lock, opened a second time: flock is by open file
  std::optional<Integrator> integrator;
  RecentEvents recent;  // thread-safe

  std::atomic<std::uint64_t> size{0};        // durable events
  std::atomic<std::uint64_t> integrated{0};  // of them in the tree
  std::atomic<std::uint64_t> appended{0};    // by this process
  std::optional<FileLock> users_lock;        // held shared as long as this lives

  mutable std::mutex mutex;  // guards all below
  std::condition_variable work;
  std::condition_variable committed;
  std::condition_variable integrate;
  std::deque<Pending> queue;
  std::size_t queue_bytes = 0;
  bool committing = false;
  bool stopping = false;
  bool dirty = false;
  JournalExtent::File seen{0, 0, 0};  // the integrate thread's own
  std::thread commit_thread;
  std::thread integrate_thread;
};

Result<void> EventLog::Impl::open() {
  dir = options.dir.string();
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  if (options.head_path.empty()) {
    options.head_path = std::filesystem::path(dir).parent_path() / layout::kHead;
  }
  correlation_key =
      crypto::hmac_sha256(key.seed().bytes(), as_bytes("mlxguard event correlation v1"));
  MLXGUARD_TRY(make_folders(dir));
  MLXGUARD_TRY(make_folders(options.head_path.parent_path().string()));
  const std::string lock_path = dir + "/" + layout::kAppendLock;
  MLXGUARD_TRY_ASSIGN(append_lock, FileLock::open(lock_path));
  MLXGUARD_TRY_ASSIGN(extent_lock, FileLock::open(lock_path));
  MLXGUARD_TRY_ASSIGN(integrate_lock, FileLock::open(dir + "/" + layout::kIntegrateLock));
  MLXGUARD_TRY_ASSIGN(users_lock, FileLock::open(dir + "/" + layout::kUsersLock));
  {
    MLXGUARD_TRY_ASSIGN(const LockGuard lock,
                        LockGuard::take(*integrate_lock, FileLock::Mode::kExclusive));
    MLXGUARD_TRY_ASSIGN(integrator,
                        Integrator::open({dir, options.head_path.string(), options.origin, &key}));
    origin = integrator->checkpoint().origin;
    OcsfSource source = OcsfSource::of_this_process(options.process_name);
    source.log_name = origin;
    ocsf.emplace(std::move(source), *options.random);
    MLXGUARD_TRY(recover_if_needed());
  }
  size = journal->next_index();
  integrated = integrator->checkpoint().size;
  start();
  return recovery.any() ? append_recovered_event() : Result<void>();
}

Result<void> EventLog::Impl::recover_if_needed() {
  MLXGUARD_TRY_ASSIGN(const bool alone,
                      users_lock->acquire(FileLock::Mode::kExclusive, FileLock::Wait::kTry));
  {
    MLXGUARD_TRY_ASSIGN(const LockGuard lock,
                        LockGuard::take(*append_lock, FileLock::Mode::kExclusive));
    // With others alive, events that are not integrated yet are theirs to integrate, not a sign of
    // an unclean stop; damage is damage in either case.
    if (alone) MLXGUARD_TRY(recover());
    auto writer = JournalWriter::open(dir, integrator->checkpoint().size, key.seed());
    if (!alone && !writer.has_value() && writer.error().code == ErrorCode::kLogJournal) {
      MLXGUARD_TRY(recover());
      writer = JournalWriter::open(dir, integrator->checkpoint().size, key.seed());
    }
    if (!writer.has_value()) return std::move(writer).error();
    journal.emplace(*std::move(writer));
  }
  // One's own exclusive lock is turned into a shared one at once; another's is only held for a
  // moment.
  const auto wait = alone ? FileLock::Wait::kTry : FileLock::Wait::kBlock;
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const bool held,
                      users_lock->acquire(FileLock::Mode::kShared, wait));
  return {};
}

Result<void> EventLog::Impl::recover() {
  record::Event lost{.kind = record::Kind::kLogRecovered, .outcome = record::Outcome::kFailed};
  lost.code = ErrorCode::kLogJournal;
  lost.message = "an event that stood here was damaged in the journal, and is lost";
  lost.time = options.clock->now();
  MLXGUARD_TRY_ASSIGN(recovery, integrator->recover(ocsf->write(lost)));
  return {};
}

Result<void> EventLog::Impl::append_recovered_event() {
  record::Event event{.kind = record::Kind::kLogRecovered};
  event.message = "the event log was recovered after an unclean stop";
  if (recovery.found_damage()) {
    event.outcome = record::Outcome::kFailed;
    event.code = ErrorCode::kLogJournal;
    event.message += "; parts of its journal were damaged";
  }
  event.set(Attr::kPendingEvents, recovery.pending_events)
      .set(Attr::kTornBytes, recovery.torn_bytes)
      .set(Attr::kLostEvents, recovery.lost_events)
      .set(Attr::kDamagedFiles, recovery.damaged_files);
  Waiter waiter;
  submit({&event, 1}, waiter.done());
  return waiter.wait();
}

void EventLog::Impl::start() {
  commit_thread = std::thread([this] { commit_loop(); });
  integrate_thread = std::thread([this] { integrate_loop(); });
}

void EventLog::Impl::submit(std::span<const record::Event> events, Done done) {
  Pending item;
  item.lines.reserve(events.size());
  for (const record::Event& event : events) {
    std::string text = ocsf->write(event, event.time ? *event.time : options.clock->now());
    const Hash leaf = leaf_hash(as_bytes(text));
    item.bytes += text.size();
    item.lines.push_back({std::move(text), leaf});
  }
  item.done = std::move(done);
  {
    const std::lock_guard lock(mutex);
    if (!stopping && (queue.empty() || queue_bytes + item.bytes <= limits::kLogQueueBytesMax)) {
      const bool idle = queue.empty();
      queue_bytes += item.bytes;
      queue.push_back(std::move(item));
      if (idle && !committing) work.notify_one();
      return;
    }
  }
  item.done(make_error(ErrorCode::kLogWrite, "the log's queue is full or closed"));
}

/// Whole submissions, as many as fit into one frame; a larger one alone.
std::vector<Pending> EventLog::Impl::take_group() {
  std::vector<Pending> group;
  std::size_t events = 0;
  std::size_t bytes = 0;
  while (!queue.empty()) {
    const Pending& next = queue.front();
    events += next.lines.size();
    bytes += next.bytes;
    if (!group.empty() &&
        (events > limits::kLogGroupEventsMax || bytes > limits::kLogGroupBytesMax)) {
      break;
    }
    queue_bytes -= next.bytes;
    group.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  return group;
}

/// Number of events that are durable now; all of them, or an error.
Result<std::size_t> EventLog::Impl::commit(const std::vector<Pending>& group) {
  std::vector<JournalRecord> records;
  for (const Pending& item : group) {
    for (const EventLine& line : item.lines) {
      records.push_back({as_bytes(line.text), line.leaf});
    }
  }
  MLXGUARD_TRY_ASSIGN(const LockGuard lock,
                      LockGuard::take(*append_lock, FileLock::Mode::kExclusive));
  MLXGUARD_TRY(journal->refresh());
  for (std::span<const JournalRecord> rest = records; !rest.empty();) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    while (count < rest.size() && count < limits::kLogGroupEventsMax &&
           bytes < limits::kLogGroupBytesMax) {
      bytes += rest[count++].entry.size();
    }
    MLXGUARD_TRY(journal->append(rest.first(count)));
    rest = rest.subspan(count);
  }
  return records.size();
}

void EventLog::Impl::commit_loop() {
  std::unique_lock lock(mutex);
  while (true) {
    work.wait(lock, [this] { return stopping || !queue.empty(); });
    if (queue.empty()) return;
    std::vector<Pending> group = take_group();
    committing = true;
    lock.unlock();
    wait_for_integrator();
    const auto written = commit(group);
    Result<void> result;
    if (written.has_value()) {
      appended += *written;
      remember(group, *written);
      size = journal->next_index();  // before the answers: who got one sees its event counted
    } else {
      result = not_durable(written.error());
    }
    for (const Pending& item : group) item.done(result);
    lock.lock();
    committing = false;
    if (result.has_value() && !dirty) {
      dirty = true;
      integrate.notify_one();
    }
    committed.notify_all();
  }
}

/// Leaves the lines of a group to the integrator.
void EventLog::Impl::remember(std::vector<Pending>& group, std::size_t events) {
  RecentGroup lines;
  lines.first_index = journal->next_index() - events;
  lines.cursor = journal->cursor();
  if (group.size() == 1) {
    lines.lines = std::move(group.front().lines);
  } else {
    lines.lines.reserve(events);
    for (Pending& item : group) {
      for (EventLine& line : item.lines) lines.lines.push_back(std::move(line));
    }
  }
  recent.add(std::move(lines));
}

/// The journal may run ahead of the tree, but not without bound: callers feel it as a slower log.
/// An integrator that cannot go on (a full disk) slows them too, but does not stop them.
void EventLog::Impl::wait_for_integrator() {
  constexpr std::chrono::milliseconds kStep{5};
  constexpr int kStepsMax = 200;
  for (int step = 0; step < kStepsMax && size > integrated + limits::kLogBacklogEventsMax; ++step) {
    std::this_thread::sleep_for(kStep);
  }
}

void EventLog::Impl::integrate_loop() {
  std::unique_lock lock(mutex);
  std::chrono::milliseconds delay = options.integrate_after;
  while (true) {
    integrate.wait_for(lock, kLookForOthers, [this] { return stopping || dirty; });
    if (stopping) return;  // stop() integrates what is left
    if (!dirty && !others_appended()) continue;
    integrate.wait_for(lock, delay, [this] { return stopping; });
    if (stopping) return;
    dirty = false;
    lock.unlock();
    const Result<void> done = integrate_now();
    lock.lock();
    delay = done.has_value() ? options.integrate_after : kRetryAfter;
    if (!done.has_value()) dirty = true;
  }
}

Result<void> EventLog::Impl::integrate_now(Until until) {
  const std::lock_guard lock(integrator_mutex);
  const std::uint64_t target = size;  // what comes while this runs is for the next call
  while (true) {
    MLXGUARD_TRY_ASSIGN(const LockGuard held,
                        LockGuard::take(*integrate_lock, FileLock::Mode::kExclusive));
    MLXGUARD_TRY_ASSIGN(const Integrator::Progress progress, integrator->run(*extent_lock, recent));
    integrated = integrator->checkpoint().size;
    if (progress == Integrator::Progress::kAllDone || integrated >= target) return {};
    if (until == Until::kOthersGoOn && appended < limits::kLogIntegrationEventsMax) {
      MLXGUARD_TRY_ASSIGN(const bool others, others_are_alive());
      if (others) return {};
    }
  }
}

/// Only asks: the lock is held shared afterwards as before, for who opens the log next waits for it
/// while holding DIR/lock.integrate.
Result<bool> EventLog::Impl::others_are_alive() {
  MLXGUARD_TRY_ASSIGN(const bool alone,
                      users_lock->acquire(FileLock::Mode::kExclusive, FileLock::Wait::kTry));
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const bool held,
                      users_lock->acquire(FileLock::Mode::kShared, FileLock::Wait::kTry));
  return !alone;
}

/// What a process that is gone again left in the journal is this one's to integrate.
bool EventLog::Impl::others_appended() {
  const auto extent = journal_extent(dir);
  if (!extent.has_value() || extent->files.empty()) return false;
  const JournalExtent::File& newest = extent->files.back();
  const bool moved = newest.segment != seen.segment || newest.bytes != seen.bytes ||
                     newest.changed_ns != seen.changed_ns;
  seen = newest;
  return moved;
}

void EventLog::Impl::wait_until_committed() {
  std::unique_lock lock(mutex);
  committed.wait(lock, [this] { return queue.empty() && !committing; });
}

Result<void> EventLog::Impl::stop() {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return {};
    stopping = true;
  }
  work.notify_all();
  integrate.notify_all();
  commit_thread.join();
  integrate_thread.join();
  MLXGUARD_TRY(integrate_now(Until::kOthersGoOn));
  {
    // The next process that opens the log need not read what the tree has.
    MLXGUARD_TRY_ASSIGN(const LockGuard lock,
                        LockGuard::take(*append_lock, FileLock::Mode::kExclusive));
    MLXGUARD_TRY(journal->refresh());
    MLXGUARD_TRY(journal->rotate(kRotateAtCloseBytes));
  }
  MLXGUARD_TRY(integrate_now(Until::kOthersGoOn));
  users_lock->release();
  return {};
}

EventLog::EventLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EventLog::~EventLog() { (void)close(); }

Result<std::unique_ptr<EventLog>> EventLog::open(LogOptions options, crypto::Ed25519Key key) {
  MLXGUARD_CHECK(options.clock != nullptr && options.random != nullptr && !options.dir.empty());
  auto impl = std::make_unique<Impl>(std::move(options), std::move(key));
  Result<void> opened = impl->open();
  if (!opened.has_value()) {
    if (impl->commit_thread.joinable()) (void)impl->stop();
    return std::move(opened).error().with("opening the event log", impl->dir);
  }
  return std::unique_ptr<EventLog>(new EventLog(std::move(impl)));
}

Result<void> EventLog::append(const record::Event& event) { return append_all({&event, 1}); }

Result<void> EventLog::append_all(std::span<const record::Event> events) {
  if (events.empty()) return {};
  Waiter waiter;
  impl_->submit(events, waiter.done());
  return waiter.wait();
}

void EventLog::submit(const record::Event& event, Done done) {
  impl_->submit({&event, 1}, std::move(done));
}

void EventLog::submit_all(std::span<const record::Event> events, Done done) {
  impl_->submit(events, std::move(done));
}

Result<void> EventLog::flush() {
  impl_->wait_until_committed();
  return impl_->integrate_now();
}

Result<void> EventLog::close() { return impl_->stop(); }

std::uint64_t EventLog::size() const { return impl_->size; }

Bytes EventLog::correlation_key() const { return impl_->correlation_key; }

const std::string& EventLog::origin() const { return impl_->origin; }
const Recovery& EventLog::recovery() const { return impl_->recovery; }

}  // namespace mlxguard::log
