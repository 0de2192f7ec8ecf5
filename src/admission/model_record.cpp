// SPDX-License-Identifier: Apache-2.0
#include "admission/model_record.h"

#include <utility>

#include "artifact/store.h"

namespace mlxguard::admission {

using record::Attr;
using record::Event;
using record::Kind;

namespace {

/// Which rule decided.
Event& with_judgement(Event& event, const trust::Judgement& judgement) {
  if (judgement.source.empty()) return event;
  return event.set(Attr::kSource, judgement.source)
      .set(Attr::kMatch, judgement.match)
      .set(Attr::kMode, std::string(trust::name_of(judgement.mode)));
}

}  // namespace

ModelRecord::ModelRecord(std::string model, record::Sink& sink, const Clock& clock)
    : model_(std::move(model)), sink_(sink), clock_(clock), start_(clock.steady()) {}

Result<void> ModelRecord::append(Kind kind, std::string message,
                                 const signature::VerifyReport& report) {
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - start_);
  Event event{.kind = kind};
  event.model = model_;
  event.message = std::move(message);
  event.set(Attr::kRootDigest, report.root_digest)
      .set(Attr::kSigner, report.signer)
      .set(Attr::kSignerName, report.signer_name)
      .set(Attr::kFiles, report.files)
      .set(Attr::kBytes, report.bytes)
      .set(Attr::kDurationUs, elapsed.count());
  if (kind == Kind::kModelVerified) {
    event.set(Attr::kBasis, report.basis == signature::Basis::kDigests ? "digests" : "receipt");
    event.set(Attr::kHashedBytes, report.basis == signature::Basis::kDigests
                                   ? static_cast<std::int64_t>(report.bytes)
                                   : std::int64_t{0});
  }
  if (report.judgement) with_judgement(event, *report.judgement);
  return sink_.append(event);
}

Result<void> ModelRecord::opened(const signature::VerifyReport& claimed) {
  return append(Kind::kModelOpened, "a trusted key signed the list of its files", claimed);
}

Result<void> ModelRecord::snapshot(const signature::VerifyReport& claimed) {
  return append(Kind::kModelSnapshot, "its bytes are held in sealed memory", claimed);
}

Result<trust::Approval> ModelRecord::decide(PolicyStation& policy,
                                            const signature::Verifier& verifier,
                                            const ContentBytes& bytes,
                                            const OpenInspector& open_inspector) {
  auto decided = policy.decide(verifier, bytes, open_inspector);
  if (!policy.inspection()) return decided;
  const inspect::Report& report = *policy.inspection();
  Event event{.kind = Kind::kModelInspected};
  event.model = model_;
  event.message = report.complete() ? "inspected to its end" : "could not be inspected to its end";
  event.set(Attr::kRootDigest, verifier.report().root_digest)
      .set(Attr::kFindings, report.findings.size())
      .set(Attr::kNotInspected, report.not_inspected.size());
  if (const auto worst = report.worst()) event.set(Attr::kWorst, inspect::name_of(*worst));
  MLXGUARD_TRY(sink_.append(event));
  return decided;
}

Result<void> ModelRecord::verified(const signature::VerifyReport& report) {
  if (report.judgement) MLXGUARD_TRY(warned(*report.judgement));
  return append(Kind::kModelVerified,
                report.basis == signature::Basis::kDigests
                    ? "every file is exactly as it was signed"
                    : "untouched since the store hashed every file, by its receipt",
                report);
}

Result<void> ModelRecord::warned(const trust::Judgement& judgement) {
  for (const trust::Condition& condition : judgement.conditions) {
    if (condition.state != trust::Condition::State::kFailed) continue;
    Event event =
        record::event_of(Kind::kModelWarned, trust::error_of(condition, judgement), model_);
    event.outcome = record::Outcome::kSuccess;  // the model passes
    with_judgement(event, judgement).set(Attr::kRule, condition.rule);
    MLXGUARD_TRY(sink_.append(event));
  }
  return {};
}

Error ModelRecord::refused(Error error, const Walked& walked) {
  Event event = record::event_of(Kind::kModelRefused, error, model_);
  event.set(Attr::kFindings, walked.findings.empty() ? 1 : walked.findings.size());
  if (walked.judgement) {
    with_judgement(event, *walked.judgement);
    const trust::Condition* failed = walked.judgement->first_failed();
    if (failed != nullptr && failed->code == error.code) event.set(Attr::kRule, failed->rule);
  }
  if (auto logged = sink_.append(event); !logged) {
    return std::move(logged).error().with("recording a refusal", name_of(error.code));
  }
  return error;
}

std::string model_name(const std::string& served_name, const std::filesystem::path& path) {
  if (!served_name.empty()) return served_name;
  if (path.string().starts_with(artifact::kStorePrefix)) {
    return path.string().substr(artifact::kStorePrefix.size());
  }
  const auto normal = path.lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

}  // namespace mlxguard::admission
