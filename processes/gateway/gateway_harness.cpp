// SPDX-License-Identifier: Apache-2.0
// A supervisor and its workers, played: starts the real gateway over the real protocol with the
// models `minilm` (embeddings) and `mlp` (y = 2x), and does on command what the real ones cannot
// be asked to do: answer late, wrongly or never, die, stop acknowledging. A third, `counter`, is
// served as a worker does it, and does the task of task/test_counting.h, which streaming_gateway
// knows. For tests; never installed.
//
//   gateway_harness GATEWAY [KEY=NUMBER ...] [tls=CERT,KEY] [anonymous]
//
// Standard output: one JSON object a line: ready, event, overdue, exit. Standard input: one command
// a line:
//   slow MODEL MS | die MODEL CODE RETRY_MS | vanish MODEL | up MODEL | evil MODEL HOW | stall |
//   resume | drain MS | runs | ping
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "call/call_server.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "ipc/messages.h"
#include "task/test_counting.h"
#include "task/test_messages.h"
#include "validate/schema.h"
#include "wire/channel.h"

extern char** environ;

namespace {

using namespace mlxguard;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kApiKey = "test-key";

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "gateway_harness: %s\n", what.c_str());
  std::exit(2);
}
template <class T>
T must(Result<T> result) {
  if (!result) die(result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void say(const codec::JsonWriter& writer) {
  std::printf("%s\n", writer.text().c_str());
  std::fflush(stdout);
}

struct Late {
  Clock::time_point when;
  wire::Packet packet;
};

struct FakeModel {
  std::string name{};
  validate::ModelSchema schema{};
  std::uint64_t generation = 0;
  wire::Channel channel{};
  std::chrono::milliseconds delay{0};
  std::string evil{};
  std::vector<Late> late{};
};

validate::ModelSchema embedding_schema() {
  validate::ModelSchema schema;
  schema.kind = validate::ModelKind::kEmbedding;
  schema.embedding_dimension = 8;
  schema.tokens_max = 256;
  return schema;
}

validate::ModelSchema function_schema() {
  return must(validate::ModelSchema::from_manifest(R"({
    "format": "mlxguard.function/1", "function": "model.mlxfn",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [{"min": 1, "max": 4096}, 16],
                "min": -100, "max": 100}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [{"min": 1, "max": 4096}, 16]}]})"));
}

using task::test::TensorOnWire;
using task::test::TensorsOnWire;
using task::test::TextsOnWire;
using task::test::VectorsOnWire;

template <class M>
M decoded(Bytes bytes) {
  M message;
  wire::Decoder decoder(bytes);
  message.visit(decoder);
  if (!decoder.finish()) die("the gateway sent a malformed request");
  return message;
}
template <class M>
std::vector<std::uint8_t> encoded(M message) {
  wire::Encoder encoder;
  message.visit(encoder);
  return std::move(encoder).take();
}

std::vector<std::uint8_t> embed(const std::string& evil, const TextsOnWire& request) {
  VectorsOnWire answer{.dimension = 8};
  for (const std::string& text : request.texts) {
    const auto digest = crypto::sha256(as_bytes(text));
    for (std::size_t i = 0; i < 8; ++i) {
      answer.values.push_back(static_cast<float>(digest[i]) / 255.0f);
    }
    const auto spaces = std::count(text.begin(), text.end(), ' ');
    answer.token_counts.push_back(static_cast<std::uint32_t>(2 + spaces));
  }
  if (evil == "nan") answer.values[0] = std::numeric_limits<float>::quiet_NaN();
  if (evil == "dimension") answer.dimension = 4;
  if (evil == "count") answer.values.resize(answer.values.size() - 8);
  if (evil == "kind") return encoded(TensorsOnWire{});
  return encoded(std::move(answer));
}

std::vector<std::uint8_t> twice(const std::string& evil, TensorsOnWire message) {
  for (TensorOnWire& tensor : message.tensors) {
    std::vector<float> values(tensor.data.size() / sizeof(float));
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
    for (float& value : values) value *= 2;
    std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
    tensor.name.assign("y");
  }
  if (evil == "nan") std::memset(message.tensors[0].data.data(), 0xff, 4);
  if (evil == "shape") message.tensors[0].shape = {7, 16};
  if (evil == "count") message.tensors[0].data.resize(4);
  if (evil == "dtype") message.tensors[0].dtype = "WHAT";
  if (evil == "kind") return encoded(VectorsOnWire{.dimension = 8});
  return encoded(std::move(message));
}

