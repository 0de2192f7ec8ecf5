// SPDX-License-Identifier: Apache-2.0
#include "request_line.h"

#include <array>
#include <cmath>

namespace mlxguard::gateway {

using record::Attr;

using validate::ModelKind;

/// The line. Everything else in this file is one of its stations.
Task<Result<std::string>> RequestLine::walk(http::Exchange& exchange, Journey& journey) {
  const http::RequestHead& head = exchange.head();
  auto match = find_route(head.method, head.target);
  if (match) {
    journey.route = match->route->pattern;
    journey.probe = match->route->access == Access::kOpen;
  }
  if (!journey.probe && !control_.can_report()) {
    co_return make_error(ErrorCode::kLogWrite, "events cannot be made durable at the moment");
  }

  // Authenticate, rate. What paths there are is also told only to those who have a key.
  if (!match || match->route->access == Access::kKeyed) {
    const std::string_view authorization = head.headers.value_of("authorization");
    const std::string_view api_key = head.headers.value_of("x-api-key");
    auto identity = authenticator_.authenticate(authorization, api_key);
    if (!identity) {
      journey.key_hash = authenticator_.event_hash(authorization, api_key);
      co_return std::move(identity).error();
    }
    journey.identity = *identity;
    MLXGUARD_CO_TRY(rates_.take(identity->name()));
  }
  if (!match) co_return std::move(match).error();
  if (match->route->method == "GET") co_return read_only(*match);

  // Read the body only now: its length is known to be allowed.
  MLXGUARD_CO_TRY(check_body_head(head));
  auto body = co_await exchange.read_body();
  if (!body) co_return std::move(body).error();
  journey.bytes_in = static_cast<std::int64_t>(body->size());

  // Decode by the model's schema; validate.
  auto job = decode(*match, *body, journey);
  if (!job) co_return std::move(job).error();
  auto work = validate(*job, journey);
  if (!work) co_return std::move(work).error();

  // Admit; send; wait for the worker or the deadline.
  auto link = admit(*journey.model);
  if (!link) co_return std::move(link).error();
  journey.sent = true;
  auto reply = co_await (*link)->ask(std::move(*work), journey.deadline);
  if (!reply) co_return std::move(reply).error();

  // Check what came back; answer.
  co_return encode(*job, std::move(*reply), journey);
}

namespace {

constexpr std::size_t kEventMessageBytesMax = 512;
constexpr char kHexDigits[] = "0123456789abcdef";

bool is_json(const http::RequestHead& head) {
  const std::string_view content_type = head.headers.value_of("content-type");
  // The inference protocol's own client names no type for JSON. A browser may leave it out too, and
  // then asks nobody before it sends another site's request: those say where they come from.
  if (content_type.empty()) {
    return protocol_of(head.target) == Protocol::kInference &&
           !head.headers.has("origin");  // a browser sends it for another site's page
  }
  constexpr std::string_view kJson = "application/json";
  if (content_type.size() < kJson.size()) return false;
  for (std::size_t i = 0; i < kJson.size(); ++i) {
    const char c = content_type[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kJson[i]) return false;
  }
  const std::string_view rest = content_type.substr(kJson.size());
  return rest.empty() || rest.front() == ';' || rest.front() == ' ' || rest.front() == '\t';
}

/// A worker's failure as a client may see it: a refused request stays one, all else is the model's
/// fault. A compromised worker cannot make the gateway say "wrong key", and its message goes to the
/// log only.
Error of_worker(const Error& error) {
  const int status = status_of(error.code);
  const bool ours = error.code == ErrorCode::kWorkerDied || error.code == ErrorCode::kQueueFull ||
                    error.code == ErrorCode::kWorkerUnavailable;
  if (ours) return error;
  const bool allowed = status == 400 || status == 413 || status == 500 || status == 504;
  const ErrorCode code = allowed ? error.code : ErrorCode::kWorkerProtocol;
  return make_error(code, std::string(describe(code).meaning));
}

Result<Embeddings> checked(ipc::EmbedAnswer answer, const Model& model, std::size_t texts) {
  const auto invalid = [](const char* what) { return make_error(ErrorCode::kOutputInvalid, what); };
  if (answer.dimension == 0 ||
      answer.dimension != static_cast<std::uint64_t>(model.schema.embedding_dimension)) {
    return invalid("vectors of another dimension than the model's");
  }
  if (answer.vectors.size() != texts * answer.dimension || answer.token_counts.size() != texts) {
    return invalid("another number of vectors than of texts");
  }
  bool finite = true;
  for (const float value : answer.vectors) finite &= std::isfinite(value);
  if (!finite) return invalid("a vector with NaN or infinity");
  Embeddings embeddings{answer.dimension, std::move(answer.vectors), 0};
  for (const std::uint32_t count : answer.token_counts) embeddings.tokens += count;
  return embeddings;
}

record::Kind kind_of(ErrorCode code, bool sent) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kCredentialsInvalid:
      return record::Kind::kAuthFailed;
    case ErrorCode::kRateLimited:
    case ErrorCode::kQueueFull:
    case ErrorCode::kConnectionsFull:
    case ErrorCode::kMemoryFull:
    case ErrorCode::kLogWrite:
      return record::Kind::kRequestShed;
    default:
      return sent ? record::Kind::kInferenceFailed : record::Kind::kRequestRefused;
  }
}

