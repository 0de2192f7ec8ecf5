// SPDX-License-Identifier: Apache-2.0
// The request line's way in: from a head and a body to a call in a model's queue.
#include "front/request_line.h"

#include "base/ascii.h"
#include "front/metadata.h"

namespace mlxguard::front {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool is_json(const http::RequestHead& head) {
  const std::string_view content_type = head.headers.value_of("content-type");
  // The inference protocol's own client names no type for JSON. A browser may leave it out too, and
  // then asks nobody before it sends another site's request: those say where they come from.
  if (content_type.empty()) {
    return protocol_of(head.target) == Protocol::kInference && !head.headers.has("origin");
  }
  constexpr std::string_view kJson = "application/json";
  if (!equals_ignoring_case(content_type.substr(0, kJson.size()), kJson)) return false;
  const std::string_view rest = content_type.substr(kJson.size());
  return rest.empty() || rest.front() == ';' || rest.front() == ' ' || rest.front() == '\t';
}

Error not_running() {
  return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
}

/// The row that a path without a model's name belongs to.
const task::Row& row_of(std::span<const task::Row> rows, std::string_view pattern) {
  for (const task::Row& row : rows) {
    for (const task::Route& route : row.routes) {
      if (route.pattern == pattern) return row;
    }
  }
  MLXGUARD_CHECK(false);
}

}  // namespace

RequestLine::RequestLine(RequestLineOptions options, RequestLineParts parts,
                         Authenticator authenticator, RateLimiter rates, std::uint64_t id_seed)
    : options_(options),
      parts_(parts),
      router_(parts.rows),
      authenticator_(std::move(authenticator)),
      rates_(std::move(rates)),
      next_id_(id_seed) {}

/// The line. Everything else is one of its stations.
Task<void> RequestLine::handle(http::Exchange& exchange) {
  Journey journey = begin(exchange);
  auto prepared = co_await prepare(exchange, journey);
  exchange.drop_body();
  if (!prepared) {
    co_await fail(exchange, journey, Failure::of(std::move(prepared).error()));
    co_return;
  }
  if (prepared->body) {
    Response response;
    response.body = std::move(*prepared->body);
    co_await respond(exchange, journey, std::move(response), std::nullopt);
    co_return;
  }
  const std::shared_ptr<call::Call> call = ask(*prepared, journey);
  exchange.when_gone([call] { call->cancel(); });
  if (prepared->job->is_streamed()) {
    co_await answer_streamed(exchange, journey, *call, *prepared->job);
  } else {
    co_await answer_whole(exchange, journey, *call, *prepared->job);
  }
}

Task<void> RequestLine::refuse(http::Exchange& exchange, Error error) {
  const Journey journey = begin(exchange);
  co_await fail(exchange, journey, Failure::of(std::move(error)));
}

RequestLine::Journey RequestLine::begin(const http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  Journey journey;
  journey.request_id = next_request_id();
  journey.client = &exchange.client();
  // Only methods that a route has are named: another is the client's own word.
  for (const Route& route : router_.routes()) {
    if (route.method == head.method) journey.method = route.method;
  }
  journey.protocol = protocol_of(head.target);
  journey.started = parts_.clock.steady();
  journey.deadline = journey.started + options_.request_timeout;
  return journey;
}