wire::Packet answer_of(const std::string& evil, const call::Open& open, Bytes payload) {
  call::End end;
  end.id = evil == "id" ? open.id + 1000 : open.id;
  end.usage.run_microseconds = 5;
  if (evil == "garbage") return must(wire::pack(std::uint16_t{102}, {1, 2, 3}));
  if (evil == "type") return must(wire::pack(ipc::EventAck{999'999}));
  if (evil == "nothing") return must(wire::pack(end));
  if (evil.starts_with("fail:")) {
    end.code = evil.substr(5);
    end.reason = "SECRET-PATH /var/lib/model";
    return must(wire::pack(end));
  }
  end.has_part = true;
  const auto part = open.task == "embeddings" ? embed(evil, decoded<TextsOnWire>(payload))
                                              : twice(evil, decoded<TensorsOnWire>(payload));
  return must(wire::pack_with_body(end, part));
}

[[nodiscard]] bool set_number(ipc::GatewayConfig& config, const std::string& key,
                              std::int64_t number);

class Harness {
 public:
  explicit Harness(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
    models_["minilm"] = {.name = "minilm", .schema = embedding_schema()};
    models_["mlp"] = {.name = "mlp", .schema = function_schema()};
    models_["counter"] = {.name = "counter", .schema = function_schema()};
  }
  int run();

 private:
  void start();
  void configure(ipc::GatewayConfig& config);
  void bring_up(FakeModel& model);
  void work(FakeModel& model);
  void answer(FakeModel& model, const wire::Received& received);
  void send_late(FakeModel& model);
  void hear_gateway();
  void report(const ipc::ReportEvent& event);
  void command(const std::string& line);
  [[nodiscard]] int milliseconds_to_wait() const;

  std::vector<std::string> arguments_;
  std::map<std::string, FakeModel> models_;
  wire::Channel control_;
  pid_t gateway_ = -1;
  std::uint64_t last_event_ = 0;
  bool stalled_ = false;

  // The worker of `counter`.
  class Nothing final : public task::Model {
   public:
    [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }

   private:
    validate::ModelSchema schema_;
  };
  Nothing nothing_;
  SystemClock clock_;
  std::vector<task::Row> rows_{task::test::counting_row()};
  call::CallServer counter_{task::begin_with(rows_, nothing_), clock_};
};

/// Sets the number of this name, in whichever group of settings has it.
struct NumberSetter {
  std::string_view wanted;
  std::int64_t number;
  bool found = false;
  template <class T>
  void integer(SettingKey key, T& value, SettingBounds) {
    if (key.name != wanted) return;
    value = static_cast<T>(number);
    found = true;
  }
};

bool set_number(ipc::GatewayConfig& config, const std::string& key, std::int64_t number) {
  if (key == "answer_after_event_durable") {
    config.answer_after_event_durable = number != 0;
    return true;
  }
  NumberSetter setter{key, number};
  config.http.visit(setter), config.queue.visit(setter);
  config.texts.visit(setter), config.rates.visit(setter);
  return setter.found;
}

void Harness::configure(ipc::GatewayConfig& config) {
  const auto hash = crypto::sha256(as_bytes(kApiKey));
  config.api_keys.push_back({"tester", {hash.begin(), hash.end()}});
  config.event_hash_key.assign(32, 0x5a);
  config.models = {"minilm", "mlp", "counter", "never-up"};
  config.http.body_bytes_max = 8 << 20;
  config.http.header_bytes_max = 16 << 10;
  config.http.connections_max = 256;
  config.queue.queue_max = 64;
  config.queue.in_flight_max = 2;
  config.texts.texts_max = 2048;
  config.texts.text_bytes_max = 1 << 20;
  config.http.header_timeout_ms = 5000;
  config.http.idle_timeout_ms = 5000;
  config.queue.request_timeout_ms = 10'000;
  const auto text_of = [](const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  for (std::size_t i = 1; i < arguments_.size(); ++i) {
    const std::string& argument = arguments_[i];
    const std::size_t equals = argument.find('=');
    const std::string key = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (key == "anonymous") {
      config.anonymous_allowed = true;
    } else if (key == "tls") {
      config.tls_certificate_pem = text_of(value.substr(0, value.find(',')));
      config.tls_private_key_pem = text_of(value.substr(value.find(',') + 1));
    } else if (!set_number(config, key, std::stoll(value))) {
      die("unknown argument " + argument);
    }
  }
}

void Harness::start() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener.get(), 4096) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    die("no listening socket");
  }
  auto [mine, theirs] = must(wire::Channel::socket_pair());
  control_ = wire::Channel(std::move(mine), ipc::kFromGateway);
  UniqueFd child_end(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 10));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_end.get(), 3);
  std::array<char*, 2> argv{arguments_[0].data(), nullptr};
  if (::posix_spawn(&gateway_, arguments_[0].c_str(), &actions, nullptr, argv.data(), environ) !=
      0) {
    die("the gateway could not be started");
  }
  posix_spawn_file_actions_destroy(&actions);
  theirs.reset();
  child_end.reset();
  ipc::GatewayConfig config;
  configure(config);
  const std::array fds{listener.get()};
  must(control_.send(config, fds));
  const auto hello = must(control_.receive(Clock::now() + std::chrono::seconds(20)));
  const auto ready = must(hello.as<ipc::GatewayReady>());
  for (auto& [name, model] : models_) bring_up(model);
  codec::JsonWriter writer;
  writer.begin_object().key("ready").begin_object();
  writer.field("port", std::int64_t{ntohs(address.sin_port)}).field("pid", std::int64_t{gateway_});
  writer.field("api_key", kApiKey).key("isolation").raw(ready.isolation).end_object().end_object();
  say(writer);
}

