// SPDX-License-Identifier: Apache-2.0
// Both receivers of the call protocol, each spoken to by a hostile peer. The first byte chooses the
// receiver; then each message is a byte for its type, two for its length, and that many bytes of
// fields and body. After each message the invariants of the receiver are checked.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "call/call_server.h"
#include "call/ledger.h"

namespace {

using namespace mlxguard;
using namespace mlxguard::call;

constexpr std::array kTypes{MessageType::kOpen, MessageType::kCredit, MessageType::kCancel,
                            MessageType::kBegun, MessageType::kPart,  MessageType::kEnd};

struct Message {
  wire::MessageNumber type = 0;
  std::vector<std::uint8_t> bytes;
};

/// Takes the next message off; false at the end.
bool next(Bytes& input, Message& message) {
  if (input.size() < 3) return false;
  message.type = input[0] < kTypes.size() ? static_cast<wire::MessageNumber>(kTypes[input[0]])
                                          : input[0];
  const std::size_t size = std::min<std::size_t>(input[1] | input[2] << 8, input.size() - 3);
  message.bytes.assign(input.begin() + 3, input.begin() + 3 + static_cast<std::ptrdiff_t>(size));
  input = input.subspan(3 + size);
  return true;
}

/// A part a step, until the payload's first byte is reached.
class Counter final : public Run {
 public:
  explicit Counter(Bytes payload) : left_(payload.empty() ? 0 : payload[0] % 8) {}
  [[nodiscard]] Result<Step> next() override {
    if (left_ == 0) return make_error(ErrorCode::kEngineRun, "nothing left");
    return --left_ == 0 ? Step::last_of({1}) : Step::of({1, 2});
  }

 private:
  int left_;
};

void attack_server(Bytes input) {
  class StoppedClock final : public Clock {
   public:
    [[nodiscard]] WallTime now() const override { return {}; }
    [[nodiscard]] std::chrono::steady_clock::time_point steady() const override { return {}; }
  } const clock;
  CallServer server(
      [](const Opening& opening) -> Result<std::unique_ptr<Run>> {
        return std::unique_ptr<Run>(std::make_unique<Counter>(opening.payload));
      },
      clock);
  auto ends = wire::Channel::pair(kCallBounds, kCallBounds);
  MLXGUARD_CHECK(ends.has_value());
  server.serve(std::move(ends->second));
  Message message;
  while (server.channels() > 0 && next(input, message)) {
    const auto packet = wire::pack(message.type, message.bytes);
    MLXGUARD_CHECK(packet.has_value());
    (void)ends->first.try_send(*packet);
    server.exchange();
    server.step();
    MLXGUARD_CHECK(server.calls() <= kCallsMax);
    MLXGUARD_CHECK(server.channels() > 0 || server.calls() == 0);
    // Whatever was sent, the server speaks its own protocol.
    while (true) {
      const auto answer = ends->first.try_receive();
      if (!answer || !answer->has_value()) break;
      MLXGUARD_CHECK((*answer)->is<End>() || (*answer)->is<Part>() || (*answer)->is<Begun>());
    }
  }
}

void attack_client(Bytes input) {
  Ledger ledger;
  std::size_t parts_max = 0;
  for (std::uint32_t credit = 0; credit < 3; ++credit) {
    (void)ledger.open(credit, credit != 0);
    parts_max += credit;
  }
  std::size_t parts = 0;
  Message message;
  while (next(input, message)) {
    const std::size_t before = ledger.size();
    const wire::Received received{message.type, wire::Payload(message.bytes), {}};
    const auto event = ledger.check(received);
    if (!event) {
      MLXGUARD_CHECK(event.error().code == ErrorCode::kWorkerProtocol);
      return;
    }
    parts += event->part ? 1 : 0;
    MLXGUARD_CHECK(parts <= parts_max);
    const bool ended = event->kind == Ledger::Event::Kind::kEnd;
    MLXGUARD_CHECK(ledger.size() == before - (ended ? 1 : 0));
    if (event->part) MLXGUARD_CHECK(event->part->size() <= message.bytes.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes input{data + 1, size - 1};
  if (data[0] % 2 == 0) {
    attack_server(input);
  } else {
    attack_client(input);
  }
  return 0;
}
