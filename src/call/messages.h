// SPDX-License-Identifier: Apache-2.0
// The messages of a call: one request to a model and the parts of its answer.
//
//   client (gateway, command line)          server (worker)
//     Open{id, deadline, task} + payload ->
//                                        <- Begun{id}           if the client asked to be told
//                                        <- Part{id} + payload  once for each credit, at most
//     Credit{id, parts}                  ->
//     Cancel{id}                         ->
//                                        <- End{id, code, usage} (+ the last part's payload)
//
// An id is used once and grows from call to call. A call ends with exactly one End, also when it
// was cancelled; nothing comes for it afterwards. A client's Credit or Cancel may cross with an
// End, so a server ignores them for calls that have ended. Everything else that does not fit the
// state of a call is a breach of the protocol, and ends the link.
//
// Each receiver enforces its bounds: sizes by its Channel, ids, counts and credit by CallServer
// and CallClient.
#pragma once

#include <cstdint>
#include <string>

#include "base/limits.h"
#include "wire/channel.h"

namespace mlxguard::call {

enum class MessageType : std::uint16_t {
  // client -> server
  kOpen = 80,
  kCredit = 81,
  kCancel = 82,
  // server -> client
  kBegun = 100,
  kPart = 101,
  kEnd = 102,
};

/// What each end accepts in one message.
inline constexpr wire::ReceiveBounds kCallBounds{limits::kIpcPayloadBytesMax, 0};
/// Calls that a server holds for one client: more are a breach.
inline constexpr std::size_t kCallsMax = 64;
/// Parts that a client may have asked for and not yet received, of one call.
inline constexpr std::uint32_t kCreditMax = 4096;
inline constexpr std::size_t kTaskNameBytesMax = 64;
/// What a server says in words about a failed call; the rest is cut off.
inline constexpr std::size_t kReasonBytesMax = 512;

/// Opens a call. The task's own request follows as the message's body.
struct Open {
  static constexpr MessageType kType = MessageType::kOpen;
  std::uint64_t id = 0;
  std::int64_t deadline_ns = 0;  ///< CLOCK_MONOTONIC, the same clock in both processes
  std::uint32_t credit = 1;      ///< parts that the client will take before it gives more
  bool tell_begun = false;       ///< the client wants a Begun
  std::string task;              ///< the name of a row of task/table.h
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(deadline_ns), archive(credit), archive(tell_begun), archive(task);
  }
};

/// The client takes so many more parts.
struct Credit {
  static constexpr MessageType kType = MessageType::kCredit;
  std::uint64_t id = 0;
  std::uint32_t parts = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(parts);
  }
};

/// Nobody wants the answer any more. The server ends the call at its next step.
struct Cancel {
  static constexpr MessageType kType = MessageType::kCancel;
  std::uint64_t id = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id);
  }
};

/// The model is about to see the call: should the server die now, the call may be why.
struct Begun {
  static constexpr MessageType kType = MessageType::kBegun;
  std::uint64_t id = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id);
  }
};

/// A part of the answer follows as the message's body.
struct Part {
  static constexpr MessageType kType = MessageType::kPart;
  std::uint64_t id = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id);
  }
};

/// What a call used, as the server says; nothing is decided by it.
struct Usage {
  std::int64_t run_microseconds = 0;
  std::uint64_t tokens_in = 0;
  std::uint64_t tokens_out = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(run_microseconds), archive(tokens_in), archive(tokens_out);
  }
};

/// How the call ended. If `has_part`, the last part follows as the message's body, so that an
/// answer of one part is one message.
struct End {
  static constexpr MessageType kType = MessageType::kEnd;
  std::uint64_t id = 0;
  std::string code{};    ///< stable name of an ErrorCode; empty: the answer is whole
  std::string reason{};  ///< for the log of whoever receives it
  bool has_part = false;
  Usage usage{};
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(code), archive(reason), archive(has_part), archive(usage);
  }
};

}  // namespace mlxguard::call
