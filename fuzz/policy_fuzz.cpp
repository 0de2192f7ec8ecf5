// SPDX-License-Identifier: Apache-2.0
// Any bytes as a trust policy, its signature, the memory of versions or a model's own notes. A
// policy that is accepted must survive its own edits: adding a source and removing it again changes
// only the version.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "trust/claim.h"
#include "trust/formats.h"
#include "trust/match.h"
#include "trust/model_version.h"
#include "trust/policy_edit.h"
#include "trust/policy_memory.h"
#include "trust/policy_signature.h"

using namespace mlxguard;

namespace {

trust::SourceRule added_source() {
  trust::SourceRule source;
  source.name = "added-by-the-fuzzer";
  source.match = trust::MatchKind::kDigest;
  source.patterns = {std::string(64, 'f')};
  trust::SignerRule signer;
  signer.key = std::string(64, 'e');
  source.signers.push_back(signer);
  return source;
}

void check_policy(std::string_view text) {
  const auto policy = trust::parse_policy(text, "/folder");
  if (!policy) {
    MLXGUARD_CHECK(policy.error().code == ErrorCode::kTrustPolicy ||
                   policy.error().code == ErrorCode::kTooLarge);
    return;
  }
  for (const trust::SourceRule& source : policy->sources) {
    MLXGUARD_CHECK(!source.patterns.empty() && !source.signers.empty());
    MLXGUARD_CHECK(source.threshold >= 1 &&
                   source.threshold <= static_cast<std::int64_t>(source.signers.size()));
    for (const trust::SignerRule& signer : source.signers) {
      MLXGUARD_CHECK(signer.is_certificate() == signer.key.empty());
    }
  }
  trust::PolicyEdit add;
  add.add = added_source();
  const auto edited = trust::edit_policy(text, "/folder", add);
  if (!edited) return;  // written in a way that only a person can edit
  trust::PolicyEdit remove;
  remove.remove = added_source().name;
  const auto back = trust::edit_policy(*edited, "/folder", remove);
  MLXGUARD_CHECK(back.has_value());
  auto again = trust::parse_policy(*back, "/folder");
  MLXGUARD_CHECK(again.has_value());
  MLXGUARD_CHECK(again->version == policy->version + 2);
  MLXGUARD_CHECK(again->sources.size() == policy->sources.size());
  MLXGUARD_CHECK(again->mode == policy->mode && again->expires == policy->expires &&
                 again->revoked_keys == policy->revoked_keys &&
                 again->revoked_models == policy->revoked_models);
}

void check_rest(std::string_view text, Bytes bytes) {
  if (const auto seen = trust::SeenVersions::parse(text)) {
    const auto again = trust::SeenVersions::parse(seen->text());
    MLXGUARD_CHECK(again.has_value() && again->text() == seen->text());
  }
  if (const auto signatures = trust::parse_policy_signatures(text)) {
    MLXGUARD_CHECK(!signatures->empty());
    MLXGUARD_CHECK(!trust::policy_signers("what nobody signed", *signatures).has_value());
  }
  static_cast<void>(trust::parse_model_notes(text));
  const std::size_t half = text.size() / 2;
  MLXGUARD_CHECK(!trust::formats_of(text.substr(0, half), bytes.subspan(half)).empty());
  static_cast<void>(trust::glob_matches(text.substr(0, half), text.substr(half)));
  MLXGUARD_CHECK(trust::glob_matches("*", text) == (text.find('/') == text.npos));
  const auto left = trust::ModelVersion::parse(text.substr(0, half));
  const auto right = trust::ModelVersion::parse(text.substr(half));
  if (left && right) {
    MLXGUARD_CHECK((*left < *right) == (*right > *left));
    MLXGUARD_CHECK((*left == *right) == (*right == *left));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_policy(text);
  check_rest(text, Bytes(data, size));
  return 0;
}
