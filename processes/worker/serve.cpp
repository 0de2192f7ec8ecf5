// SPDX-License-Identifier: Apache-2.0
#include "serve.h"

#include <poll.h>

#include <array>

#include "base/os_error.h"
#include "engine/engine.h"
#include "engine/runtime.h"
#include "ipc/messages.h"
#include "receive_model.h"
#include "run_line.h"

namespace mlxguard::worker {
namespace {

bool is_peer_gone(const Error& error) { return error.code == ErrorCode::kWorkerUnavailable; }

/// {"landlock": "active", ...}. Names come from our own table and need no escaping.
std::string to_json(const sandbox::IsolationReport& report) {
  std::string text = "{";
  for (const sandbox::MechanismReport& row : report.mechanisms()) {
    if (text.size() > 1) text += ",";
    text.append("\"").append(sandbox::name_of(row.mechanism)).append("\":");
    text += row.state == sandbox::MechanismState::kActive ? "\"active\"" : "\"unavailable\"";
  }
  return text + "}";
}

Result<std::unique_ptr<engine::Model>> load(const ReceivedModel& received) {
  MLXGUARD_TRY(engine::start_runtime(received.threads));
  return engine::load(received.model);
}

/// Answers requests of the data channel, which the supervisor may replace at any time.
class Server {
 public:
  Server(wire::Channel control, engine::Model& model, const Clock& clock)
      : control_(std::move(control)), model_(model), clock_(clock) {}

  Result<void> run() {
    for (;;) {
      std::array<pollfd, 2> waiting{pollfd{control_.fd(), POLLIN, 0},
                                    pollfd{data_.is_open() ? data_.fd() : -1, POLLIN, 0}};
      const int ready = ::poll(waiting.data(), waiting.size(), -1);
      if (ready < 0 && errno == EINTR) continue;
      if (ready < 0) return os_error("poll");
      if (waiting[0].revents != 0) {
        auto handled = handle_control();
        if (!handled && is_peer_gone(handled.error())) return {};
        MLXGUARD_TRY(std::move(handled));
      } else if (waiting[1].revents != 0 && !answer_one()) {
        data_.close();  // the gateway is gone or talks nonsense; the supervisor brings another
      }
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
    data_ = wire::Channel(std::move(received->descriptors[0]), ipc::kDataChannel);
    return {};
  }

  Result<void> answer_one() {
    MLXGUARD_TRY_ASSIGN(const auto received, data_.try_receive());
    if (!received) return {};
    MLXGUARD_TRY_ASSIGN(const wire::Packet answer, run_line(model_, *received, clock_));
    return data_.send(answer);
  }

  wire::Channel control_;
  wire::Channel data_;
  engine::Model& model_;
  const Clock& clock_;
};

}  // namespace

Result<void> serve(wire::Channel control, const sandbox::IsolationReport& isolation,
                   const Clock& clock) {
  MLXGUARD_TRY(control.send(
      ipc::WorkerLocked{.isolation = to_json(isolation), .mechanisms = isolation.bits()}));
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
