// SPDX-License-Identifier: Apache-2.0
#include "gateway.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "control_link.h"
#include "crypto/secret.h"
#include "front/request_line.h"
#include "http/server.h"
#include "ipc/messages.h"
#include "wire/channel.h"

namespace mlxguard::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kConfigWait{30};
/// How long after its deadline a worker may be busy with a step.
constexpr milliseconds kOverdueGraceMax{2000};
/// Bodies of all connections together: some at their bound, or very many small ones.
constexpr std::uint64_t kHeldBodiesAtBound = 4;

struct Start {
  ipc::GatewayConfig config;
  std::vector<UniqueFd> listening;
};

void wipe(std::string& secret) {
  crypto::wipe_memory(secret.data(), secret.size());
  secret.clear();
}

Result<Start> receive_config(wire::Channel& control) {
  MLXGUARD_TRY_ASSIGN(wire::Received received,
                      control.receive(std::chrono::steady_clock::now() + kConfigWait));
  auto config = received.as<ipc::GatewayConfig>();
  received.payload.wipe();
  control.forget_received();
  if (!config) return std::move(config).error();
  if (received.descriptors.empty()) {
    return make_error(ErrorCode::kWorkerProtocol, "expected a listening socket");
  }
  return Start{std::move(*config), std::move(received.descriptors)};
}

Result<std::optional<http::TlsContext>> take_tls(ipc::GatewayConfig& config) {
  if (config.tls_certificate_pem.empty() && config.tls_private_key_pem.empty()) {
    return std::optional<http::TlsContext>();
  }
  auto context = http::TlsContext::create(config.tls_certificate_pem, config.tls_private_key_pem);
  wipe(config.tls_private_key_pem);
  if (!context) return std::move(context).error();
  return std::optional<http::TlsContext>(std::move(*context));
}

front::RequestLineOptions line_options(const ipc::GatewayConfig& config) {
  front::RequestLineOptions options;
  options.body_bytes_max = static_cast<std::uint64_t>(config.http.body_bytes_max);
  options.request_timeout = std::chrono::milliseconds(config.queue.request_timeout_ms);
  options.answer_after = config.answer_after_event_durable ? front::AnswerAfter::kOutcome
                                                           : front::AnswerAfter::kNone;
  options.texts = {static_cast<std::size_t>(config.texts.texts_max),
                   static_cast<std::size_t>(config.texts.text_bytes_max)};
  return options;
}

http::ServerOptions server_options(const http::LimitSettings& limits,
                                   std::chrono::milliseconds request_timeout) {
  http::ServerOptions options;
  const auto body_bytes_max = static_cast<std::uint64_t>(limits.body_bytes_max);
  options.limits = {static_cast<std::size_t>(limits.header_bytes_max), body_bytes_max};
  options.connections_max = static_cast<std::size_t>(limits.connections_max);
  options.held_bytes_max = std::max<std::uint64_t>(body_bytes_max * kHeldBodiesAtBound, 64u << 20);
  options.header_timeout = std::chrono::milliseconds(limits.header_timeout_ms);
  options.idle_timeout = std::chrono::milliseconds(limits.idle_timeout_ms);
  options.body_timeout = request_timeout;
  options.write_timeout = request_timeout;
  return options;
}

call::CallQueueOptions queue_options(const call::QueueSettings& queue) {
  call::CallQueueOptions options;
  options.waiting_max = static_cast<std::size_t>(queue.queue_max);
  options.client.in_flight_max = static_cast<std::uint32_t>(queue.in_flight_max);
  options.client.silence_max = std::chrono::milliseconds(queue.request_timeout_ms);
  // A step may be about to end when its deadline passes.
  options.client.grace = std::min(options.client.silence_max / 4, kOverdueGraceMax);
  return options;
}

Result<front::Authenticator> authenticator_of(const ipc::GatewayConfig& config) {
  std::vector<front::KeyHash> keys;
  for (const ipc::ApiKeyHash& key : config.api_keys) keys.push_back({key.name, key.sha256});
  return front::Authenticator::create(
      keys, config.anonymous_allowed ? front::Anonymous::kAllowed : front::Anonymous::kRefused,
      config.event_hash_key);
}

std::uint64_t random_number(crypto::Random& random) {
  std::uint64_t number = 0;
  random.fill({reinterpret_cast<std::uint8_t*>(&number), sizeof(number)});
  return number;
}

}  // namespace

