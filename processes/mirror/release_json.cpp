// SPDX-License-Identifier: Apache-2.0
#include "release_json.h"

#include <algorithm>

#include "codec/json.h"

namespace mlxguard::mirror {
namespace {

void write_list(codec::JsonWriter& json, std::string_view key,
                const std::vector<std::string>& items) {
  json.key(key).begin_array();
  for (const std::string& item : items) json.string(item);
  json.end_array();
}

void write_advisory(codec::JsonWriter& json, const Advisory& advisory) {
  json.begin_object().field("id", advisory.id);
  write_list(json, "aliases", advisory.aliases);
  json.field("summary", advisory.summary).field("details", advisory.details);
  write_list(json, "fixed_in", advisory.fixed_in);
  json.field("link", advisory.link).field("source", "mlxguard").key("withdrawn").null();
  json.end_object();
}

}  // namespace

Answer release_answer(const std::string& project, const std::string& version,
                      const Scanner& scanner, const Policy& policy) {
  constexpr std::size_t kVersionBytesMax = 128;
  const bool plain =
      !version.empty() && version.size() <= kVersionBytesMax &&
      std::all_of(version.begin(), version.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) return problem(400, make_error(ErrorCode::kRequestSyntax, "not a version"));
  const Judgement judgement = scanner.judge_release(project, version);
  for (const Finding& finding : judgement.findings) {
    const UnknownRow* row = find_unknown(finding.code);
    const bool accepted = row != nullptr && policy.options().accepted.contains(row->unknown);
    if (finding.verdict != Verdict::kCouldNotTell || accepted) continue;
    return problem(
        503,
        make_error(ErrorCode::kDepsUnknown, "could not tell whether " + project + " " + version +
                                                " is vulnerable: " + finding.text),
        judgement.findings);
  }
  codec::JsonWriter json;
  json.begin_object().key("info").begin_object().field("name", project);
  json.field("version", version).end_object();
  json.key("last_serial").integer(0).key("urls").begin_array().end_array();
  json.key("vulnerabilities").begin_array();
  for (const Advisory& advisory : scanner.advisories(project, version)) {
    write_advisory(json, advisory);
  }
  json.end_array().key("_mlxguard").begin_object().field("scanner", scanner.description());
  json.field("verdict", name_of(judgement.verdict())).end_object().end_object();
  Answer answer;
  answer.with("Content-Type", "application/json").with("Cache-Control", "no-cache");
  answer.body = std::make_shared<const std::string>(std::move(json).take());
  return answer;
}

}  // namespace mlxguard::mirror
