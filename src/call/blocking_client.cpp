// SPDX-License-Identifier: Apache-2.0
#include "call/blocking_client.h"

namespace mlxguard::call {
namespace {

constexpr std::chrono::milliseconds kGrace{500};

}  // namespace

Result<Outcome> ask_and_wait(wire::Channel& channel, const BlockingRequest& request,
                             const std::function<Result<void>(Bytes part)>& on_part) {
  Ledger ledger;
  Open open;
  open.credit = 1;
  open.id = ledger.open(open.credit, open.tell_begun);
  open.deadline_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                         request.deadline.time_since_epoch())
                         .count();
  open.task = request.task;
  MLXGUARD_TRY_ASSIGN(const wire::Packet packet, wire::pack_with_body(open, request.payload));
  MLXGUARD_TRY(channel.send(packet));
  for (;;) {
    MLXGUARD_TRY_ASSIGN(const wire::Received received, channel.receive(request.deadline + kGrace));
    MLXGUARD_TRY_ASSIGN(Ledger::Event event, ledger.check(received));
    if (event.part) MLXGUARD_TRY(on_part(*event.part));
    if (event.kind == Ledger::Event::Kind::kPart) {
      ledger.grant(open.id, 1);
      MLXGUARD_TRY(channel.send(Credit{open.id, 1}));
    }
    if (event.kind != Ledger::Event::Kind::kEnd) continue;
    if (event.failure == nullptr) return Outcome(event.end.usage);
    return Outcome(WorkerError(event.failure->code, std::move(event.end.reason)));
  }
}

}  // namespace mlxguard::call
