// SPDX-License-Identifier: Apache-2.0
#include "call/ledger.h"

namespace mlxguard::call {
namespace {

Error breach(const char* what) { return make_error(ErrorCode::kWorkerProtocol, what); }

}  // namespace

std::uint64_t Ledger::open(std::uint32_t credit, bool tells_begun) {
  calls_.emplace(next_id_, Entry{credit, !tells_begun});
  return next_id_++;
}

void Ledger::grant(std::uint64_t id, std::uint32_t parts) {
  const auto found = calls_.find(id);
  if (found != calls_.end()) found->second.credit += parts;
}

bool Ledger::has_begun(std::uint64_t id) const {
  const auto found = calls_.find(id);
  return found != calls_.end() && found->second.begun;
}

Result<Ledger::Event> Ledger::check(const wire::Received& received) {
  if (received.is<Begun>()) return check_begun(received);
  if (received.is<Part>()) return check_part(received);
  return check_end(received);
}

Result<Ledger::Event> Ledger::check_begun(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(const auto message, received.as<Begun>());
  const auto found = calls_.find(message.id);
  if (found == calls_.end() || found->second.begun) return breach("the begin of no call");
  found->second.begun = true;
  Event event;
  event.id = message.id;
  return event;
}

Result<Ledger::Event> Ledger::check_part(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(const auto read, received.with_body<Part>());
  const auto found = calls_.find(read.first.id);
  if (found == calls_.end()) return breach("a part of no call");
  Entry& call = found->second;
  if (!call.begun || call.credit == 0) return breach("a part that was not asked for");
  --call.credit;
  Event event;
  event.kind = Event::Kind::kPart;
  event.id = read.first.id;
  event.part = read.second;
  return event;
}

Result<Ledger::Event> Ledger::check_end(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(auto read, received.with_body<End>());
  End& end = read.first;
  const auto found = calls_.find(end.id);
  if (found == calls_.end()) return breach("the end of no call");
  const Entry call = found->second;
  const bool failed = !end.code.empty();
  Event event;
  event.kind = Event::Kind::kEnd;
  event.id = end.id;
  event.failure = failed ? find_error_code(end.code) : nullptr;
  if (failed && (event.failure == nullptr || end.has_part)) {
    return breach("an end that says nothing known");
  }
  if (end.reason.size() > kReasonBytesMax) return breach("an end of too many words");
  if (!end.has_part && !read.second.empty()) return breach("an end longer than its fields");
  if (!failed && !call.begun) return breach("an answer to a call that never began");
  if (end.has_part) {
    if (call.credit == 0) return breach("a last part that was not asked for");
    event.part = read.second;
  }
  calls_.erase(found);
  event.end = std::move(end);
  return event;
}

}  // namespace mlxguard::call
