// SPDX-License-Identifier: Apache-2.0
#include "judgement_output.h"

#include <fmt/format.h>

namespace mlxguard::cli {
namespace {

using State = trust::Condition::State;

std::string_view name_of(State state) {
  switch (state) {
    case State::kPassed:
      return "passed";
    case State::kFailed:
      return "failed";
    case State::kPending:
      return "open";
  }
  return "open";
}

/// Let through by a source that only warns.
bool is_warning(const trust::Condition& condition, const trust::Judgement& judgement) {
  return condition.state == State::kFailed && judgement.mode == trust::Mode::kWarn &&
         condition.weight == trust::Condition::Weight::kRule;
}

std::string mark_of(const Output& output, const trust::Condition& condition,
                    const trust::Judgement& judgement) {
  if (condition.state == State::kPassed) return output.styled(Style::kGood, "✓");
  if (condition.state == State::kPending) return output.styled(Style::kDim, "?");
  return is_warning(condition, judgement) ? output.styled(Style::kWarn, "!")
                                          : output.styled(Style::kBad, "✗");
}

}  // namespace

void write_judgement(codec::JsonWriter& json, const trust::Judgement& judgement) {
  json.key("trust").begin_object().field("source", judgement.source);
  json.field("match", judgement.match).field("mode", trust::name_of(judgement.mode));
  json.key("conditions").begin_array();
  for (const trust::Condition& condition : judgement.conditions) {
    json.begin_object().field("rule", condition.rule).field("state", name_of(condition.state));
    json.field("said", condition.said);
    if (condition.state == State::kFailed) {
      json.field("code", mlxguard::name_of(condition.code)).field("subject", condition.subject);
      json.field("expected", condition.expected).field("actual", condition.actual);
      json.key("warning").boolean(is_warning(condition, judgement));
    }
    json.end_object();
  }
  json.end_array().key("signers").begin_array();
  for (const trust::Signer& signer : judgement.signers) {
    json.begin_object();
    json.field("kind", signer.kind == trust::Signer::Kind::kKey ? "key" : "certificate");
    json.field("fingerprint", signer.fingerprint).field("name", signer.name);
    if (signer.kind == trust::Signer::Kind::kCertificate) {
      json.field("authority", signer.authority).field("subject", signer.subject);
      json.key("identities").begin_array();
      for (const std::string& identity : signer.identities) json.string(identity);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array().end_object();
}

void show_conditions(const Output& output, const trust::Judgement& judgement) {
  for (const trust::Condition& condition : judgement.conditions) {
    std::string line = fmt::format("  {} {:<14} {}", mark_of(output, condition, judgement),
                                   condition.rule, printable(condition.said));
    if (condition.state == State::kFailed) {
      line += fmt::format("  [{}]", mlxguard::name_of(condition.code));
    }
    output.line(line);
    if (condition.state != State::kFailed) continue;
    if (!condition.subject.empty()) output.line("      about     " + printable(condition.subject));
    if (!condition.expected.empty())
      output.line("      expected  " + printable(condition.expected));
    if (!condition.actual.empty()) output.line("      found     " + printable(condition.actual));
  }
}

void show_warnings(const Output& output, const trust::Judgement& judgement) {
  for (const trust::Condition& condition : judgement.conditions) {
    if (!is_warning(condition, judgement)) continue;
    const Error error = trust::error_of(condition, judgement);
    std::string line =
        fmt::format("warning: {} [{}]", printable(error.message), mlxguard::name_of(error.code));
    if (!error.actual.empty()) line += ": found " + printable(error.actual);
    if (!error.expected.empty()) line += ", expected " + printable(error.expected);
    output.note(line);
  }
}

}  // namespace mlxguard::cli
