// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "admission/model_line.h"
#include "arguments.h"
#include "codec/json.h"
#include "commands.h"
#include "judgement_output.h"
#include "progress.h"

namespace mlxguard::cli {
namespace {

constexpr std::size_t kFindingsShown = 20;

struct Verify {
  std::string model;
  std::vector<std::string> public_keys;
  std::string hugging_face;
};

void write_findings(codec::JsonWriter& json, const std::vector<Error>& findings) {
  json.key("findings").begin_array();
  for (const Error& finding : findings) {
    json.begin_object().field("code", name_of(finding.code)).field("subject", finding.subject);
    json.field("expected", finding.expected).field("actual", finding.actual).end_object();
  }
  json.end_array();
}

int show_refusal(const Session& session, const Verify& options, const signature::Refusal& refusal) {
  const Output& output = session.output();
  const Error& error = refusal.error;
  codec::JsonWriter json;
  json.begin_object().field("status", "refused").field("model", options.model);
  json.key("error").begin_object().field("code", name_of(error.code));
  json.field("message", error.message).field("subject", error.subject);
  json.field("expected", error.expected).field("actual", error.actual);
  json.field("hint", error.hint).end_object();
  write_findings(json, refusal.findings);
  if (refusal.judgement) write_judgement(json, *refusal.judgement);
  json.end_object();
  output.json_line(json.text());
  output.line(output.styled(Style::kBad, "refused") + "  " + printable(options.model));
  for (std::size_t i = 0; i < refusal.findings.size() && i < kFindingsShown; ++i) {
    const Error& finding = refusal.findings[i];
    output.line(
        fmt::format("  {:<28} {}", name_of(finding.code),
                    printable(finding.subject.empty() ? finding.message : finding.subject)));
    if (!finding.expected.empty()) output.line("    expected " + printable(finding.expected));
    if (!finding.actual.empty()) output.line("    found    " + printable(finding.actual));
  }
  if (refusal.findings.size() > kFindingsShown) {
    output.line(
        fmt::format("  and {} more; --json lists all", refusal.findings.size() - kFindingsShown));
  }
  return exit_status_of(error);
}

Result<int> verify(Session& session, const Verify& options) {
  const auto started = session.clock().steady();
  MLXGUARD_TRY_ASSIGN(const admission::OpenInspector inspector, session.inspector());
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust(options.public_keys));
  ProgressLine progress(session.output(), session.clock(), "verifying");
  admission::AdmitRequest request{options.model, {}, progress.callback()};
  MLXGUARD_TRY_ASSIGN(request.state, session.state());
  request.hugging_face = options.hugging_face;
  request.open_inspector = inspector;
  auto outcome = admission::verify_only(request, trust, *log, session.clock());
  progress.finish();
  if (!outcome) return std::move(outcome).error();
  if (const auto* refusal = std::get_if<signature::Refusal>(&*outcome)) {
    const int status = show_refusal(session, options, *refusal);
    if (!session.output().json()) {
      // The two lines of an error; the digests stand above already.
      Error told = refusal->error;
      told.expected.clear();
      told.actual.clear();
      if (told.hint.empty()) {
        told.hint =
            "this is not what was signed: restore it, or sign it again if the change is yours";
      }
      session.output().error(told);
    }
    return status;
  }
  const auto& report = std::get<signature::VerifyReport>(*outcome);
  const auto duration =
      std::chrono::duration<double, std::milli>(session.clock().steady() - started);
  codec::JsonWriter json;
  json.begin_object().field("status", "verified").field("model", options.model);
  json.field("files", static_cast<std::int64_t>(report.files));
  json.field("bytes", static_cast<std::int64_t>(report.bytes));
  json.field("root_digest", report.root_digest).field("signer", report.signer);
  json.field("signer_name", report.signer_name).key("duration_ms").number(duration.count());
  if (report.judgement) write_judgement(json, *report.judgement);
  json.end_object();
  session.output().json_line(json.text());
  session.output().line(session.output().styled(Style::kGood, "verified") + "  " +
                        printable(options.model) +
                        fmt::format("  {} files, {}, {:.0f} ms", report.files,
                                    human_bytes(report.bytes), duration.count()));
  session.output().line("  identity  " + report.root_digest);
  session.output().line("  signer    " + report.signer_name + "  " + report.signer);
  if (report.judgement) show_warnings(session.output(), *report.judgement);
  return 0;
}

}  // namespace

void define_verify(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Verify>();
  app.add_option("MODEL", options->model, "folder (or single file) of the model")->required();
  app.add_option("--public-key", options->public_keys,
                 "PEM key to trust, besides those in the key folder")
      ->allow_extra_args(false);
  app.add_option("--hf", options->hugging_face,
                 "ORG/NAME: what you asked the Hugging Face Hub for");
  app.callback([=] { chosen([=](Session& session) { return verify(session, *options); }); });
}

}  // namespace mlxguard::cli
