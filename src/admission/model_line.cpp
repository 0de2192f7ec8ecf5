// SPDX-License-Identifier: Apache-2.0
#include "admission/model_line.h"

#include <optional>
#include <utility>

#include "admission/model_claim.h"
#include "admission/model_record.h"
#include "admission/model_store.h"

namespace mlxguard::admission {
namespace {

using signature::Findings;
using signature::Refusal;
using signature::VerifiedModel;
using signature::Verifier;
using signature::VerifyReport;

/// A trust.toml says it of each source; without one the configuration does.
Receipts receipts_of(const AdmitRequest& request, const Trust& trust, const PolicyStation& policy) {
  if (trust.policy().is_implicit()) return request.receipts;
  return policy.receipts() == trust::Receipts::kAllow ? Receipts::kAllowed : Receipts::kRefused;
}

/// The line itself. `walked` is what is known where it ended.
Result<VerifiedModel> walk(const AdmitRequest& request, const Trust& trust, ModelRecord& record,
                           WallTime now, Walked& walked) {
  MLXGUARD_TRY_ASSIGN(Source source, source_of(request));
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(source.path));
  MLXGUARD_TRY_ASSIGN(const Origin origin, origin_of(request, source, folder));
  MLXGUARD_TRY_ASSIGN(Verifier verifier,
                      Verifier::open(std::move(folder), source.path, trust.keys()));
  MLXGUARD_TRY(record.opened(verifier.report()));

  PolicyStation policy(trust.policy(), origin, verifier.report(), now);
  const auto keep = [&](auto result) {
    walked = {verifier.findings(), policy.judgement()};
    return result;
  };
  MLXGUARD_TRY(keep(policy.ask_early()));
  MLXGUARD_TRY(keep(verifier.check_names()));
  MLXGUARD_TRY(take_snapshot(verifier, source, receipts_of(request, trust, policy), trust,
                             request.progress));
  MLXGUARD_TRY(record.snapshot(verifier.report()));
  MLXGUARD_TRY(keep(verifier.check_digests()));
  MLXGUARD_TRY_ASSIGN(
      const trust::Approval approval,
      keep(record.decide(policy, verifier, sealed_bytes(verifier), request.open_inspector)));
  MLXGUARD_TRY_ASSIGN(VerifiedModel model, verifier.verify(record.model(), approval));
  model.keep(std::move(source.hold));
  VerifyReport report = verifier.report();
  report.judgement = approval.judgement();
  MLXGUARD_TRY(record.verified(report));
  MLXGUARD_TRY(trust.policy().remember(approval));
  if (request.judged) request.judged(approval.judgement());
  return model;
}

Result<VerifyReport> look(const AdmitRequest& request, const Trust& trust, ModelRecord& record,
                          WallTime now, Walked& walked) {
  MLXGUARD_TRY_ASSIGN(const Source source, source_of(request));
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(source.path));
  MLXGUARD_TRY_ASSIGN(const Origin origin, origin_of(request, source, folder));
  MLXGUARD_TRY_ASSIGN(Verifier verifier,
                      Verifier::open(std::move(folder), source.path, trust.keys()));
  MLXGUARD_TRY(record.opened(verifier.report()));
  PolicyStation policy(trust.policy(), origin, verifier.report(), now);
  const auto keep = [&](auto result) {
    walked = {verifier.findings(), policy.judgement()};
    return result;
  };
  MLXGUARD_TRY(keep(policy.ask_early()));
  MLXGUARD_TRY(keep(verifier.check_in_place(request.progress)));
  MLXGUARD_TRY_ASSIGN(const trust::Approval approval,
                      keep(record.decide(policy, verifier, bytes_at(verifier.folder(), source.path),
                                         request.open_inspector)));
  VerifyReport report = verifier.report();
  report.judgement = approval.judgement();
  MLXGUARD_TRY(record.verified(report));
  return report;
}

/// Everything that the policy refuses, if that is why; else the error alone.
Findings refusals_in(const std::optional<trust::Judgement>& judgement, const Error& error) {
  Findings findings;
  const trust::Condition* first = judgement ? judgement->first_failed() : nullptr;
  if (first == nullptr || first->code != error.code) return {error};
  findings.push_back(error);
  for (const trust::Condition& condition : judgement->conditions) {
    if (condition.state != trust::Condition::State::kFailed || &condition == first) continue;
    findings.push_back(trust::error_of(condition, *judgement));
  }
  return findings;
}

}  // namespace

Result<VerifiedModel> admit(const AdmitRequest& request, const Trust& trust, record::Sink& sink,
                            const Clock& clock) {
  ModelRecord record(model_name(request.name, request.path), sink, clock);
  Walked walked;
  auto model = walk(request, trust, record, clock.now(), walked);
  if (!model) return record.refused(std::move(model).error(), walked);
  return model;
}

Result<std::variant<VerifyReport, Refusal>> verify_only(const AdmitRequest& request,
                                                        const Trust& trust, record::Sink& sink,
                                                        const Clock& clock) {
  using Answer = std::variant<VerifyReport, Refusal>;
  ModelRecord record(model_name(request.name, request.path), sink, clock);
  Walked walked;
  auto report = look(request, trust, record, clock.now(), walked);
  if (report) return Answer(*std::move(report));
  Error error = record.refused(std::move(report).error(), walked);
  if (describe(error.code).exit_class != ExitClass::kRefused) return error;
  if (walked.findings.empty()) walked.findings = refusals_in(walked.judgement, error);
  return Answer(Refusal{std::move(error), std::move(walked.findings), std::move(walked.judgement)});
}

}  // namespace mlxguard::admission
