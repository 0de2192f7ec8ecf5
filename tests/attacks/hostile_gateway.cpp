// SPDX-License-Identifier: Apache-2.0
// hostile_gateway: a gateway that was taken over. A test puts it in the real one's place beside a
// real supervisor. It claims to be locked, waits until it is told of a worker, and then does what
// the name of that model says, as badly as it can. Exists in tests only.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "ipc/messages.h"
#include "wire/channel.h"

using namespace mlxguard;

namespace {

constexpr std::uint32_t kEveryMechanism = ~0u;

struct Gateway {
  wire::Channel control{UniqueFd(3), ipc::kFromSupervisor};
  ipc::ModelUp model;
  std::uint64_t sequence = 0;

  template <class M>
  void say(const M& message, std::span<const int> descriptors = {}) {
    static_cast<void>(control.send(message, descriptors));
  }
  ipc::ReportEvent event(const std::string& text = {}) {
    record::Event made{.kind = record::Kind::kInferenceDone};
    made.message = text;
    made.set(record::Attr::kRootDigest, model.root_digest);
    return ipc::ReportEvent::of(++sequence, made);
  }
};

void flood_events(Gateway& gateway) {
  for (;;) gateway.say(gateway.event(std::string(500, 'x')));
}
void fill_window_with_large_events(Gateway& gateway) {
  for (;;) {
    ipc::ReportEvent event = gateway.event();
    event.message.assign(500, 'x');
    for (const auto attr : {record::AttrId::kSubject, record::AttrId::kExpected,
                            record::AttrId::kActual, record::AttrId::kReason}) {
      ipc::WireAttribute attribute;
      attribute.number = static_cast<std::uint16_t>(attr);
      attribute.text.assign(500, 'x');
      event.attributes.push_back(attribute);
    }
    gateway.say(event);
  }
}
void send_huge_messages(Gateway& gateway) {
  for (;;) {
    ipc::ReportEvent event = gateway.event();
    event.message = std::string(50'000'000, 'x');
    gateway.say(event);
  }
}
void send_descriptors(Gateway& gateway) {
  const std::array<int, 8> descriptors{0, 1, 2, 3, 0, 1, 2, 3};
  for (;;) gateway.say(gateway.event(), descriptors);
}
void be_ready_again(Gateway& gateway) {
  for (int i = 0; i < 1000; ++i) gateway.say(ipc::GatewayReady{"{}", kEveryMechanism});
}
void skip_a_number(Gateway& gateway) {
  gateway.sequence = 41;
  gateway.say(gateway.event());
}
void report_for_the_supervisor(Gateway& gateway) {
  ipc::ReportEvent event = gateway.event("nothing happened here");
  event.kind = "server.stopped";
  gateway.say(event);
}
void report_hidden_text(Gateway& gateway) {
  ipc::ReportEvent event = gateway.event();
  event.message = "\x1b[2Jmlxguard: all is well";
  gateway.say(event);
}
void accuse_again_and_again(Gateway& gateway) {
  for (;;) gateway.say(ipc::WorkerOverdue{gateway.model.name, gateway.model.generation});
}
void accuse_the_unknown(Gateway& gateway) {
  gateway.say(ipc::WorkerOverdue{gateway.model.name, gateway.model.generation + 1});
}
void send_nonsense(Gateway& gateway) {
  const std::string text(60'000, 'n');
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(::send(gateway.control.fd(), text.data(), text.size(), MSG_NOSIGNAL));
  }
}
void send_what_only_a_worker_may(Gateway& gateway) {
  gateway.say(ipc::WorkerReady{"schema", "mlx", 0});
}
void hang_up(Gateway& gateway) { gateway.control.close(); }
void flood_output(Gateway&) {
  const std::string text = "mlxguard: error: forged [log.write]\x1b[2J\n" + std::string(9000, 'o');
  for (;;) static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}
void read_and_erase_output(Gateway&) {
  char byte = 0;
  const bool taken = ::read(STDIN_FILENO, &byte, 1) > 0 || ::read(STDOUT_FILENO, &byte, 1) >= 0 ||
                     ::read(STDERR_FILENO, &byte, 1) >= 0;
  const bool erased = ::ftruncate(STDERR_FILENO, 0) == 0 ||
                      ::lseek(STDERR_FILENO, 0, SEEK_SET) >= 0 ||
                      ::pwrite(STDERR_FILENO, "forged", 6, 0) >= 0;
  std::fprintf(stderr, taken || erased ? "reached it\n" : "out of reach\n");
  ::_exit(5);
}
void die(Gateway&) { ::_exit(5); }

struct Behaviour {
  std::string_view model;
  void (*act)(Gateway& gateway);
};
constexpr std::array kBehaviours{
    Behaviour{"flood_events", flood_events},
    Behaviour{"fill_window", fill_window_with_large_events},
    Behaviour{"huge_messages", send_huge_messages},
    Behaviour{"descriptors", send_descriptors},
    Behaviour{"ready_again", be_ready_again},
    Behaviour{"skip_a_number", skip_a_number},
    Behaviour{"foreign_event", report_for_the_supervisor},
    Behaviour{"hidden_text", report_hidden_text},
    Behaviour{"accuse_again", accuse_again_and_again},
    Behaviour{"accuse_unknown", accuse_the_unknown},
    Behaviour{"nonsense", send_nonsense},
    Behaviour{"play_worker", send_what_only_a_worker_may},
    Behaviour{"hang_up", hang_up},
    Behaviour{"flood_output", flood_output},
    Behaviour{"read_and_erase_output", read_and_erase_output},
    Behaviour{"die", die},
};

}  // namespace

int main() {
  Gateway gateway;
  gateway.say(ipc::GatewayReady{"{}", kEveryMechanism});
  for (;;) {
    auto received = gateway.control.receive();
    if (!received) return 1;
    if (!received->is<ipc::ModelUp>()) continue;
    gateway.model = received->as<ipc::ModelUp>().value();
    for (const Behaviour& behaviour : kBehaviours) {
      if (behaviour.model == gateway.model.name) behaviour.act(gateway);
    }
    for (;;) ::pause();
  }
}