struct Gateway::Impl {
  Impl(wire::Channel control_channel, const ipc::GatewayConfig& config,
       std::span<const task::Row> rows, front::Authenticator authenticator,
       std::optional<http::TlsContext> tls, const Clock& clock, crypto::Random& random)
      : models(config.models, io.get_executor(), queue_options(config.queue)),
        control(io.get_executor(), std::move(control_channel)),
        line(line_options(config), {rows, models, control, clock}, std::move(authenticator),
             front::RateLimiter(config.rates, clock), random_number(random)),
        server(io,
               server_options(config.http,
                              std::chrono::milliseconds(config.queue.request_timeout_ms)),
               line, std::move(tls)),
        drain_timer(io.get_executor()) {}
  ~Impl() { io.drop_everything(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void model_up(ipc::ModelUp up, UniqueFd channel);
  void model_down(const ipc::ModelDown& down);
  void drain(std::chrono::milliseconds grace);
  void lost(Error why) {
    reason = std::move(why);
    io.stop();
  }

  Io io;
  front::Models models;
  ControlLink control;
  front::RequestLine line;
  http::Server server;
  Timer drain_timer;
  std::optional<Error> reason;
};

void Gateway::Impl::model_up(ipc::ModelUp up, UniqueFd channel) {
  const auto found = models.find(up.name);
  auto schema = validate::ModelSchema::from_wire(up.schema);
  if (!found || !schema) {
    // The supervisor does not read schemas: what a worker sent may be anything.
    if (found) control.report_overdue(up.name, up.generation);
    return;
  }
  front::Model& model = **found;
  model.generation = up.generation;
  model.schema = std::make_shared<const validate::ModelSchema>(std::move(*schema));
  model.root_digest = std::move(up.root_digest);
  model.signer = std::move(up.signer);
  model.created_seconds = up.created_seconds;
  model.retry_after_seconds = 1;
  model.queue->attach(wire::Channel(std::move(channel), call::kCallBounds),
                      [this, name = up.name, generation = up.generation] {
                        control.report_overdue(name, generation);
                      });
}

void Gateway::Impl::model_down(const ipc::ModelDown& down) {
  const auto found = models.find(down.name);
  if (!found || (*found)->generation != down.generation) return;
  front::Model& model = **found;
  const milliseconds wait(std::max<std::int64_t>(0, down.retry_after_ms));
  model.retry_after_seconds = std::max<std::int64_t>(1, std::chrono::ceil<seconds>(wait).count());
  model.queue->detach(down.reason.to_error(), wait);
}

void Gateway::Impl::drain(std::chrono::milliseconds grace) {
  server.drain([this] { io.stop(); });
  drain_timer.expires_after(grace);
  drain_timer.async_wait([this](boost::system::error_code error) {
    if (!error) io.stop();
  });
}

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::create(wire::Channel control,
                                                 std::span<const task::Row> rows,
                                                 const Clock& clock, crypto::Random& random) {
  MLXGUARD_TRY_ASSIGN(Start start, receive_config(control));
  MLXGUARD_TRY_ASSIGN(std::optional<http::TlsContext> tls, take_tls(start.config));
  MLXGUARD_TRY_ASSIGN(front::Authenticator authenticator, authenticator_of(start.config));
  auto impl = std::make_unique<Impl>(std::move(control), start.config, rows,
                                     std::move(authenticator), std::move(tls), clock, random);
  for (UniqueFd& socket : start.listening) MLXGUARD_TRY(impl->server.listen(std::move(socket)));
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

Result<void> Gateway::run(std::string isolation, std::uint32_t mechanisms) {
  Impl& impl = *impl_;
  impl.control.start({
      .model_up = [&impl](ipc::ModelUp up,
                          UniqueFd channel) { impl.model_up(std::move(up), std::move(channel)); },
      .model_down = [&impl](const ipc::ModelDown& down) { impl.model_down(down); },
      .drain = [&impl](std::chrono::milliseconds grace) { impl.drain(grace); },
      .lost = [&impl](Error why) { impl.lost(std::move(why)); },
  });
  impl.control.ready(std::move(isolation), mechanisms);
  impl.io.run();
  if (impl.reason) return std::move(*impl.reason);
  return {};
}

}  // namespace mlxguard::gateway
