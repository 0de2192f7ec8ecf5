// SPDX-License-Identifier: Apache-2.0
// Every message of every direction, decoded from bytes of a hostile peer. The first byte chooses
// the message. What is accepted must encode again to the same bytes: one form only.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "ipc/messages.h"

namespace {

using namespace mlxguard;
using namespace mlxguard::ipc;
using wire::Decoder;
using wire::Encoder;

template <class M>
void decode(Bytes bytes) {
  M message;
  Decoder decoder(bytes);
  message.visit(decoder);
  if (!decoder.finish()) return;
  Encoder encoder;
  message.visit(encoder);
  const auto again = std::move(encoder).take();
  MLXGUARD_CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  if constexpr (std::is_same_v<M, ReportEvent>) (void)std::move(message).to_event();
}

constexpr void (*kDecoders[])(Bytes) = {
    decode<LoadModel>,   decode<ModelFiles>,       decode<ServeChannel>,  decode<WorkerLocked>,
    decode<WorkerReady>, decode<WorkerLoadFailed>, decode<GatewayConfig>, decode<ModelUp>,
    decode<ModelDown>,   decode<EventAck>,         decode<Drain>,         decode<GatewayReady>,
    decode<ReportEvent>, decode<WorkerOverdue>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  kDecoders[data[0] % std::size(kDecoders)]({data + 1, size - 1});
  return 0;
}
