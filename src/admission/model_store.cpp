// SPDX-License-Identifier: Apache-2.0
#include "admission/model_store.h"

#include <algorithm>
#include <utility>

#include "admission/model_record.h"
#include "base/ascii.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"

namespace mlxguard::admission {

using record::Attr;
namespace {

using artifact::Store;
using artifact::StoredModel;
using record::Event;
using record::Kind;
using signature::Verifier;
using signature::VerifyReport;

/// A name on the command line and in `store:NAME`: one word that is no digest and no path.
Result<void> check_store_name(const std::string& name) {
  constexpr std::size_t kBytesMax = 128;
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
  const bool like_digest =
      name.size() >= 8 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!name.empty() && name.size() <= kBytesMax && plain && !like_digest && name.front() != '.') {
    return {};
  }
  return make_error(ErrorCode::kUsage, "expected a name of letters, digits, '.', '_' and '-'")
      .about(name.substr(0, kBytesMax))
      .hinting("choose one with --name");
}

StoredModel describe_model(const PolicyStation& station, const Verifier& verifier,
                           const std::string& name, const Clock& clock) {
  const signature::VerifyReport& report = verifier.report();
  StoredModel model;
  model.name = name;
  model.root_digest = report.root_digest;
  model.manifest_digest = verifier.manifest_digest();
  model.origin = station.claim().location.string();
  model.hugging_face = station.claim().hugging_face;
  model.signer = report.signer;
  model.signer_name = report.signer_name;
  if (verifier.folder().is_single_file()) model.single_file = verifier.folder().base_name();
  model.admitted_ms = clock.now().time_since_epoch().count();
  model.bytes = report.bytes;
  return model;
}

/// Verified as it lies in the incoming folder: what the policy looks at is what will be loaded.
Result<trust::Approval> decide_incoming(ModelRecord& record, PolicyStation& station,
                                        const Verifier& verifier,
                                        const artifact::IncomingModel& incoming,
                                        const OpenInspector& open_inspector) {
  const bool single = verifier.folder().is_single_file();
  const auto path = single ? incoming.path() / verifier.folder().base_name() : incoming.path();
  MLXGUARD_TRY_ASSIGN(const auto folder, artifact::ModelFolder::open(path));
  return record.decide(station, verifier, bytes_at(folder, path), open_inspector);
}

/// The line itself. `walked` is what is known where it ended.
Result<StoredModel> walk_in(const StoreRequest& request, const Store& store, const Trust& trust,
                            ModelRecord& record, const Clock& clock, Walked& walked) {
  MLXGUARD_TRY(check_store_name(record.model()));
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(request.path));
  MLXGUARD_TRY_ASSIGN(auto location, folder.location());
  MLXGUARD_TRY_ASSIGN(Verifier verifier,
                      Verifier::open(std::move(folder), request.path, trust.keys()));
  MLXGUARD_TRY(record.opened(verifier.report()));
  PolicyStation station(trust.policy(), origin_at(std::move(location), request.hugging_face),
                        verifier.report(), clock.now());
  const auto keep = [&](auto result) {
    walked = {verifier.findings(), station.judgement()};
    return result;
  };
  MLXGUARD_TRY(keep(station.ask_early()));
  MLXGUARD_TRY(keep(verifier.check_names()));
  // Before a large model is copied for nothing; finish() asks again.
  MLXGUARD_TRY(store.check_free(record.model(), verifier.report().root_digest));
  MLXGUARD_TRY_ASSIGN(auto incoming, store.begin());
  MLXGUARD_TRY(keep(verifier.copy_verified(incoming.folder(), request.progress)));
  MLXGUARD_TRY_ASSIGN(
      const trust::Approval approval,
      keep(decide_incoming(record, station, verifier, incoming, request.open_inspector)));
  StoredModel model = describe_model(station, verifier, record.model(), clock);
  model.policy = trust.version();
  model.bundle_digest = codec::to_hex(crypto::sha256(as_bytes(verifier.bundles().front().text)));
  for (const signature::BundleText& bundle : verifier.bundles()) {
    MLXGUARD_TRY(store.put_bundle(incoming, bundle.name, bundle.text));
  }
  VerifyReport report = verifier.report();
  report.judgement = approval.judgement();
  MLXGUARD_TRY(record.verified(report));
  MLXGUARD_TRY_ASSIGN(StoredModel stored, store.finish(std::move(incoming), std::move(model)));
  MLXGUARD_TRY(trust.policy().remember(approval));
  if (request.judged) request.judged(approval.judgement());
  return stored;
}