void Harness::bring_up(FakeModel& model) {
  auto [mine, theirs] = must(wire::Channel::socket_pair());
  if (model.name == "counter") {
    counter_.serve(wire::Channel(std::move(mine), call::kCallBounds));
  } else {
    model.channel = wire::Channel(std::move(mine), call::kCallBounds);
  }
  model.late.clear();
  ipc::ModelUp up;
  up.name = model.name;
  up.generation = ++model.generation;
  up.schema = model.evil == "schema" ? "{}" : model.schema.to_wire();
  up.root_digest = "sha256:00";
  up.signer = "tester";
  up.created_seconds = 1'700'000'000;
  const std::array fds{theirs.get()};
  must(control_.send(up, fds));
}

void Harness::answer(FakeModel& model, const wire::Received& received) {
  if (!received.is<call::Open>()) return;  // it answers what was cancelled, late
  const auto [open, payload] = must(received.with_body<call::Open>());
  if (open.tell_begun) (void)model.channel.send(call::Begun{open.id});
  wire::Packet packet = answer_of(model.evil, open, payload);
  if (model.delay.count() == 0) {
    (void)model.channel.send(packet);
    if (model.evil == "twice") (void)model.channel.send(packet);
  } else {
    model.late.push_back({Clock::now() + model.delay, std::move(packet)});
  }
}

void Harness::work(FakeModel& model) {
  for (;;) {
    auto received = model.channel.try_receive();
    if (!received) return model.channel.close();
    if (!received->has_value()) return;
    answer(model, **received);
  }
}

void Harness::send_late(FakeModel& model) {
  for (auto late = model.late.begin(); late != model.late.end();) {
    if (late->when > Clock::now()) {
      ++late;
      continue;
    }
    if (model.channel.is_open()) (void)model.channel.send(late->packet);
    late = model.late.erase(late);
  }
}

void Harness::report(const ipc::ReportEvent& event) {
  last_event_ = event.sequence;
  if (!ipc::ReportEvent(event).to_event()) die("the gateway sent a malformed event");
  codec::JsonWriter writer;
  writer.begin_object().key("event").begin_object();
  writer.field("sequence", static_cast<std::int64_t>(event.sequence)).field("kind", event.kind);
  writer.field("outcome", std::int64_t{event.outcome}).field("model", event.model);
  writer.field("error", event.code).field("message", event.message);
  for (const ipc::WireAttribute& attribute : event.attributes) {
    const record::AttrRow& row = *record::find_attribute(attribute.number);
    if (row.type == record::AttrType::kText)
      writer.field(row.name, attribute.text);
    else
      writer.field(row.name, attribute.integer);
  }
  writer.end_object().end_object();
  say(writer);
}

