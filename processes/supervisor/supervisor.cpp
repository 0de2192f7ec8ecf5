// SPDX-License-Identifier: Apache-2.0
#include "supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/os_error.h"
#include "codec/json.h"
#include "supervisor_state.h"

namespace mlxguard::supervisor {

using record::Attr;
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kDrainGrace{5000};
constexpr milliseconds kLogRetry{200};

}  // namespace

Error verdict_error(const sandbox::ExitVerdict& verdict, std::string subject) {
  return make_error(sandbox::code_of(verdict.reason), sandbox::describe(verdict))
      .about(std::move(subject));
}

sandbox::ExitVerdict judged(Result<sandbox::ExitVerdict> verdict) {
  sandbox::ExitVerdict unknown;
  unknown.reason = sandbox::ExitReason::kKilled;
  return std::move(verdict).value_or(unknown);
}

void add_usage(record::Event& event, const sandbox::ExitVerdict& verdict) {
  event.set(Attr::kVerdict, std::string(sandbox::name_of(verdict.reason)));
  if (verdict.signal) event.set(Attr::kSignal, *verdict.signal);
  event.set(Attr::kCpuMs, verdict.usage.cpu_time.count() / 1000);
  if (verdict.usage.memory_bytes_peak) {
    event.set(Attr::kMemoryBytesPeak, *verdict.usage.memory_bytes_peak);
  }
}

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

void Supervisor::report(const record::Event& event) {
  // Durable before the supervisor goes on. A log that cannot be written must be seen by people too.
  if (auto appended = parts_.log->append(event); !appended) {
    const std::string text =
        "mlxguard: error: an event could not be logged: " + appended.error().message + " [" +
        std::string(name_of(appended.error().code)) + "]\n";
    [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
  }
}

Result<void> Supervisor::start() {
  for (const auto& model : models_) MLXGUARD_TRY(start_worker(*model));
  for (const auto& model : models_) {
    auto waited = model->worker->wait_until_ready(*model->start_until);
    if (!waited) {
      report(record::event_of(record::Kind::kModelLoadRefused, waited.error(),
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
        report(record::event_of(record::Kind::kSandboxRefused, started.error(),
                                model->verified->name()));
        model->restart_at = now + model->restarts.on_death(now).delay;
      }
    }
  }
  if (gateway_ && !gateway_->ready && now >= gateway_->start_until) drop_gateway();
  if (gateway_restart_at_ && now >= *gateway_restart_at_) {
    gateway_restart_at_.reset();
    if (auto started = start_gateway(); !started) {
      report(record::event_of(record::Kind::kSandboxRefused, started.error(), "gateway"));
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
    if (auto packet = wire::pack(ipc::Drain{kDrainGrace.count()}))
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
  record::Event stopped{.kind = record::Kind::kServerStopped};
  stopped.message = "stopped in order";
  report(stopped);
}

}  // namespace mlxguard::supervisor
