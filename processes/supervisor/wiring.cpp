// SPDX-License-Identifier: Apache-2.0
#include "wiring.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "codec/json.h"
#include "limits/worker_limits.h"

namespace mlxguard::supervisor {
namespace {

std::uint32_t threads_of(const config::ServeConfig& config) {
  if (config.worker.threads > 0) return static_cast<std::uint32_t>(config.worker.threads);
  return std::max(1u, std::thread::hardware_concurrency());
}

Result<launch::WorkerProcess> start_worker(
    const Wiring& wiring, const std::shared_ptr<const signature::VerifiedModel>& model) {
  limits::WorkerLimitsInput input;
  for (const auto& file : model->files()) input.model_bytes += file.size_bytes;
  input.model_files = model->files().size();
  input.threads = threads_of(wiring.config);
  input.memory_bytes_max = static_cast<std::uint64_t>(wiring.config.worker.memory_bytes_max);
  launch::WorkerPlan plan;
  plan.host = wiring.host;
  plan.program_fd = wiring.worker_program.get();
  plan.threads = input.threads;
  plan.limits = limits::worker_limits(input);
  return launch::WorkerProcess::start(model, plan);
}

ipc::GatewayConfig gateway_config(const Wiring& wiring) {
  const config::ServeConfig& from = wiring.config;
  ipc::GatewayConfig config;
  config.api_keys = wiring.api_keys.hashes;
  const Bytes hash_key = wiring.log->correlation_key();
  config.event_hash_key.assign(hash_key.begin(), hash_key.end());
  config.anonymous_allowed = from.server.allow_anonymous;
  config.tls_certificate_pem = wiring.tls_certificate_pem;
  config.tls_private_key_pem = wiring.tls_private_key_pem;
  for (const auto& model : wiring.models) config.models.push_back(model->name());
  config.http = from.http;
  config.queue = from.queue;
  config.texts = from.texts;
  config.rates = from.rates;
  config.answer_after_event_durable = from.log.answer_after_durable;
  return config;
}

Result<launch::GatewayProcess> start_gateway(const Wiring& wiring) {
  launch::GatewayPlan plan;
  plan.host = wiring.host;
  plan.program_fd = wiring.gateway_program.get();
  plan.limits =
      limits::gateway_limits(static_cast<std::uint64_t>(wiring.config.http.connections_max));
  plan.submit = [log = wiring.log](const record::Event& event, launch::EventRelay::Done done) {
    log->submit(event, std::move(done));
  };
  const std::array<int, 1> sockets{wiring.listener.socket.get()};
  return launch::GatewayProcess::start(plan, gateway_config(wiring), sockets);
}

}  // namespace

launch::SupervisorParts supervisor_parts(const Wiring& wiring) {
  launch::SupervisorParts parts;
  parts.models = wiring.models;
  parts.start_worker = [&wiring](const auto& model) { return start_worker(wiring, model); };
  parts.start_gateway = [&wiring] { return start_gateway(wiring); };
  parts.log = wiring.log;
  parts.clock = wiring.clock;
  parts.worker_start_time_max = std::chrono::milliseconds(wiring.config.worker.start_timeout_ms);
  return parts;
}

std::string url_of(const Wiring& wiring) {
  const bool encrypted = !wiring.config.tls.certificate.empty();
  return http::url_of(wiring.listener, encrypted ? http::Scheme::kHttps : http::Scheme::kHttp);
}

std::string ready_json(const Wiring& wiring, const launch::Supervisor& supervisor) {
  codec::JsonWriter writer;
  writer.begin_object();
  writer.field("status", "ready").field("url", url_of(wiring));
  writer.field("pid", std::int64_t{::getpid()});
  writer.field("gateway_pid", std::int64_t{supervisor.gateway_pid()});
  writer.field("isolation", sandbox::name_of(wiring.host->level()));
  writer.field("state", wiring.config.server.state.string());
  if (wiring.api_keys.created) writer.field("api_key", *wiring.api_keys.created);
  writer.key("models").begin_array();
  for (const auto& model : supervisor.models()) {
    writer.begin_object();
    writer.field("name", model.name);
    writer.field("pid", std::int64_t{model.pid});
    writer.field("root_digest", model.root_digest);
    writer.field("signer", model.signer);
    writer.field("runtime", model.runtime);
    writer.end_object();
  }
  writer.end_array().end_object();
  return writer.text();
}

}  // namespace mlxguard::supervisor