std::int64_t microseconds_since(SteadyTime from, SteadyTime to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

RequestLine::RequestLine(RequestLineOptions options, Authenticator authenticator, RateLimiter rates,
                         Models& models, ControlLink& control, const Clock& clock,
                         std::uint64_t id_seed)
    : options_(options),
      authenticator_(std::move(authenticator)),
      rates_(std::move(rates)),
      models_(models),
      control_(control),
      clock_(clock),
      next_id_(id_seed) {}

std::string RequestLine::next_request_id() {
  std::string text(16, '0');
  std::uint64_t id = next_id_++;
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, id >>= 4) {
    *digit = kHexDigits[id & 0xf];
  }
  return text;
}

RequestLine::Journey RequestLine::begin(const http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  Journey journey;
  journey.request_id = next_request_id();
  journey.client = &exchange.client();
  // Only methods that a route has are named: another is the client's own word.
  for (const Route& route : all_routes()) {
    if (route.method == head.method) journey.method = route.method;
  }
  journey.protocol = protocol_of(head.target);
  journey.started = clock_.steady();
  journey.deadline = journey.started + options_.request_timeout;
  return journey;
}

Task<void> RequestLine::handle(http::Exchange& exchange) {
  Journey journey = begin(exchange);
  const Result<std::string> outcome = co_await walk(exchange, journey);
  exchange.drop_body();
  const Response response = co_await end(journey, outcome);
  (void)co_await exchange.respond(head_of(response, journey.request_id), response.body);
}

Task<void> RequestLine::refuse(http::Exchange& exchange, Error error) {
  Journey journey = begin(exchange);
  const Result<std::string> outcome(std::move(error));
  const Response response = co_await end(journey, outcome);
  (void)co_await exchange.respond(head_of(response, journey.request_id), response.body);
}

Result<void> RequestLine::check_body_head(const http::RequestHead& head) const {
  if (!head.has_body) {
    return make_error(ErrorCode::kLengthRequired, "expected a body with Content-Length");
  }
  if (head.content_length.value_or(0) > options_.body_bytes_max) {
    return make_error(
        ErrorCode::kRequestTooLarge,
        "expected a body of at most " + std::to_string(options_.body_bytes_max) + " bytes");
  }
  if (head.headers.has("content-encoding")) {
    return make_error(ErrorCode::kMediaTypeUnsupported, "encoded bodies are not taken");
  }
  if (head.headers.has("inference-header-content-length")) {
    return make_error(ErrorCode::kMediaTypeUnsupported,
                      "the binary tensor extension is not supported; send data as JSON (in "
                      "tritonclient: binary_data=False)");
  }
  if (!is_json(head)) {
    return make_error(ErrorCode::kMediaTypeUnsupported, "expected Content-Type: application/json");
  }
  return {};
}

