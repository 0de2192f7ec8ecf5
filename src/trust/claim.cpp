// SPDX-License-Identifier: Apache-2.0
#include "trust/claim.h"

#include <algorithm>
#include <iterator>

#include "base/limits.h"
#include "codec/json.h"

namespace mlxguard::trust {
namespace {

using codec::JsonValue;

Error malformed(const std::string& message) {
  return make_error(ErrorCode::kManifestInvalid, message).about(std::string(kModelNotesFile));
}

Result<std::optional<std::string>> text_of(const JsonValue& object, const char* member) {
  const auto value = object.find(member);
  if (!value) return std::optional<std::string>{};
  // "version": 3 means what "version": "3" means.
  if (value->is(codec::JsonKind::kInteger)) return std::optional<std::string>(value->dump());
  const auto text = value->as_string(member);
  if (!text || text->empty() || text->size() > limits::kPolicyTextBytesMax) {
    return malformed(std::string("expected a text in ") + member);
  }
  return std::optional<std::string>(*text);
}

std::size_t rank_of(std::string_view severity) {
  constexpr std::string_view kLevels[] = {"info", "low", "medium", "high", "critical"};
  const auto* found = std::find(std::begin(kLevels), std::end(kLevels), severity);
  return static_cast<std::size_t>(found - std::begin(kLevels));
}

}  // namespace

bool finding_matches(std::string_view pattern, const InspectionFinding& finding) {
  constexpr std::string_view kSeverity = "severity:";
  if (!pattern.starts_with(kSeverity)) return pattern == finding.rule;
  return rank_of(finding.severity) >= rank_of(pattern.substr(kSeverity.size()));
}

Result<ModelNotes> parse_model_notes(std::string_view text) {
  const auto document = codec::JsonDocument::parse(text, {.bytes_max = limits::kConfigBytesMax});
  if (!document) return malformed("expected JSON: " + document.error().message);
  const JsonValue root = document->root();
  if (!root.is(codec::JsonKind::kObject)) return malformed("expected a JSON object");
  ModelNotes notes;
  MLXGUARD_TRY_ASSIGN(notes.name, text_of(root, "name"));
  MLXGUARD_TRY_ASSIGN(notes.version, text_of(root, "version"));
  if (const auto origin = root.find("origin")) {
    if (!origin->is(codec::JsonKind::kObject)) return malformed("expected an object in origin");
    MLXGUARD_TRY_ASSIGN(notes.hugging_face, text_of(*origin, "hugging_face"));
  }
  return notes;
}

}  // namespace mlxguard::trust
