// SPDX-License-Identifier: Apache-2.0
// `mlxguard trust check` and `trust list`: what the policy says, in words.
#include <fmt/format.h>

#include <memory>

#include "admission/trust_check.h"
#include "arguments.h"
#include "base/ascii.h"
#include "codec/json.h"
#include "codec/text.h"
#include "judgement_output.h"
#include "progress.h"
#include "trust_commands.h"

namespace mlxguard::cli {
namespace {

struct CheckOptions {
  std::string model;
  std::string hugging_face;
  std::vector<std::string> public_keys;
};

std::string moment(WallTime time) { return codec::to_rfc3339(time.time_since_epoch().count()); }

void write_policy(codec::JsonWriter& json, const trust::Policy& policy,
                  const trust::PolicyPlaces& places) {
  json.key("policy").begin_object();
  json.field("file", policy.is_implicit() ? std::string() : places.file().string());
  json.key("implicit").boolean(policy.is_implicit());
  json.key("version").unsigned_integer(policy.file().version);
  json.field("signed_by", policy.signed_by());
  if (policy.file().expires) json.field("expires", moment(*policy.file().expires));
  json.end_object();
}

/// "policy  /etc/mlxguard/trust.toml, version 3, signed by key 3f9c41d2"
std::string policy_line(const trust::Policy& policy, const trust::PolicyPlaces& places) {
  if (policy.is_implicit()) return "none: every trusted key may sign every model";
  std::string line =
      printable(places.file().string()) + ", version " + std::to_string(policy.file().version);
  line +=
      policy.is_signed() ? ", signed by key " + policy.signed_by().substr(0, 8) : ", not signed";
  if (policy.file().expires) line += ", until " + moment(*policy.file().expires);
  return line;
}

std::string_view status_of(const admission::TrustAnswer& answer) {
  if (answer.refusal) return "refused";
  return answer.judgement.first_failed() == nullptr ? "allowed" : "allowed_with_warnings";
}

void write_answer(const Session& session, const CheckOptions& options, const trust::Policy& policy,
                  const trust::PolicyPlaces& places, const admission::TrustAnswer& answer) {
  codec::JsonWriter json;
  json.begin_object().field("status", status_of(answer)).field("model", options.model);
  json.field("root_digest", answer.report.root_digest);
  write_policy(json, policy, places);
  write_judgement(json, answer.judgement);
  json.key("not_counted").begin_array();
  for (const Error& error : answer.report.not_counted) {
    json.begin_object().field("bundle", error.subject).field("code", name_of(error.code));
    json.field("message", error.message).end_object();
  }
  json.end_array();
  if (answer.refusal) {
    const Error& error = *answer.refusal;
    json.key("error").begin_object().field("code", name_of(error.code));
    json.field("message", error.message).field("subject", error.subject);
    json.field("expected", error.expected).field("actual", error.actual);
    json.field("hint", error.hint).end_object();
  }
  json.end_object();
  session.output().json_line(json.text());
}

void show_answer(const Output& output, const CheckOptions& options, const trust::Policy& policy,
                 const trust::PolicyPlaces& places, const admission::TrustAnswer& answer) {
  const Style style = answer.refusal                               ? Style::kBad
                      : answer.judgement.first_failed() == nullptr ? Style::kGood
                                                                   : Style::kWarn;
  const std::string_view word = answer.refusal ? "refused"
                                : answer.judgement.first_failed() == nullptr
                                    ? "allowed"
                                    : "allowed with warnings";
  output.line(output.styled(style, word) + "  " + printable(options.model));
  output.line("  policy  " + policy_line(policy, places));
  if (!answer.judgement.source.empty()) {
    output.line("  source  " + answer.judgement.source + ", by " +
                printable(answer.judgement.match) + ", mode " +
                std::string(trust::name_of(answer.judgement.mode)));
  } else {
    output.line("  source  none");
  }
  show_conditions(output, answer.judgement);
  for (const Error& error : answer.report.not_counted) {
    output.line(fmt::format("  - {} does not count: {}  [{}]", printable(error.subject),
                            printable(error.message), name_of(error.code)));
  }
}

Result<int> check(Session& session, const CheckOptions& options) {
  MLXGUARD_TRY_ASSIGN(const admission::OpenInspector inspector, session.inspector());
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const auto places, session.policy_places(options.public_keys));
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust(options.public_keys));
  ProgressLine progress(session.output(), session.clock(), "checking");
  admission::AdmitRequest request{options.model, {}, progress.callback()};
  request.state = places.state;
  request.hugging_face = options.hugging_face;
  request.open_inspector = inspector;
  auto answer = admission::check_trust(request, trust, *log, session.clock());
  progress.finish();
  if (!answer) return std::move(answer).error();
  if (session.output().json()) {
    write_answer(session, options, trust.policy(), places, *answer);
  } else {
    show_answer(session.output(), options, trust.policy(), places, *answer);
    if (answer->refusal) {
      // The two lines of an error; what was expected and found stands above already.
      Error told = *answer->refusal;
      told.expected.clear();
      told.actual.clear();
      told.hint = "`mlxguard trust list` shows what each source demands";
      session.output().error(told);
    }
  }
  return answer->refusal ? exit_status_of(*answer->refusal) : 0;
}

void write_texts(codec::JsonWriter& json, std::string_view name,
                 const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.string(text);
  json.end_array();
}

