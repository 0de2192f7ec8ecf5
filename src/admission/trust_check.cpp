// SPDX-License-Identifier: Apache-2.0
#include "admission/trust_check.h"

#include <utility>

#include "admission/model_record.h"
#include "admission/model_store.h"

namespace mlxguard::admission {

using record::Attr;
namespace {

using signature::Verifier;
using trust::Condition;

Condition passed(std::string rule, std::string said) {
  return {.rule = std::move(rule), .said = std::move(said)};
}

Condition failed(std::string rule, const Error& error) {
  return {.rule = std::move(rule),
          .state = Condition::State::kFailed,
          .weight = Condition::Weight::kAlways,
          .said = error.message,
          .code = error.code,
          .subject = error.subject,
          .expected = error.expected,
          .actual = error.actual};
}

bool is_refusal(const Error& error) {
  return describe(error.code).exit_class == ExitClass::kRefused ||
         error.code == ErrorCode::kNoTrustedKeys;
}

std::string signed_by(const signature::VerifyReport& report) {
  std::string said = "the signature verifies: " + trust::describe(report.signers.front());
  for (std::size_t i = 1; i < report.signers.size(); ++i) {
    said += ", " + trust::describe(report.signers[i]);
  }
  return said;
}

/// Nothing is proven, but which source it would be can be said.
Result<TrustAnswer> unsigned_answer(const trust::Policy& policy, const Origin& origin, Error error,
                                    WallTime now) {
  TrustAnswer answer;
  MLXGUARD_TRY_ASSIGN(answer.judgement, policy.judge(claim_of(origin, answer.report), now));
  auto& conditions = answer.judgement.conditions;
  std::erase_if(conditions, [](const Condition& one) { return one.rule == "signer"; });
  conditions.insert(conditions.begin(), failed("signature", error));
  answer.refusal = std::move(error);
  return answer;
}

Result<TrustAnswer> answer_for(const AdmitRequest& request, const Trust& trust, WallTime now) {
  MLXGUARD_TRY_ASSIGN(const Source source, source_of(request));
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(source.path));
  MLXGUARD_TRY_ASSIGN(const Origin origin, origin_of(request, source, folder));
  auto opened = Verifier::open(std::move(folder), source.path, trust.keys());
  if (!opened && is_refusal(opened.error())) {
    return unsigned_answer(trust.policy(), origin, std::move(opened).error(), now);
  }
  if (!opened) return std::move(opened).error();
  Verifier& verifier = *opened;
  PolicyStation station(trust.policy(), origin, verifier.report(), now);
  TrustAnswer answer;
  answer.report = verifier.report();
  // Every condition is asked, whatever the ones before said; the first that fails is the reason.
  const auto note = [&](Error error) {
    if (!answer.refusal) answer.refusal = std::move(error);
  };
  if (auto early = station.ask_early(); !early) note(std::move(early).error());
  const auto files = verifier.check_in_place(request.progress);
  if (!files && !is_refusal(files.error())) return Error(files.error());
  std::optional<Error> content;
  if (!files) {
    note(Error(files.error()));
  } else if (auto decided = station.decide(verifier, bytes_at(verifier.folder(), source.path),
                                           request.open_inspector);
             !decided) {
    if (station.judgement().first_failed() == nullptr) content = decided.error();
    note(std::move(decided).error());
  }
  answer.judgement = station.judgement();
  auto& conditions = answer.judgement.conditions;
  conditions.insert(conditions.begin(),
                    files ? passed("files", std::to_string(answer.report.files) +
                                                " files are exactly as they were signed")
                          : failed("files", files.error()));
  conditions.insert(conditions.begin(), passed("signature", signed_by(answer.report)));
  if (content) conditions.push_back(failed("content", *content));
  return answer;
}

Result<void> put_on_record(const TrustAnswer& answer, const std::string& model,
                           record::Sink& sink) {
  record::Event event{.kind = record::Kind::kTrustChecked};
  if (answer.refusal) event = record::event_of(record::Kind::kTrustChecked, *answer.refusal, model);
  event.model = model;
  if (!answer.refusal) event.message = "the trust policy allows it";
  event.set(Attr::kSource, answer.judgement.source).set(Attr::kMatch, answer.judgement.match);
  event.set(Attr::kMode, std::string(trust::name_of(answer.judgement.mode)));
  const Condition* first = answer.judgement.first_failed();
  if (first != nullptr) event.set(Attr::kRule, first->rule);
  return sink.append(event);
}

}  // namespace

Result<TrustAnswer> check_trust(const AdmitRequest& request, const Trust& trust, record::Sink& sink,
                                const Clock& clock) {
  const std::string name = model_name(request.name, request.path);
  auto answer = answer_for(request, trust, clock.now());
  if (!answer) {
    MLXGUARD_TRY(sink.append(record::event_of(record::Kind::kTrustChecked, answer.error(), name)));
    return answer;
  }
  MLXGUARD_TRY(put_on_record(*answer, name, sink));
  return answer;
}

}  // namespace mlxguard::admission