Result<std::string> RequestLine::read_only(const Match& match) {
  switch (match.route->handler) {
    case gateway::Handler::kAlive:
      return live_body();
    case gateway::Handler::kReady:
      if (models_.all_up()) return ready_body();
      return make_error(ErrorCode::kWorkerUnavailable, "not every model is ready");
    case gateway::Handler::kServerMetadata:
      return server_metadata_body();
    case gateway::Handler::kOpenAiModels:
      return openai_models_body(models_);
    default:
      break;
  }
  MLXGUARD_TRY_ASSIGN(const Model* model, models_.find(match.model));
  if (match.route->handler == gateway::Handler::kOpenAiModel) return openai_model_body(*model);
  if (match.route->handler == gateway::Handler::kModelReady && model->up()) {
    return model_ready_body(*model);
  }
  if (match.route->handler == gateway::Handler::kModelMetadata && model->known) {
    return model_metadata_body(*model);
  }
  return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
}

Result<RequestLine::Job> RequestLine::decode(const Match& match, std::string_view body,
                                             Journey& journey) {
  if (match.route->handler == gateway::Handler::kEmbeddings) {
    return decode_embeddings(body, journey);
  }
  MLXGUARD_TRY_ASSIGN(journey.model, models_.find(match.model));
  const Model& model = *journey.model;
  if (!model.known) {
    return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
  }
  if (model.schema.kind == ModelKind::kFunction) {
    MLXGUARD_TRY_ASSIGN(auto request, validate::decode_infer_request(body, model.schema));
    return Job(TensorJob{std::move(request.envelope), std::move(request.inputs)});
  }
  MLXGUARD_TRY_ASSIGN(auto request, validate::decode_text_infer_request(body, options_.texts));
  TextJob job;
  job.envelope = std::move(request.envelope);
  job.texts = std::move(request.texts);
  return Job(std::move(job));
}

Result<RequestLine::Job> RequestLine::decode_embeddings(std::string_view body, Journey& journey) {
  MLXGUARD_TRY_ASSIGN(auto request, validate::decode_embeddings_request(body, options_.texts));
  MLXGUARD_TRY_ASSIGN(journey.model, models_.find(request.model));
  const Model& model = *journey.model;
  if (!model.known) {
    return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
  }
  if (model.schema.kind != ModelKind::kEmbedding) {
    return make_error(ErrorCode::kRequestUnknown, "this model does not make embeddings")
        .about("model");
  }
  if (request.dimensions && *request.dimensions != model.schema.embedding_dimension) {
    return make_error(ErrorCode::kRequestRange,
                      "expected dimensions to be " +
                          std::to_string(model.schema.embedding_dimension) + " or absent")
        .about("dimensions");
  }
  TextJob job;
  job.format = request.encoding_format;
  job.texts = std::move(request.texts);
  return Job(std::move(job));
}

Result<Work> RequestLine::validate(Job& job, Journey& journey) const {
  if (auto* text = std::get_if<TextJob>(&job)) {
    journey.items = static_cast<std::int64_t>(text->texts.size());
    auto texts = validate::check_texts(std::move(text->texts), options_.texts);
    if (texts) return Work(std::move(*texts));
    return std::move(texts).error().about("input");
  }
  auto& tensors = std::get<TensorJob>(job);
  journey.items = static_cast<std::int64_t>(tensors.inputs.size());
  MLXGUARD_TRY_ASSIGN(auto inputs,
                      validate::check_inputs(journey.model->schema, std::move(tensors.inputs)));
  return Work(std::move(inputs));
}

Result<std::shared_ptr<WorkerLink>> RequestLine::admit(const Model& model) const {
  if (!model.up()) {
    return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
  }
  MLXGUARD_TRY(model.link->has_room());
  return model.link;
}

