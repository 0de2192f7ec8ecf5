// SPDX-License-Identifier: Apache-2.0
#include "admission/model_line.h"

#include <optional>
#include <utility>

#include "admission/model_record.h"

namespace mlxguard::admission {
namespace {

using signature::Findings;
using signature::Refusal;
using signature::VerifiedModel;
using signature::Verifier;
using signature::VerifyReport;

/// The line itself. `findings` is what differs, where that is why it ended.
Result<VerifiedModel> walk(const AdmitRequest& request, const signature::TrustedKeys& trusted,
                           ModelRecord& record, Findings& findings) {
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(request.path));
  MLXGUARD_TRY_ASSIGN(Verifier verifier, Verifier::open(std::move(folder), request.path, trusted));
  MLXGUARD_TRY(record.opened(verifier.report()));

  const auto keep_findings = [&](auto result) {
    findings = verifier.findings();
    return result;
  };
  MLXGUARD_TRY(keep_findings(verifier.check_names()));
  MLXGUARD_TRY(verifier.take_snapshot(request.progress));
  MLXGUARD_TRY(record.snapshot(verifier.report()));

  MLXGUARD_TRY_ASSIGN(VerifiedModel model, keep_findings(verifier.verify(record.model())));
  MLXGUARD_TRY(record.verified(verifier.report()));
  return model;
}

Result<VerifyReport> look(const AdmitRequest& request, const signature::TrustedKeys& trusted,
                          ModelRecord& record, Findings& findings) {
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(request.path));
  MLXGUARD_TRY_ASSIGN(Verifier verifier, Verifier::open(std::move(folder), request.path, trusted));
  MLXGUARD_TRY(record.opened(verifier.report()));
  auto checked = verifier.check_in_place(request.progress);
  findings = verifier.findings();
  MLXGUARD_TRY(std::move(checked));
  MLXGUARD_TRY(record.verified(verifier.report()));
  return verifier.report();
}

}  // namespace

Result<VerifiedModel> admit(const AdmitRequest& request, const signature::TrustedKeys& trusted,
                            events::Sink& sink, const Clock& clock) {
  ModelRecord record(model_name(request.name, request.path), sink, clock);
  Findings findings;
  auto model = walk(request, trusted, record, findings);
  if (!model) return record.refused(std::move(model).error(), findings);
  return model;
}

Result<std::variant<VerifyReport, Refusal>> verify_only(const AdmitRequest& request,
                                                        const signature::TrustedKeys& trusted,
                                                        events::Sink& sink, const Clock& clock) {
  using Answer = std::variant<VerifyReport, Refusal>;
  ModelRecord record(model_name(request.name, request.path), sink, clock);
  Findings findings;
  auto report = look(request, trusted, record, findings);
  if (report) return Answer(*std::move(report));
  Error error = record.refused(std::move(report).error(), findings);
  if (describe(error.code).exit_class != ExitClass::kRefused) return error;
  if (findings.empty()) findings.push_back(error);
  return Answer(Refusal{std::move(error), std::move(findings)});
}

}  // namespace mlxguard::admission