void write_window(codec::JsonWriter& json, const trust::Window& window) {
  if (window.not_before) json.field("not_before", moment(*window.not_before));
  if (window.not_after) json.field("not_after", moment(*window.not_after));
}

void write_source(codec::JsonWriter& json, const trust::SourceRule& source) {
  json.begin_object().field("name", source.name).field("by", trust::name_of(source.match));
  write_texts(json, "patterns", source.patterns);
  json.field("mode", trust::name_of(source.mode)).field("threshold", source.threshold);
  write_texts(json, "formats", source.formats);
  write_window(json, source.window);
  if (source.min_version) json.field("min_version", source.min_version->text());
  json.field("rollback", source.rollback == trust::Rollback::kRefuse ? "refuse" : "allow");
  write_texts(json, "refuse_findings", source.refuse_findings);
  json.key("receipts").boolean(source.receipts == trust::Receipts::kAllow);
  write_texts(json, "legacy", source.legacy);
  json.key("signers").begin_array();
  for (const trust::SignerRule& signer : source.signers) {
    json.begin_object();
    if (signer.is_certificate()) {
      json.field("ca", signer.authority.string()).field("ca_sha256", signer.authority_digest);
      json.field("identity", signer.identity);
    } else {
      json.field("key", signer.key);
    }
    write_window(json, signer.window);
    json.end_object();
  }
  json.end_array().end_object();
}

void show_source(const Output& output, const trust::SourceRule& source,
                 const trust::KeyRing& ring) {
  output.line(output.styled(Style::kBold, source.name) + "  " +
              std::string(trust::name_of(source.match)) + " " + printable(joined(source.patterns)));
  std::vector<std::string> signers;
  for (const trust::SignerRule& signer : source.signers) {
    signers.push_back(describe_signer(signer, ring));
  }
  output.line(fmt::format("  {}, {} of {}: {}", trust::name_of(source.mode), source.threshold,
                          source.signers.size(), printable(joined(signers))));
  if (!source.formats.empty()) output.line("  formats  " + joined(source.formats));
  if (source.window.not_before || source.window.not_after) {
    output.line("  valid    " + source.window.text());
  }
  if (source.min_version) output.line("  version  at least " + source.min_version->text());
  if (source.rollback == trust::Rollback::kRefuse) {
    output.line("  version  never older than the newest that was admitted");
  }
  if (!source.refuse_findings.empty()) {
    output.line("  refuses  findings " + joined(source.refuse_findings));
  }
  if (source.receipts == trust::Receipts::kAllow) {
    output.line("  receipts a stored, untouched model is not hashed again");
  }
  if (!source.legacy.empty()) output.line("  legacy   " + joined(source.legacy));
}

Result<int> list(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto places, session.policy_places());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust());
  const trust::Policy& policy = trust.policy();
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object();
  write_policy(json, policy, places);
  json.field("mode", trust::name_of(policy.file().mode));
  write_texts(json, "revoked_keys", policy.file().revoked_keys);
  write_texts(json, "revoked_serials", policy.file().revoked_serials);
  write_texts(json, "revoked_models", policy.file().revoked_models);
  json.key("sources").begin_array();
  if (!policy.is_implicit()) {
    for (const trust::SourceRule& source : policy.file().sources) write_source(json, source);
  }
  json.end_array().end_object();
  output.json_line(json.text());
  output.line("policy  " + policy_line(policy, places));
  if (policy.is_implicit()) return 0;
  for (const trust::SourceRule& source : policy.file().sources) {
    show_source(output, source, policy.ring());
  }
  if (policy.file().sources.empty()) output.line("no source: every model is refused");
  const trust::PolicyFile& file = policy.file();
  for (const auto& [what, texts] :
       {std::pair("keys", &file.revoked_keys), std::pair("serials", &file.revoked_serials),
        std::pair("models", &file.revoked_models)}) {
    if (!texts->empty()) output.line(fmt::format("revoked {}  {}", what, joined(*texts)));
  }
  return 0;
}

}  // namespace

std::string describe_signer(const trust::SignerRule& signer, const trust::KeyRing& ring) {
  if (!signer.is_certificate()) {
    const trust::RingKey* known = ring.find(signer.key);
    return (known != nullptr ? known->name : std::string("key")) + " (" + signer.key.substr(0, 8) +
           ")";
  }
  return signer.identity + " by authority " + signer.authority_digest.substr(0, 8);
}

void define_trust(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  define_trust_changes(app, chosen);
  Arguments* listed =
      app.add_subcommand("list", "the sources of the policy, and what each demands");
  listed->callback([=] { chosen([](Session& session) { return list(session); }); });
  const auto options = std::make_shared<CheckOptions>();
  Arguments* checked = app.add_subcommand(
      "check", "say in words which rule a model matches, and how each condition ends");
  checked->add_option("MODEL", options->model, "folder, single file, or store:NAME")->required();
  checked->add_option("--hf", options->hugging_face,
                      "ORG/NAME: what you asked the Hugging Face Hub for");
  checked
      ->add_option("--public-key", options->public_keys,
                   "PEM key to know, besides those in the key folder")
      ->allow_extra_args(false);
  checked->callback([=] { chosen([=](Session& session) { return check(session, *options); }); });
}

}  // namespace mlxguard::cli
