// SPDX-License-Identifier: Apache-2.0
// Ledger: the client's account of the calls at one server, and the check of everything that the
// server says. Knows no sockets and no time. Input: messages of a server that may be compromised.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "call/messages.h"

namespace mlxguard::call {

class Ledger {
 public:
  /// What a message came to, when it fits the state of its call.
  struct Event {
    enum class Kind : std::uint8_t { kBegun, kPart, kEnd };
    Kind kind = Kind::kBegun;
    std::uint64_t id = 0;
    std::optional<Bytes> part;  ///< of kPart, perhaps of kEnd; lives as long as the message
    End end;                    ///< of kEnd
    const ErrorCodeRow* failure = nullptr;  ///< of kEnd: what `end.code` names; null: none
  };

  /// Opens a call and returns its id. It counts as begun unless the server is to tell.
  [[nodiscard]] std::uint64_t open(std::uint32_t credit, bool tells_begun);
  /// The call was never sent.
  void forget(std::uint64_t id) { calls_.erase(id); }
  /// The server may send so many parts more.
  void grant(std::uint64_t id, std::uint32_t parts);
  [[nodiscard]] bool has_begun(std::uint64_t id) const;
  [[nodiscard]] std::size_t size() const { return calls_.size(); }

  /// Every error is kWorkerProtocol: the server broke the rules and the link is to end.
  [[nodiscard]] Result<Event> check(const wire::Received& received);

 private:
  struct Entry {
    std::uint32_t credit = 0;
    bool begun = false;
  };
  [[nodiscard]] Result<Event> check_begun(const wire::Received& received);
  [[nodiscard]] Result<Event> check_part(const wire::Received& received);
  [[nodiscard]] Result<Event> check_end(const wire::Received& received);

  std::map<std::uint64_t, Entry> calls_;  ///< that have not ended
  std::uint64_t next_id_ = 1;
};

}  // namespace mlxguard::call
