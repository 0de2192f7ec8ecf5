// SPDX-License-Identifier: Apache-2.0
#include "admission/model_claim.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "inspect/run.h"
#include "trust/formats.h"

namespace mlxguard::admission {
namespace {

constexpr std::string_view kSingleFile = ".";

/// "models--ORG--NAME", as the Hub's cache names its folders.
std::string hub_id_of(const std::filesystem::path& location) {
  constexpr std::string_view kPrefix = "models--";
  constexpr std::string_view kBetween = "--";
  for (const auto& part : location) {
    const std::string name = part.string();
    if (!name.starts_with(kPrefix)) continue;
    const auto between = name.find(kBetween, kPrefix.size());
    if (between == std::string::npos || between == kPrefix.size()) continue;
    const std::string model = name.substr(between + kBetween.size());
    if (model.empty()) continue;
    return name.substr(kPrefix.size(), between - kPrefix.size()) + "/" + model;
  }
  return {};
}

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end()) {
    list.push_back(text);
  }
}

}  // namespace

Origin origin_at(std::filesystem::path location, std::string hugging_face) {
  Origin origin{std::move(location), std::move(hugging_face)};
  if (origin.hugging_face.empty()) origin.hugging_face = hub_id_of(origin.location);
  return origin;
}

trust::Claim claim_of(const Origin& origin, const signature::VerifyReport& report) {
  trust::Claim claim;
  claim.location = origin.location;
  claim.hugging_face = origin.hugging_face;
  add_once(claim.root_digests, report.root_digest);
  // A model is revoked or pinned by whichever tool's digest of it the operator knows.
  add_once(claim.root_digests, report.root_digests.by_name);
  add_once(claim.root_digests, report.root_digests.by_component);
  claim.signers = report.signers;
  claim.legacy = report.legacy;
  return claim;
}

ContentBytes sealed_bytes(const signature::Verifier& verifier) {
  ContentBytes bytes;
  bytes.head = [&verifier](const std::string& name, std::size_t bytes_max) {
    return verifier.read_head(name, bytes_max);
  };
  bytes.inspect = [&verifier](inspect::Inspector& inspector) {
    std::vector<inspect::OpenFile> files;
    for (const artifact::SnapshotFile& file : verifier.files()) {
      files.push_back({file.name == kSingleFile ? verifier.folder().base_name() : file.name,
                       file.memory.get(), file.size_bytes});
    }
    return inspect::run_open(files, inspector);
  };
  return bytes;
}

ContentBytes bytes_at(const artifact::ModelFolder& folder, std::filesystem::path path) {
  ContentBytes bytes;
  bytes.head = [&folder](const std::string& name, std::size_t bytes_max) {
    return folder.read_head(name, bytes_max);
  };
  bytes.inspect = [path = std::move(path)](inspect::Inspector& inspector) {
    return inspect::run(path, inspector);
  };
  return bytes;
}

Result<trust::Content> content_of(const signature::Verifier& verifier, const ContentBytes& bytes) {
  trust::Content content;
  for (const artifact::FileEntry& entry : verifier.entries()) {
    MLXGUARD_TRY_ASSIGN(const auto head, bytes.head(entry.name, trust::kFormatHeadBytes));
    const std::string& name =
        entry.name == kSingleFile ? verifier.folder().base_name() : entry.name;
    content.files.push_back({name, trust::formats_of(name, head)});
    if (entry.name != trust::kModelNotesFile) continue;
    if (entry.size_bytes > limits::kConfigBytesMax) {
      return make_error(ErrorCode::kTooLarge, "expected fewer bytes in the model's own notes")
          .about(entry.name);
    }
    MLXGUARD_TRY_ASSIGN(const auto notes, bytes.head(entry.name, limits::kConfigBytesMax));
    MLXGUARD_TRY_ASSIGN(content.notes, trust::parse_model_notes(as_text(notes)));
  }
  return content;
}

Result<void> PolicyStation::ask_early() {
  MLXGUARD_TRY_ASSIGN(judgement_, policy_.judge(claim_, now_));
  if (judgement_.refuses()) return trust::refusal_of(judgement_);
  return {};
}

trust::Receipts PolicyStation::receipts() const {
  const trust::SourceRule* source = policy_.file().find(judgement_.source);
  return source == nullptr ? trust::Receipts::kRefuse : source->receipts;
}

/// A gap is kept, not hidden: the policy refuses what could not be told.
Result<void> PolicyStation::inspect(const ContentBytes& bytes,
                                    const OpenInspector& open_inspector) {
  if (!open_inspector) {
    claim_.content->inspection_gap = "there is no inspector here";
    return {};
  }
  MLXGUARD_TRY_ASSIGN(const auto inspector, open_inspector());
  MLXGUARD_TRY_ASSIGN(inspection_, bytes.inspect(*inspector));
  auto& findings = claim_.content->findings.emplace();
  for (const inspect::Finding& finding : inspection_->findings) {
    if (finding.rule == inspect::Rule::kIncomplete) continue;  // the gap below says it
    findings.push_back({std::string(inspect::describe(finding.rule).id),
                        std::string(inspect::name_of(finding.severity)), finding.file});
  }
  if (!inspection_->complete()) {
    const inspect::NotInspected& first = inspection_->not_inspected.front();
    claim_.content->inspection_gap = first.file + ": " + first.why;
  }
  return {};
}

Result<trust::Approval> PolicyStation::decide(const signature::Verifier& verifier,
                                              const ContentBytes& bytes,
                                              const OpenInspector& open_inspector) {
  // Without a policy nothing depends on the content.
  if (!policy_.is_implicit()) {
    MLXGUARD_TRY_ASSIGN(claim_.content, content_of(verifier, bytes));
  }
  MLXGUARD_TRY_ASSIGN(judgement_, policy_.judge(claim_, now_));
  // Which source it is may depend on the content.
  const trust::SourceRule* source = policy_.file().find(judgement_.source);
  if (source != nullptr && !source->refuse_findings.empty()) {
    MLXGUARD_TRY(inspect(bytes, open_inspector));
    MLXGUARD_TRY_ASSIGN(judgement_, policy_.judge(claim_, now_));
  }
  return policy_.decide(claim_, now_);
}

}  // namespace mlxguard::admission