void Harness::hear_gateway() {
  for (;;) {
    auto received = control_.try_receive();
    if (!received) {
      int status = 0;
      ::waitpid(gateway_, &status, 0);
      codec::JsonWriter writer;
      writer.begin_object().field("exit", std::int64_t{status}).end_object();
      say(writer);
      std::exit(0);
    }
    if (!received->has_value()) break;
    if ((*received)->is<ipc::WorkerOverdue>()) {
      const auto overdue = must((*received)->as<ipc::WorkerOverdue>());
      codec::JsonWriter writer;
      writer.begin_object().field("overdue", overdue.model);
      writer.field("generation", static_cast<std::int64_t>(overdue.generation)).end_object();
      say(writer);
    } else {
      report(must((*received)->as<ipc::ReportEvent>()));
    }
  }
  if (!stalled_ && last_event_ > 0) must(control_.send(ipc::EventAck{last_event_}));
}

void Harness::command(const std::string& line) {
  std::istringstream words(line);
  std::string verb, name;
  words >> verb >> name;
  FakeModel* model = models_.count(name) != 0 ? &models_[name] : nullptr;
  if (verb == "slow" && model) {
    std::int64_t ms = 0;
    words >> ms;
    model->delay = std::chrono::milliseconds(ms);
    task::test::counting_runs().on_step = [delay = models_["counter"].delay](std::int64_t) {
      std::this_thread::sleep_for(delay);
    };
  } else if (verb == "die" && model) {
    ipc::ModelDown down;
    down.name = name;
    down.generation = model->generation;
    words >> down.reason.code >> down.retry_after_ms;
    model->channel.close();
    model->late.clear();
    must(control_.send(down));
  } else if (verb == "vanish" && model) {
    model->channel.close();
  } else if (verb == "up" && model) {
    bring_up(*model);
  } else if (verb == "evil" && model) {
    model->evil.clear();
    words >> model->evil;
  } else if (verb == "stall") {
    stalled_ = true;
  } else if (verb == "resume") {
    stalled_ = false;
    must(control_.send(ipc::EventAck{last_event_}));
  } else if (verb == "drain") {
    must(control_.send(ipc::Drain{std::stoll(name)}));
  } else if (verb != "ping" && verb != "runs") {
    die("unknown command " + line);
  }
  codec::JsonWriter writer;
  writer.begin_object().field("done", verb);
  writer.field("steps", task::test::counting_runs().steps);
  writer.field("alive", std::int64_t{task::test::counting_runs().alive});
  say(writer.end_object());
}

int Harness::milliseconds_to_wait() const {
  if (counter_.has_work()) return 0;
  int wait = 1000;
  for (const auto& [name, model] : models_) {
    for (const Late& late : model.late) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(late.when - Clock::now());
      wait = std::min(wait, std::max(0, static_cast<int>(left.count())));
    }
  }
  return wait;
}

int Harness::run() {
  start();
  std::string pending;
  for (;;) {
    std::vector<pollfd> waits{{STDIN_FILENO, POLLIN, 0}, {control_.fd(), POLLIN, 0}};
    std::vector<FakeModel*> order;
    for (auto& [name, model] : models_) {
      if (!model.channel.is_open()) continue;
      waits.push_back({model.channel.fd(), POLLIN, 0});
      order.push_back(&model);
    }
    counter_.add_to(waits);
    ::poll(waits.data(), waits.size(), milliseconds_to_wait());
    counter_.exchange();
    counter_.step();
    if (waits[1].revents != 0) hear_gateway();
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (waits[i + 2].revents != 0) work(*order[i]);
    }
    for (auto& [name, model] : models_) send_late(model);
    if (waits[0].revents != 0) {
      std::array<char, 4096> bytes{};
      const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (count <= 0) return 0;
      pending.append(bytes.data(), static_cast<std::size_t>(count));
      for (std::size_t end; (end = pending.find('\n')) != std::string::npos;) {
        command(pending.substr(0, end));
        pending.erase(0, end + 1);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) die("usage: gateway_harness GATEWAY [KEY=NUMBER ...] [tls=CERT,KEY] [anonymous]");
  return Harness({argv + 1, argv + argc}).run();
}
