// SPDX-License-Identifier: Apache-2.0
#include "serve.h"

#include <poll.h>

#include <array>

#include "base/os_error.h"
#include "call/call_server.h"
#include "engine/engine.h"
#include "engine/runtime.h"
#include "ipc/messages.h"
#include "receive_model.h"
#include "task/table.h"

namespace mlxguard::worker {
namespace {

bool is_peer_gone(const Error& error) { return error.code == ErrorCode::kWorkerUnavailable; }

Result<std::unique_ptr<engine::Model>> load(const ReceivedModel& received) {
  MLXGUARD_TRY(engine::start_runtime(received.threads));
  return engine::load(received.model);
}

/// Answers calls, one step at a time, and looks at every channel between two steps.
class Server {
 public:
  Server(wire::Channel control, engine::Model& model, const Clock& clock)
      : control_(std::move(control)), calls_(task::begin_with(task::table(), model), clock) {}

  Result<void> run() {
    std::vector<pollfd> waiting;
    for (;;) {
      waiting.assign(1, pollfd{control_.fd(), POLLIN, 0});
      calls_.add_to(waiting);
      const int ready = ::poll(waiting.data(), waiting.size(), calls_.has_work() ? 0 : -1);
      if (ready < 0 && errno != EINTR) return os_error("poll");
      if (ready > 0) {
        if (waiting[0].revents != 0) {
          auto handled = handle_control();
          if (!handled && is_peer_gone(handled.error())) return {};
          MLXGUARD_TRY(std::move(handled));
        }
        calls_.exchange();
      }
      calls_.step();
    }
  }

 private:
  Result<void> handle_control() {
    MLXGUARD_TRY_ASSIGN(auto received, control_.try_receive());
    if (!received) return {};
    MLXGUARD_TRY(received->as<ipc::ServeChannel>());
    if (received->descriptors.size() != 1) {
      return make_error(ErrorCode::kWorkerProtocol, "a channel to serve without its descriptor");
    }
    calls_.serve(wire::Channel(std::move(received->descriptors[0]), call::kCallBounds));
    return {};
  }

  wire::Channel control_;
  call::CallServer calls_;
};

}  // namespace

Result<void> serve(wire::Channel control, const sandbox::IsolationReport& isolation,
                   const Clock& clock) {
  MLXGUARD_TRY(control.send(
      ipc::WorkerLocked{.isolation = isolation.to_json(), .mechanisms = isolation.bits()}));
  MLXGUARD_TRY_ASSIGN(const ReceivedModel received, receive_model(control));
  const auto start = clock.steady();
  auto model = load(received);
  if (!model) {
    return control.send(ipc::WorkerLoadFailed{.error = ipc::WireError::of(model.error())});
  }
  const auto load_time =
      std::chrono::duration_cast<std::chrono::microseconds>(clock.steady() - start);
  MLXGUARD_TRY(control.send(ipc::WorkerReady{.schema = (*model)->schema().to_wire(),
                                             .runtime = engine::describe_runtime(),
                                             .load_microseconds = load_time.count()}));
  return Server(std::move(control), **model, clock).run();
}

}  // namespace mlxguard::worker
