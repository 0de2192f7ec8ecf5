// SPDX-License-Identifier: Apache-2.0
// EventLog: the Sink that cannot be altered unnoticed. An event is durable when append() returns,
// and in the signed tree at most some 200 ms later (README.md). Several processes may have one log
// open.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/byte_reader.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "log/integrator.h"
#include "record/event.h"

namespace mlxguard::log {

struct LogOptions {
  std::filesystem::path dir;        ///< $STATE/log; made (0700) if missing
  std::filesystem::path head_path;  ///< copy of the last checkpoint; empty: log.head beside `dir`
  std::string origin;  ///< name of a new log, such as "mlxguard/host"; no space, no '+'
  std::string process_name = "mlxguard";
  const Clock* clock = nullptr;
  crypto::Random* random = nullptr;
  /// From the moment an event is durable to the moment its integration starts.
  std::chrono::milliseconds integrate_after{100};
};

class EventLog final : public record::Sink {
 public:
  using Done = std::function<void(Result<void> result)>;

  /// Opens or makes a log, and recovers it after an unclean stop. Starts two threads.
  /// Errors: kLogKey, kLogCheckpoint, kLogRoot, kLogRollback, kLogTruncated, kLogJournal,
  /// kLogIndex, kLogEntryChanged, kLogEntryMissing, kLogTileChanged; see Integrator.
  [[nodiscard]] static Result<std::unique_ptr<EventLog>> open(LogOptions options,
                                                              crypto::Ed25519Key key);
  /// Closes; errors are lost, so call close() where they matter.
  ~EventLog() override;
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Returns once the event is durable, else kLogWrite. Thread-safe, blocks.
  [[nodiscard]] Result<void> append(const record::Event& event) override;
  /// As submit_all(), waiting for the answer.
  [[nodiscard]] Result<void> append_all(std::span<const record::Event> events);
  /// Returns at once. `done` is called exactly once, in the order of the submit() calls of a
  /// thread, from the commit thread: it must not block, and must not call into this log but
  /// submit(). It is called from within submit() itself, with kLogWrite, if the queue is full or
  /// the log is closed.
  void submit(const record::Event& event, Done done);
  /// The same for several events, in their order, with one answer for all of them: durable, or not.
  /// Up to kLogGroupEventsMax and kLogGroupBytesMax they become durable together or not at all; of
  /// more, the first ones may be in the log after an error.
  void submit_all(std::span<const record::Event> events, Done done);
  /// Waits until all that was submitted is durable and in the signed tree and the index.
  [[nodiscard]] Result<void> flush();
  /// flush(), then no more events are taken.
  [[nodiscard]] Result<void> close();

  /// For keyed hashes in events: equal inputs of one state folder have equal hashes, and nobody
  /// without its log key can make them.
  [[nodiscard]] Bytes correlation_key() const;
  /// Number of durable events that this process knows of.
  [[nodiscard]] std::uint64_t size() const;
  [[nodiscard]] const std::string& origin() const;
  /// What open() found; any() is false after an orderly stop.
  [[nodiscard]] const Recovery& recovery() const;

 private:
  struct Impl;
  explicit EventLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::log