Task<Result<RequestLine::Prepared>> RequestLine::prepare(http::Exchange& exchange,
                                                         Journey& journey) {
  const http::RequestHead& head = exchange.head();
  auto match = router_.find(head.method, head.target);
  if (match) {
    journey.route = match->route->pattern;
    journey.probe = match->route->access == Access::kOpen;
  }
  if (!journey.probe && !parts_.reporter.can_report()) {
    co_return make_error(ErrorCode::kLogWrite, "events cannot be made durable at the moment");
  }

  // Authenticate, rate. What paths there are is also told only to those who have a key.
  if (!match || match->route->access == Access::kKeyed) {
    const std::string_view authorization = head.headers.value_of("authorization");
    const std::string_view x_api_key = head.headers.value_of("x-api-key");
    auto identity = authenticator_.authenticate(authorization, x_api_key);
    if (!identity) {
      journey.key_hash = authenticator_.event_hash(authorization, x_api_key);
      co_return std::move(identity).error();
    }
    journey.identity = *identity;
    MLXGUARD_CO_TRY_ASSIGN(journey.admission, rates_.take(identity->name()));
  }
  if (!match) co_return std::move(match).error();
  if (match->route->purpose != Purpose::kTask) {
    Prepared prepared;
    MLXGUARD_CO_TRY_ASSIGN(prepared.body, read_only(*match));
    co_return prepared;
  }

  // Read the body only now: its length is known to be allowed.
  MLXGUARD_CO_TRY(check_body_head(head));
  const auto body = co_await exchange.read_body();
  if (!body) co_return body.error();
  journey.bytes_in = static_cast<std::int64_t>(body->size());

  // Decode by the model's schema; validate.
  MLXGUARD_CO_TRY_ASSIGN(Prepared prepared, decode(*match, *body, journey));
  journey.items = prepared.job->items();
  MLXGUARD_CO_TRY_ASSIGN(prepared.payload, prepared.job->validate());
  if (!journey.model->up()) co_return not_running();
  co_return prepared;
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
  switch (match.route->purpose) {
    case Purpose::kAlive:
      return live_body();
    case Purpose::kReady:
      if (parts_.models.all_up()) return ready_body();
      return make_error(ErrorCode::kWorkerUnavailable, "not every model is ready");
    case Purpose::kServerMetadata:
      return server_metadata_body();
    case Purpose::kOpenAiModels:
      return openai_models_body(parts_.models);
    default:
      break;
  }
  MLXGUARD_TRY_ASSIGN(const Model* model, parts_.models.find(match.model));
  if (match.route->purpose == Purpose::kOpenAiModel) return openai_model_body(*model);
  if (match.route->purpose == Purpose::kModelReady && model->up()) return model_ready_body(*model);
  if (match.route->purpose == Purpose::kModelMetadata && model->known()) {
    return model_metadata_body(*model);
  }
  return not_running();
}

Result<task::Served> RequestLine::find_model(std::string_view name, Journey& journey) {
  MLXGUARD_TRY_ASSIGN(journey.model, parts_.models.find(name));
  if (!journey.model->known()) return not_running();
  return task::Served{journey.model->name, journey.model->schema};
}

Result<RequestLine::Prepared> RequestLine::decode(const Match& match, std::string_view body,
                                                  Journey& journey) {
  const task::Route& route = *match.route->task_route;
  task::Incoming incoming;
  incoming.body = body;
  incoming.route = &route;
  incoming.texts = options_.texts;
  Prepared prepared;
  if (route.names_model()) {
    MLXGUARD_TRY_ASSIGN(incoming.model, find_model(match.model, journey));
    prepared.row = task::find_row(parts_.rows, route.pattern, incoming.model.schema->kind);
    if (prepared.row == nullptr) {
      return make_error(ErrorCode::kRequestUnknown, "this model does not do this").about("model");
    }
  } else {
    prepared.row = &row_of(parts_.rows, route.pattern);
    incoming.find = [&](std::string_view name) { return find_model(name, journey); };
  }
  MLXGUARD_TRY_ASSIGN(prepared.job, prepared.row->decode(incoming));
  return prepared;
}

std::shared_ptr<call::Call> RequestLine::ask(Prepared& prepared, Journey& journey) {
  journey.asked = true;
  call::Request request;
  request.task = prepared.row->name;
  request.payload = std::move(prepared.payload);
  request.deadline = journey.deadline;
  request.window = prepared.job->window();
  // Who is not known by a key takes turns by address.
  request.key = journey.identity->name();
  if (journey.identity->is_anonymous()) request.key.append(" ").append(journey.client->address);
  return journey.model->queue->ask(std::move(request));
}

std::string RequestLine::next_request_id() {
  std::string text(16, '0');
  std::uint64_t id = next_id_++;
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, id >>= 4) {
    *digit = kHexDigits[id & 0xf];
  }
  return text;
}

}  // namespace mlxguard::front
