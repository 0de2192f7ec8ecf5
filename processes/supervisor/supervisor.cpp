// SPDX-License-Identifier: Apache-2.0
#include "supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/os_error.h"
#include "codec/json.h"
#include "limits/worker_limits.h"

namespace mlxguard::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kDrainGrace{5000};
constexpr milliseconds kLogRetry{200};
constexpr milliseconds kGatewayStart{10'000};
/// Beyond this a gateway that does not read its messages is broken.
constexpr std::size_t kGatewayBacklogMax = 4096;

std::uint32_t threads_of(const config::ServeConfig& config) {
  if (config.worker_threads > 0) return static_cast<std::uint32_t>(config.worker_threads);
  return std::max(1u, std::thread::hardware_concurrency());
}

std::uint64_t bytes_of(const signature::VerifiedModel& model) {
  std::uint64_t total = 0;
  for (const auto& file : model.files()) total += file.size_bytes;
  return total;
}

Error verdict_error(const sandbox::ExitVerdict& verdict, std::string subject) {
  return make_error(sandbox::code_of(verdict.reason), sandbox::describe(verdict))
      .about(std::move(subject));
}

/// A process that cannot be judged is gone all the same: it is treated as one that was killed.
sandbox::ExitVerdict judged(Result<sandbox::ExitVerdict> verdict) {
  sandbox::ExitVerdict unknown;
  unknown.reason = sandbox::ExitReason::kKilled;
  return std::move(verdict).value_or(unknown);
}

void add_usage(events::Event& event, const sandbox::ExitVerdict& verdict) {
  event.with("verdict", std::string(sandbox::name_of(verdict.reason)));
  if (verdict.signal) event.with("signal", std::int64_t{*verdict.signal});
  event.with("cpu_ms", std::int64_t{verdict.usage.cpu_time.count() / 1000});
  if (verdict.usage.memory_bytes_peak) {
    event.with("memory_bytes_peak", static_cast<std::int64_t>(*verdict.usage.memory_bytes_peak));
  }
}

}  // namespace

struct Supervisor::Model {
  std::shared_ptr<const signature::VerifiedModel> verified;
  std::optional<launch::WorkerProcess> worker;
  limits::RestartPolicy restarts;
  std::uint64_t generation = 0;
  bool announced = false;           ///< the gateway knows this generation
  std::optional<Time> start_until;  ///< when a worker that is not ready is given up
  std::optional<Time> restart_at;
  std::int64_t created_seconds = 0;
};

struct Supervisor::Gateway {
  sandbox::Child child;
  ipc::Channel control;
  std::unique_ptr<EventRelay> relay;
  bool ready = false;
  Time start_until;
  struct Waiting {
    ipc::Packet packet;
    std::vector<UniqueFd> descriptors;
  };
  std::deque<Waiting> backlog;
};

Supervisor::Supervisor(Parts parts) : parts_(std::move(parts)) {
  for (const auto& verified : parts_.models) {
    auto model = std::make_unique<Model>();
    model->verified = verified;
    model->created_seconds =
        std::chrono::duration_cast<std::chrono::seconds>(parts_.clock->now().time_since_epoch())
            .count();
    models_.push_back(std::move(model));
  }
  gateway_restarts_ = std::make_unique<limits::RestartPolicy>();
}

Supervisor::~Supervisor() = default;