Event stored_event(Kind kind, std::string message, const StoredModel& model) {
  Event event{.kind = kind};
  event.model = model.name;
  event.message = std::move(message);
  event.set(Attr::kRootDigest, model.root_digest)
      .set(Attr::kSigner, model.signer)
      .set(Attr::kFiles, model.files.size())
      .set(Attr::kBytes, model.bytes);
  return event;
}

bool is_stored(const std::filesystem::path& path) {
  return path.string().starts_with(artifact::kStorePrefix);
}

}  // namespace

Result<StoredModel> add_to_store(const StoreRequest& request, const Store& store,
                                 const Trust& trust, record::Sink& sink, const Clock& clock) {
  ModelRecord record(model_name(request.name, request.path), sink, clock);
  Walked walked;
  auto model = walk_in(request, store, trust, record, clock, walked);
  if (!model) return record.refused(std::move(model).error(), walked);
  if (auto logged = sink.append(stored_event(Kind::kModelStored, "verified and stored", *model));
      !logged) {
    // What is not on record does not happen.
    (void)store.remove(model->root_digest);
    return std::move(logged).error();
  }
  return model;
}

Result<StoredModel> remove_from_store(std::string_view name_or_digest, const Store& store,
                                      record::Sink& sink) {
  auto model = store.remove(name_or_digest);
  if (!model) {
    MLXGUARD_TRY(sink.append(
        record::event_of(Kind::kModelRemoved, model.error(), std::string(name_or_digest))));
    return model;
  }
  MLXGUARD_TRY(sink.append(stored_event(Kind::kModelRemoved, "removed from the store", *model)));
  return model;
}

Result<std::variant<signature::VerifyReport, signature::Refusal>> verify_stored(
    const StoredModel& model, const Store& store, const std::filesystem::path& state,
    const artifact::Progress& progress, const OpenInspector& open_inspector, const Trust& trust,
    record::Sink& sink, const Clock& clock) {
  AdmitRequest request;
  request.path = std::string(artifact::kStorePrefix) + model.root_digest;
  request.name = model.name;
  request.progress = progress;
  request.state = state;
  request.open_inspector = open_inspector;
  MLXGUARD_TRY_ASSIGN(auto outcome, verify_only(request, trust, sink, clock));
  const auto* report = std::get_if<signature::VerifyReport>(&outcome);
  if (report == nullptr) return outcome;
  if (report->root_digest != model.root_digest) {
    Error error =
        make_error(ErrorCode::kStoreCorrupt, "the store holds another model than it admitted")
            .about(model.name)
            .compared(model.root_digest, report->root_digest);
    return std::variant<signature::VerifyReport, signature::Refusal>(
        signature::Refusal{error, {error}});
  }
  StoredModel renewed = model;
  renewed.policy = trust.version();
  renewed.files = report->hashed;  // not as they may be by now
  MLXGUARD_TRY(store.renew(renewed));
  return outcome;
}

Result<Source> source_of(const AdmitRequest& request) {
  Source source;
  source.path = request.path;
  if (!is_stored(request.path)) return source;
  crypto::SystemRandom random;
  MLXGUARD_TRY_ASSIGN(Store store, Store::open(request.state, random));
  const std::string wanted = request.path.string().substr(artifact::kStorePrefix.size());
  MLXGUARD_TRY_ASSIGN(StoredModel model, store.find(wanted));
  MLXGUARD_TRY_ASSIGN(source.hold, store.hold(model));
  source.path = store.path_of(model);
  source.store.emplace(std::move(store));
  source.stored.emplace(std::move(model));
  return source;
}

Result<Origin> origin_of(const AdmitRequest& request, const Source& source,
                         const artifact::ModelFolder& folder) {
  if (source.stored) return Origin{source.stored->origin, source.stored->hugging_face};
  MLXGUARD_TRY_ASSIGN(auto location, folder.location());
  return origin_at(std::move(location), request.hugging_face);
}

Result<void> take_snapshot(Verifier& verifier, const Source& source, Receipts receipts,
                           const Trust& trust, const artifact::Progress& progress) {
  if (source.stored && receipts == Receipts::kAllowed) {
    // A receipt that does not hold is no reason to refuse the model: its bytes are hashed.
    if (const auto receipt = source.store->receipt(*source.stored, trust.version())) {
      auto taken = verifier.take_snapshot(*receipt, progress);
      if (taken || taken.error().code != ErrorCode::kStoreReceipt) return taken;
    }
  }
  return verifier.take_snapshot(progress);
}

}  // namespace mlxguard::admission
