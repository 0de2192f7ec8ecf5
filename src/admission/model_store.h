// SPDX-License-Identifier: Apache-2.0
// The store's lines: a model is verified and copied in one pass and then stands in the store by its
// digest; it is listed, checked and removed; and it is found again as `store:NAME` when it is
// loaded. Each leaves its event. Input: a path to anything. Trusted: the operator's keys, and the
// state folder.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "admission/model_claim.h"
#include "admission/model_line.h"
#include "artifact/store.h"

namespace mlxguard::admission {

struct StoreRequest {
  std::filesystem::path path;
  std::string name{};          ///< empty: the folder's name
  std::string hugging_face{};  ///< ORG/NAME that the caller asked for, or empty
  artifact::Progress progress{};
  OpenInspector open_inspector{};
  /// Called with what the trust policy said of a model that was admitted: for warnings to people.
  std::function<void(const trust::Judgement&)> judged{};
};

/// Verifies the model and copies it into the store; each byte is read once. Errors: those of
/// admit(); kAlreadyExists; kNoSpace. Every one is an event.
[[nodiscard]] Result<artifact::StoredModel> add_to_store(const StoreRequest& request,
                                                         const artifact::Store& store,
                                                         const Trust& trust, record::Sink& sink,
                                                         const Clock& clock);

/// Errors: kStoreMissing, kStoreInUse.
[[nodiscard]] Result<artifact::StoredModel> remove_from_store(std::string_view name_or_digest,
                                                              const artifact::Store& store,
                                                              record::Sink& sink);

/// Hashes every file of a stored model again. What passes has its receipt written anew.
[[nodiscard]] Result<std::variant<signature::VerifyReport, signature::Refusal>> verify_stored(
    const artifact::StoredModel& model, const artifact::Store& store,
    const std::filesystem::path& state, const artifact::Progress& progress,
    const OpenInspector& open_inspector, const Trust& trust, record::Sink& sink,
    const Clock& clock);

/// Where the bytes of a request come from: a path, or a model of the store, held while it is read.
struct Source {
  std::filesystem::path path;
  std::optional<artifact::Store> store{};  ///< set together with `stored`
  std::optional<artifact::StoredModel> stored{};
  UniqueFd hold{};
};
[[nodiscard]] Result<Source> source_of(const AdmitRequest& request);

/// As the trust policy knows it: a stored model is what it was when it was admitted.
[[nodiscard]] Result<Origin> origin_of(const AdmitRequest& request, const Source& source,
                                       const artifact::ModelFolder& folder);

/// The bytes: by the store's receipt if `receipts` allows it and it holds, else by hashing them.
[[nodiscard]] Result<void> take_snapshot(signature::Verifier& verifier, const Source& source,
                                         Receipts receipts, const Trust& trust,
                                         const artifact::Progress& progress);

}  // namespace mlxguard::admission