void Supervisor::report(const events::Event& event) {
  // Durable before the supervisor goes on. A log that cannot be written must be seen by people too.
  if (auto appended = parts_.log->append(event); !appended) {
    const std::string text =
        "mlxguard: error: an event could not be logged: " + appended.error().message + " [" +
        std::string(name_of(appended.error().code)) + "]\n";
    [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
  }
}

// ---- workers
// -------------------------------------------------------------------------------------

Result<void> Supervisor::start_worker(Model& model) {
  launch::WorkerPlan plan;
  plan.host = parts_.host;
  plan.program_fd = parts_.worker_program.get();
  plan.threads = threads_of(parts_.config);
  limits::WorkerLimitsInput input;
  input.model_bytes = bytes_of(*model.verified);
  input.model_files = model.verified->files().size();
  input.threads = plan.threads;
  input.memory_bytes_max = static_cast<std::uint64_t>(parts_.config.worker_memory_bytes_max);
  plan.limits = limits::worker_limits(input);
  MLXGUARD_TRY_ASSIGN(auto worker, launch::WorkerProcess::start(model.verified, plan));
  model.worker = std::move(worker);
  model.announced = false;
  ++model.generation;
  model.restart_at.reset();
  model.start_until = steady_clock::now() + milliseconds(parts_.config.worker_start_timeout_ms);
  events::Event passed{.kind = events::Kind::kModelPassed};
  passed.model = model.verified->name();
  passed.message = "verified descriptors handed to a worker";
  passed.with("pid", std::int64_t{model.worker->pid()})
      .with("root_digest", model.verified->root_digest())
      .with("files", static_cast<std::int64_t>(model.verified->files().size()));
  report(passed);
  return {};
}

void Supervisor::worker_ready(Model& model) {
  const bool again = model.generation > 1;
  model.start_until.reset();
  model.restarts.on_ready(steady_clock::now());
  events::Event loaded{.kind = events::Kind::kModelLoaded};
  loaded.model = model.verified->name();
  loaded.message = "mlx loaded the verified bytes";
  loaded.with("runtime", model.worker->runtime())
      .with("load_us", std::int64_t{model.worker->load_time().count()})
      .with("root_digest", model.verified->root_digest());
  report(loaded);
  events::Event started{.kind =
                            again ? events::Kind::kWorkerRestarted : events::Kind::kWorkerStarted};
  started.model = model.verified->name();
  started.message = "a locked worker is ready";
  started.with("pid", std::int64_t{model.worker->pid()})
      .with("generation", static_cast<std::int64_t>(model.generation))
      .with("isolation", model.worker->isolation());
  report(started);
}

Result<void> Supervisor::announce(Model& model) {
  MLXGUARD_TRY_ASSIGN(ipc::Channel data, model.worker->open_data_channel());
  ipc::ModelUp up;
  up.name = model.verified->name();
  up.generation = model.generation;
  up.schema = model.worker->schema();
  up.root_digest = model.verified->root_digest();
  up.signer = model.verified->signer();
  up.created_seconds = model.created_seconds;
  std::vector<UniqueFd> descriptors;
  descriptors.push_back(std::move(data).release());
  const std::array<int, 1> borrowed{descriptors.front().get()};
  MLXGUARD_TRY_ASSIGN(ipc::Packet packet, ipc::pack(up, borrowed));
  send_to_gateway(std::move(packet), std::move(descriptors));
  model.announced = true;
  return {};
}

void Supervisor::handle_worker(Model& model) {
  const launch::Stage before = model.worker->stage();
  auto advanced = model.worker->advance();
  if (!advanced) {
    report(events::event_of(events::Kind::kWorkerDied, advanced.error(), model.verified->name()));
    model.worker->kill(sandbox::KillReason::kShutdown);
    return;
  }
  if (model.worker->stage() == before) return;
  if (model.worker->stage() == launch::Stage::kReady) {
    worker_ready(model);
    if (gateway_ && gateway_->ready) {
      if (auto announced = announce(model); !announced) {
        report(
            events::event_of(events::Kind::kWorkerDied, announced.error(), model.verified->name()));
      }
    }
  } else if (model.worker->stage() == launch::Stage::kFailed) {
    report(events::event_of(events::Kind::kModelLoadRefused, *model.worker->failure(),
                            model.verified->name()));
  }
}

void Supervisor::worker_ended(Model& model) {
  const sandbox::ExitVerdict verdict = judged(model.worker->reap());
  const auto now = steady_clock::now();
  const limits::RestartDecision decision = model.restarts.on_death(now);
  const Error error = verdict_error(verdict, model.verified->name());
  model.worker.reset();
  model.start_until.reset();
  model.restart_at = now + decision.delay;

  // First the clients, then the record: the requests it held are waiting.
  ipc::ModelDown down;
  down.name = model.verified->name();
  down.generation = model.generation;
  down.reason = ipc::WireError::of(error);
  down.retry_after_ms =
      std::max<std::int64_t>(1000, std::chrono::ceil<milliseconds>(decision.delay).count());
  if (auto packet = ipc::pack(down)) send_to_gateway(*std::move(packet));

  events::Event died = events::event_of(events::Kind::kWorkerDied, error, model.verified->name());
  died.outcome = events::Outcome::kFailed;
  add_usage(died, verdict);
  died.with("generation", static_cast<std::int64_t>(model.generation))
      .with("restart_in_ms", std::chrono::ceil<milliseconds>(decision.delay).count())
      .with("breaker_open", decision.breaker_open);
  report(died);
}

// ---- gateway
// -------------------------------------------------------------------------------------

Result<void> Supervisor::start_gateway() {
  MLXGUARD_TRY_ASSIGN(auto ends, ipc::Channel::pair());
  sandbox::SpawnPlan plan;
  plan.binary_fd = parts_.gateway_program.get();
  plan.name = "mlxguard-gateway";
  plan.environment = {"LC_ALL=C.UTF-8"};
  plan.descriptors = {ends.second.fd()};
  plan.limits = limits::gateway_limits(static_cast<std::uint64_t>(parts_.config.connections_max));
  MLXGUARD_TRY_ASSIGN(sandbox::Child child, sandbox::spawn(*parts_.host, plan));
  MLXGUARD_TRY_ASSIGN(auto relay, EventRelay::create(*parts_.log));
  gateway_ = std::make_unique<Gateway>(Gateway{std::move(child),
                                               std::move(ends.first),
                                               std::move(relay),
                                               false,
                                               steady_clock::now() + kGatewayStart,
                                               {}});
  const config::ServeConfig& from = parts_.config;
  ipc::GatewayConfig config;
  config.api_keys = parts_.api_keys.hashes;
  config.anonymous_allowed = from.allow_anonymous;
  config.tls_certificate_pem = parts_.tls_certificate_pem;
  config.tls_private_key_pem = parts_.tls_private_key_pem;
  for (const auto& model : models_) config.models.push_back(model->verified->name());
  config.body_bytes_max = static_cast<std::uint64_t>(from.body_bytes_max);
  config.header_bytes_max = static_cast<std::uint32_t>(from.header_bytes_max);
  config.connections_max = static_cast<std::uint32_t>(from.connections_max);
  config.queue_max = static_cast<std::uint32_t>(from.queue_max);
  config.in_flight_max = static_cast<std::uint32_t>(from.in_flight_max);
  config.texts_max = static_cast<std::uint32_t>(from.texts_max);
  config.text_bytes_max = static_cast<std::uint64_t>(from.text_bytes_max);
  config.header_timeout_ms = from.header_timeout_ms;
  config.idle_timeout_ms = from.idle_timeout_ms;
  config.request_timeout_ms = from.request_timeout_ms;
  config.answer_after_event_durable = from.answer_after_durable;
  const std::array<int, 1> sockets{parts_.listener.socket.get()};
  return gateway_->control.send(config, sockets);
}

void Supervisor::send_to_gateway(ipc::Packet packet, std::vector<UniqueFd> descriptors) {
  if (!gateway_) return;  // a new gateway is told everything when it is ready
  gateway_->backlog.push_back({std::move(packet), std::move(descriptors)});
  flush_gateway();
}

void Supervisor::flush_gateway() {
  while (!gateway_->backlog.empty()) {
    auto sent = gateway_->control.try_send(gateway_->backlog.front().packet);
    if (!sent) return gateway_->backlog.clear();  // its pidfd will tell that it is gone
    if (*sent == ipc::SendStatus::kWouldBlock) break;
    gateway_->backlog.pop_front();
  }
  if (gateway_->backlog.size() > kGatewayBacklogMax) drop_gateway();
}

void Supervisor::drop_gateway() { gateway_->child.kill(sandbox::KillReason::kOverdue); }

Result<void> Supervisor::handle_gateway_message(const ipc::Received& received) {
  switch (received.type) {
    case ipc::MessageType::kGatewayReady: {
      MLXGUARD_TRY_ASSIGN(const auto ready, received.as<ipc::GatewayReady>());
      sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(ready.mechanisms);
      achieved.merge(gateway_->child.isolation());
      MLXGUARD_TRY(sandbox::confirm(parts_.host->report(), achieved));
      gateway_->ready = true;
      gateway_restarts_->on_ready(steady_clock::now());
      for (const auto& model : models_) {
        if (model->worker && model->worker->stage() == launch::Stage::kReady) {
          MLXGUARD_TRY(announce(*model));
        }
      }
      return {};
    }
    case ipc::MessageType::kReportEvent: {
      MLXGUARD_TRY_ASSIGN(const auto message, received.as<ipc::ReportEvent>());
      MLXGUARD_TRY_ASSIGN(events::Event event, message.to_event());
      if (events::describe(event.kind).line != events::Line::kRequest) {
        return make_error(ErrorCode::kWorkerProtocol,
                          "the gateway reported an event that is not its own")
            .about(message.kind);
      }
      return gateway_->relay->submit(message.sequence, std::move(event));
    }
    case ipc::MessageType::kWorkerOverdue: {
      MLXGUARD_TRY_ASSIGN(const auto overdue, received.as<ipc::WorkerOverdue>());
      for (const auto& model : models_) {
        if (model->verified->name() == overdue.model && model->generation == overdue.generation &&
            model->worker) {
          model->worker->kill(sandbox::KillReason::kOverdue);
        }
      }
      return {};
    }
    default:
      return make_error(ErrorCode::kWorkerProtocol, "the gateway sent a message out of turn");
  }
}

void Supervisor::handle_gateway() {
  for (;;) {
    auto received = gateway_->control.try_receive();
    Result<void> handled;
    if (!received) {
      if (received.error().code == ErrorCode::kWorkerUnavailable) return;
      handled = std::move(received).error();
    } else if (!received->has_value()) {
      return;
    } else {
      handled = handle_gateway_message(**received);
    }
    if (!handled) {
      // A gateway that breaks the protocol may be compromised: it is replaced, not argued with.
      report(events::event_of(events::Kind::kWorkerDied, handled.error(), "gateway"));
      drop_gateway();
      return;
    }
  }
}

void Supervisor::gateway_ended() {
  const sandbox::ExitVerdict verdict = judged(gateway_->child.wait());
  gateway_.reset();
  for (const auto& model : models_) model->announced = false;
  const limits::RestartDecision decision = gateway_restarts_->on_death(steady_clock::now());
  gateway_restart_at_ = steady_clock::now() + decision.delay;
  events::Event died =
      events::event_of(events::Kind::kWorkerDied, verdict_error(verdict, "gateway"), "gateway");
  died.outcome = events::Outcome::kFailed;
  add_usage(died, verdict);
  died.with("restart_in_ms", std::chrono::ceil<milliseconds>(decision.delay).count());
  report(died);
}

void Supervisor::acknowledge_events() {
  if (!gateway_) return;
  if (const auto sequence = gateway_->relay->take_acknowledged()) {
    if (auto packet = ipc::pack(ipc::EventAck{*sequence})) send_to_gateway(*std::move(packet));
  }
}

// ---- life
// ----------------------------------------------------------------------------------------

Result<void> Supervisor::start() {
  for (const auto& model : models_) MLXGUARD_TRY(start_worker(*model));
  for (const auto& model : models_) {
    auto waited = model->worker->wait_until_ready(*model->start_until);
    if (!waited) {
      report(events::event_of(events::Kind::kModelLoadRefused, waited.error(),
                              model->verified->name()));
      return waited;
    }
    worker_ready(*model);
  }
  MLXGUARD_TRY(start_gateway());
  while (!gateway_->ready) {
    auto received = gateway_->control.receive(gateway_->start_until);
    if (!received) {
      Error error = std::move(received).error();
      if (error.code != ErrorCode::kWorkerUnavailable)
        return std::move(error).with("starting the gateway");
      return make_error(ErrorCode::kWorkerStart,
                        "the gateway died while it started: " +
                            sandbox::describe(judged(gateway_->child.wait())));
    }
    MLXGUARD_TRY(handle_gateway_message(*received));
  }
  return {};
}

std::string Supervisor::url() const {
  const auto address = config::parse_listen(parts_.config.listen).value();
  const bool v6 = address.host.find(':') != std::string::npos;
  return std::string(parts_.config.tls_certificate.empty() ? "http" : "https") + "://" +
         (v6 ? "[" + address.host + "]" : address.host) + ":" +
         std::to_string(parts_.listener.port);
}

std::string Supervisor::ready_json() const {
  codec::JsonWriter writer;
  writer.begin_object();
  writer.field("status", "ready").field("url", url());
  writer.field("pid", std::int64_t{::getpid()});
  writer.field("gateway_pid", std::int64_t{gateway_->child.pid()});
  writer.field("isolation", sandbox::name_of(parts_.host->level()));
  writer.field("state", parts_.config.state.string());
  if (parts_.api_keys.created) writer.field("api_key", *parts_.api_keys.created);
  writer.key("models").begin_array();
  for (const auto& model : models_) {
    writer.begin_object();
    writer.field("name", model->verified->name());
    writer.field("pid", std::int64_t{model->worker->pid()});
    writer.field("root_digest", model->verified->root_digest());
    writer.field("signer", model->verified->signer());
    writer.field("runtime", model->worker->runtime());
    writer.end_object();
  }
  writer.end_array().end_object();
  return writer.text();
}

void Supervisor::do_what_is_due(Time now) {
  for (const auto& model : models_) {
    if (model->start_until && now >= *model->start_until && model->worker) {
      model->start_until.reset();
      model->worker->kill(sandbox::KillReason::kOverdue);
    }
    if (model->restart_at && now >= *model->restart_at) {
      if (auto started = start_worker(*model); !started) {
        report(events::event_of(events::Kind::kSandboxRefused, started.error(),
                                model->verified->name()));
        model->restart_at = now + model->restarts.on_death(now).delay;
      }
    }
  }
  if (gateway_ && !gateway_->ready && now >= gateway_->start_until) drop_gateway();
  if (gateway_restart_at_ && now >= *gateway_restart_at_) {
    gateway_restart_at_.reset();
    if (auto started = start_gateway(); !started) {
      report(events::event_of(events::Kind::kSandboxRefused, started.error(), "gateway"));
      gateway_.reset();
      gateway_restart_at_ = now + gateway_restarts_->on_death(now).delay;
    }
  }
  if (gateway_ && gateway_->relay->has_failed()) gateway_->relay->retry_failed();
}

int Supervisor::milliseconds_until_due(Time now) const {
  std::optional<Time> next;
  const auto consider = [&](const std::optional<Time>& time) {
    if (time && (!next || *time < *next)) next = time;
  };
  for (const auto& model : models_) {
    consider(model->restart_at);
    consider(model->start_until);
  }
  consider(gateway_restart_at_);
  if (gateway_ && !gateway_->ready) consider(gateway_->start_until);
  if (gateway_ && gateway_->relay->has_failed()) consider(now + kLogRetry);
  if (!next) return -1;
  return static_cast<int>(
      std::clamp<std::int64_t>(std::chrono::ceil<milliseconds>(*next - now).count(), 0, 60'000));
}

Result<void> Supervisor::run(int signal_fd) {
  for (;;) {
    std::vector<pollfd> waits{{signal_fd, POLLIN, 0}};
    if (gateway_) {
      const short control_events =
          static_cast<short>(POLLIN | (gateway_->backlog.empty() ? 0 : POLLOUT));
      waits.push_back({gateway_->child.pidfd(), POLLIN, 0});
      waits.push_back({gateway_->relay->notify_fd(), POLLIN, 0});
      waits.push_back({gateway_->control.fd(), control_events, 0});
    }
    for (const auto& model : models_) {
      if (!model->worker) continue;
      waits.push_back({model->worker->exit_fd(), POLLIN, 0});
      waits.push_back({model->worker->control_fd(), POLLIN, 0});
    }
    const int ready =
        ::poll(waits.data(), waits.size(), milliseconds_until_due(steady_clock::now()));
    if (ready < 0 && errno != EINTR) return os_error("poll");
    const auto is_ready = [&](int fd) {
      return std::any_of(waits.begin(), waits.end(),
                         [fd](const pollfd& wait) { return wait.fd == fd && wait.revents != 0; });
    };
    if (is_ready(signal_fd)) break;
    for (const auto& model : models_) {
      if (!model->worker) continue;
      if (is_ready(model->worker->control_fd())) handle_worker(*model);
      if (is_ready(model->worker->exit_fd())) worker_ended(*model);
    }
    if (gateway_ && is_ready(gateway_->control.fd())) {
      handle_gateway();
      flush_gateway();
    }
    if (gateway_ && is_ready(gateway_->relay->notify_fd())) acknowledge_events();
    if (gateway_ && is_ready(gateway_->child.pidfd())) gateway_ended();
    do_what_is_due(steady_clock::now());
  }
  drain(signal_fd);
  return {};
}

void Supervisor::drain(int signal_fd) {
  const auto until = steady_clock::now() + kDrainGrace;
  if (gateway_) {
    if (auto packet = ipc::pack(ipc::Drain{kDrainGrace.count()}))
      send_to_gateway(*std::move(packet));
  }
  // The gateway finishes what it holds and ends; its last events are acknowledged on the way. A
  // second signal cuts this short.
  signalfd_siginfo first{};
  [[maybe_unused]] const auto ignored = ::read(signal_fd, &first, sizeof(first));
  while (gateway_ && steady_clock::now() < until) {
    std::array<pollfd, 4> waits{
        pollfd{gateway_->child.pidfd(), POLLIN, 0}, pollfd{gateway_->relay->notify_fd(), POLLIN, 0},
        pollfd{gateway_->control.fd(), POLLIN, 0}, pollfd{signal_fd, POLLIN, 0}};
    ::poll(waits.data(), waits.size(), 100);
    if (waits[3].revents != 0) break;
    if (waits[2].revents != 0) handle_gateway();
    acknowledge_events();
    if (waits[0].revents != 0) {
      handle_gateway();
      break;
    }
  }
  gateway_.reset();  // kills what has not ended
  for (const auto& model : models_) {
    if (model->worker) model->worker->kill(sandbox::KillReason::kShutdown);
    model->worker.reset();
  }
  events::Event stopped{.kind = events::Kind::kServerStopped};
  stopped.message = "stopped in order";
  report(stopped);
}

}  // namespace mlxguard::supervisor
