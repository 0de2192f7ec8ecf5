// SPDX-License-Identifier: Apache-2.0
// hostile_worker: a worker that was taken over. A test puts it in the real one's place beside a
// real supervisor and a real gateway. It claims to be locked and to have loaded its model, and once
// it serves the gateway it does what the name of its model says. Exists in tests only.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "ipc/messages.h"
#include "validate/schema.h"
#include "wire/channel.h"

using namespace mlxguard;

namespace {

constexpr std::uint32_t kEveryMechanism = ~0u;
constexpr const char* kRuntime = "hostile";

constexpr const char* kManifest = R"({
    "format": "mlxguard.function/1", "function": "model.mlxfn",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 16], "min": -100, "max": 100}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 16]}]})";

struct Worker {
  wire::Channel control{UniqueFd(3), ipc::kFromSupervisor};
  UniqueFd data;

  template <class M>
  void say(const M& message, std::span<const int> descriptors = {}) {
    static_cast<void>(control.send(message, descriptors));
  }
};

void be_ready_again(Worker& worker) {
  for (;;) worker.say(ipc::WorkerReady{"schema", kRuntime, 0});
}
void be_locked_again(Worker& worker) { worker.say(ipc::WorkerLocked{"{}", kEveryMechanism}); }
void send_huge_schema(Worker& worker) {
  for (;;) worker.say(ipc::WorkerReady{std::string(20'000'000, 's'), kRuntime, 0});
}
void send_descriptors(Worker& worker) {
  const std::array<int, 8> descriptors{0, 1, 2, 3, 0, 1, 2, 3};
  for (;;) worker.say(ipc::WorkerReady{"schema", kRuntime, 0}, descriptors);
}
void report_events(Worker& worker) {
  worker.say(ipc::ReportEvent::of(1, {.kind = record::Kind::kInferenceDone}));
}
void send_nonsense(Worker& worker) {
  const std::string text(60'000, 'n');
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(::send(worker.control.fd(), text.data(), text.size(), MSG_NOSIGNAL));
  }
}
void send_nonsense_to_gateway(Worker& worker) {
  const std::string text(60'000, 'n');
  for (;;) {
    if (::send(worker.data.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) ::pause();
  }
}
void hang_up(Worker& worker) {
  worker.control.close();
  for (;;) ::pause();
}
void flood_output(Worker&) {
  const std::string text = "mlxguard: error: forged [log.write]\x1b[2J\n" + std::string(9000, 'o');
  for (;;) static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

struct Behaviour {
  std::string_view model;
  void (*act)(Worker& worker);
};
constexpr std::array kBehaviours{
    Behaviour{"ready_again", be_ready_again},
    Behaviour{"locked_again", be_locked_again},
    Behaviour{"huge_schema", send_huge_schema},
    Behaviour{"descriptors", send_descriptors},
    Behaviour{"events", report_events},
    Behaviour{"nonsense", send_nonsense},
    Behaviour{"nonsense_to_gateway", send_nonsense_to_gateway},
    Behaviour{"hang_up", hang_up},
    Behaviour{"flood_output", flood_output},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view model = argc > 1 ? argv[1] : "";
  Worker worker;
  worker.say(ipc::WorkerLocked{"{}", kEveryMechanism});
  const std::string schema = model == "bad_schema"
                                 ? "no schema"
                                 : validate::ModelSchema::from_manifest(kManifest)->to_wire();
  worker.say(ipc::WorkerReady{schema, kRuntime, 0});
  for (;;) {
    auto received = worker.control.receive();
    if (!received) return 1;
    if (!received->is<ipc::ServeChannel>()) continue;
    worker.data = std::move(received->descriptors.at(0));
    for (const Behaviour& behaviour : kBehaviours) {
      if (behaviour.model == model) behaviour.act(worker);
    }
  }
}
