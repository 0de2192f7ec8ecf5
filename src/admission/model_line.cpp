// SPDX-License-Identifier: Apache-2.0
#include "admission/model_line.h"

namespace mlxguard::admission {
namespace {

using events::Event;
using events::Kind;
using signature::Refusal;
using signature::VerifiedModel;
using signature::VerifyReport;

std::int64_t microseconds_since(const Clock& clock, std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(clock.steady() - start).count();
}

std::string name_of_request(const AdmitRequest& request) {
  if (!request.name.empty()) return request.name;
  const auto path = request.path.lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

Event event_about(Kind kind, const std::string& model, std::string message) {
  Event event{.kind = kind};
  event.model = model;
  event.message = std::move(message);
  return event;
}

/// Refusals are durable before anyone is told; if they cannot be, that is the error to tell.
Error refused(events::Sink& sink, const std::string& model, Error error, std::size_t findings = 1) {
  Event event = events::event_of(Kind::kModelRefused, error, model);
  event.outcome = events::Outcome::kRefused;
  event.with("findings", static_cast<std::int64_t>(findings));
  if (auto logged = sink.append(event); !logged) return std::move(logged).error();
  return error;
}

Result<VerifiedModel> walk(const AdmitRequest& request, const std::string& name,
                           const signature::TrustedKeys& trusted, events::Sink& sink,
                           const Clock& clock) {
  const auto start = clock.steady();
  MLXGUARD_TRY_ASSIGN(const auto folder, artifact::ModelFolder::open(request.path));
  const signature::Verifier verifier(trusted);
  MLXGUARD_TRY_ASSIGN(const auto statement, verifier.open(folder, request.path));
  MLXGUARD_TRY(sink.append(
      event_about(Kind::kModelOpened, name, "opened; a trusted key signed its statement")
          .with("signer", statement.signer())
          .with("signer_name", statement.signer_name())
          .with("signed_files", static_cast<std::int64_t>(statement.statement().resources.size()))));

  MLXGUARD_TRY_ASSIGN(VerifiedModel model,
                      signature::Verifier::verify(statement, folder, name, request.progress));
  std::int64_t bytes = 0;
  for (const auto& file : model.files()) bytes += static_cast<std::int64_t>(file.size_bytes);
  MLXGUARD_TRY(sink.append(
      event_about(Kind::kModelSnapshot, name, "its bytes are held in sealed memory")
          .with("files", static_cast<std::int64_t>(model.files().size()))
          .with("bytes", bytes)));
  MLXGUARD_TRY(sink.append(
      event_about(Kind::kModelVerified, name, "every file is exactly as it was signed")
          .with("root_digest", model.root_digest())
          .with("signer", model.signer())
          .with("duration_us", microseconds_since(clock, start))));
  return model;
}

}  // namespace

Result<VerifiedModel> admit(const AdmitRequest& request, const signature::TrustedKeys& trusted,
                            events::Sink& sink, const Clock& clock) {
  const std::string name = name_of_request(request);
  auto model = walk(request, name, trusted, sink, clock);
  if (!model) return refused(sink, name, std::move(model).error());
  return model;
}

Result<std::variant<VerifyReport, Refusal>> verify_only(const AdmitRequest& request,
                                                        const signature::TrustedKeys& trusted,
                                                        events::Sink& sink, const Clock& clock) {
  const auto start = clock.steady();
  const std::string name = name_of_request(request);
  const auto check = [&]() -> Result<std::variant<VerifyReport, Refusal>> {
    MLXGUARD_TRY_ASSIGN(const auto folder, artifact::ModelFolder::open(request.path));
    const signature::Verifier verifier(trusted);
    MLXGUARD_TRY_ASSIGN(const auto statement, verifier.open(folder, request.path));
    return signature::Verifier::check_files(statement, folder, request.progress);
  };
  auto outcome = check();
  if (!outcome) {
    Error error = refused(sink, name, std::move(outcome).error());
    return std::variant<VerifyReport, Refusal>(Refusal{error, {error}});
  }
  if (auto* refusal = std::get_if<Refusal>(&*outcome)) {
    Error told = refused(sink, name, refusal->error, refusal->findings.size());
    if (told.code != refusal->error.code) return told;  // the log's own failure
    return outcome;
  }
  const auto& report = std::get<VerifyReport>(*outcome);
  MLXGUARD_TRY(sink.append(
      event_about(Kind::kModelVerified, name, "every file is exactly as it was signed")
          .with("root_digest", report.root_digest)
          .with("signer", report.signer)
          .with("files", static_cast<std::int64_t>(report.files))
          .with("bytes", static_cast<std::int64_t>(report.bytes))
          .with("duration_us", microseconds_since(clock, start))));
  return outcome;
}

}  // namespace mlxguard::admission