Result<std::string> RequestLine::encode(const Job& job, Reply reply, Journey& journey) const {
  const Model& model = *journey.model;
  if (const auto* tensors = std::get_if<TensorJob>(&job)) {
    auto& answer = std::get<ipc::InferAnswer>(reply);
    journey.run_us = answer.run_microseconds;
    std::vector<validate::Tensor> outputs;
    for (ipc::WireTensor& tensor : answer.outputs) {
      MLXGUARD_TRY_ASSIGN(validate::Tensor output, std::move(tensor).to_tensor());
      outputs.push_back(std::move(output));
    }
    MLXGUARD_TRY(validate::check_outputs(model.schema, outputs));
    return infer_body(model, tensors->envelope, outputs);
  }
  const auto& text = std::get<TextJob>(job);
  auto& answer = std::get<ipc::EmbedAnswer>(reply);
  journey.run_us = answer.run_microseconds;
  MLXGUARD_TRY_ASSIGN(const Embeddings embeddings,
                      checked(std::move(answer), model, static_cast<std::size_t>(journey.items)));
  journey.tokens = static_cast<std::int64_t>(embeddings.tokens);
  if (text.envelope) return text_infer_body(model, *text.envelope, embeddings);
  return openai_embeddings_body(model, embeddings, text.format);
}

Task<Response> RequestLine::end(Journey& journey, const Result<std::string>& outcome) {
  Response response;
  std::optional<Error> error;
  if (outcome) {
    response.body = *outcome;
  } else {
    error = journey.sent ? of_worker(outcome.error()) : outcome.error();
    const std::int64_t wait = journey.model != nullptr ? journey.model->retry_after_seconds : 1;
    response = error_response(journey.protocol, *error, wait);
    error->message = outcome.error().message.substr(0, kEventMessageBytesMax);
  }
  const auto event = event_of(journey, response, error ? &*error : nullptr);
  if (!event) co_return response;
  if (!control_.can_report()) {
    // Told later in one event: nothing is lost but the single lines.
    ++unreported_;
    co_return response;
  }
  if (unreported_ > 0) {
    record::Event shed = record::event_of(
        record::Kind::kRequestShed,
        make_error(ErrorCode::kLogWrite, "requests were refused while no event could be reported"));
    shed.set(Attr::kCount, std::exchange(unreported_, 0));
    control_.report(shed);
  }
  const std::uint64_t sequence = control_.report(*event);
  if (!options_.answer_after_event_durable) co_return response;
  const bool durable =
      co_await control_.durable(sequence, clock_.steady() + options_.request_timeout);
  if (!durable) {
    const Error stalled = make_error(ErrorCode::kLogWrite, "the request's event is not durable");
    response = error_response(journey.protocol, stalled, 1);
  }
  co_return response;
}

std::optional<record::Event> RequestLine::event_of(const Journey& journey, const Response& response,
                                                   const Error* error) const {
  record::Event event{.kind = record::Kind::kInferenceDone};
  if (journey.probe) return std::nullopt;
  if (error != nullptr) {
    event = record::event_of(kind_of(error->code, journey.sent), *error);
  } else if (journey.model == nullptr) {
    return std::nullopt;  // a look at what is served
  }
  if (journey.model != nullptr) {
    event.model = journey.model->name;
    event.set(Attr::kRootDigest, journey.model->root_digest);
  }
  event.set(Attr::kRequest, journey.request_id);
  event.set(Attr::kClientIp, journey.client->address);
  event.set(Attr::kClientPort, journey.client->port);
  if (journey.identity) event.set(Attr::kKey, journey.identity->name());
  if (!journey.key_hash.empty()) event.set(Attr::kKeyHash, journey.key_hash);
  if (!journey.method.empty()) event.set(Attr::kMethod, journey.method);
  if (!journey.route.empty()) event.set(Attr::kRoute, journey.route);
  event.set(Attr::kStatus, response.status);
  event.set(Attr::kBytesIn, journey.bytes_in);
  event.set(Attr::kBytesOut, response.body.size());
  event.set(Attr::kDurationUs, microseconds_since(journey.started, clock_.steady()));
  if (journey.sent) {
    event.set(Attr::kRunUs, journey.run_us);
    event.set(Attr::kItems, journey.items);
    if (journey.tokens > 0) event.set(Attr::kTokens, journey.tokens);
  }
  return event;
}

}  // namespace mlxguard::gateway
