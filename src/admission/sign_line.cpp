// SPDX-License-Identifier: Apache-2.0
#include "admission/sign_line.h"

#include <optional>

#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/sign.h"
#include "trust/key_actions.h"

namespace mlxguard::admission {

using record::Attr;
namespace {

using record::Event;
using record::Kind;

/// Expired, revoked and rotated keys are refused before their secret is asked for.
Result<std::unique_ptr<crypto::Signer>> open_key(const SignRequest& request,
                                                 const crypto::KeyStore& keys, const Clock& clock) {
  MLXGUARD_TRY(crypto::check_key_name(request.key_name));
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, trust::KeyRing::load(keys, request.public_keys));
  trust::KeySecrets secrets;
  secrets.token = request.token;
  secrets.ask = [&](trust::KeyKind kind) {
    return kind == trust::KeyKind::kToken && request.pin ? request.pin() : request.passphrase();
  };
  return trust::open_to_sign(keys, ring, request.key_name, secrets, clock.now());
}

Event key_used(const SignRequest& request, const std::string& model, const crypto::Signer& key) {
  Event used{.kind = Kind::kKeyUsed};
  used.model = model;
  used.message = "opened to sign a model";
  return used.set(Attr::kKey, request.key_name)
      .set(Attr::kFingerprint, key.public_key().fingerprint())
      .set(Attr::kMemoryLocked, crypto::private_memory_is_locked());
}

/// What the first signer's bundle lists. It is not believed: the files are hashed, and must be
/// that.
Result<signature::Statement> first_statement(const SignRequest& request,
                                             const artifact::ModelFolder& folder) {
  MLXGUARD_TRY_ASSIGN(const std::string text, signature::read_bundle_file(folder, request.path));
  MLXGUARD_TRY_ASSIGN(const signature::Bundle bundle,
                      signature::parse_bundle(text, signature::Material::kEither));
  return signature::parse_statement(as_text(bundle.payload));
}

/// Remembering digests is a convenience: a cache that cannot be written keeps nobody from signing.
Result<signature::SignedModel> hash_and_sign(const SignRequest& request,
                                             artifact::ModelFolder& folder,
                                             const crypto::Signer& key, const Clock& clock) {
  const SignScope& scope = request.scope;
  signature::SignOptions options;
  MLXGUARD_TRY_ASSIGN(options.certificates, signature::certificates_for(
                                                scope.certificates, key.public_key(), clock.now()));
  options.ignored = scope.ignored;
  options.progress = request.progress;
  options.plan = scope.plan;
  std::optional<signature::Statement> first;
  if (scope.place == SignScope::Place::kFurther) {
    MLXGUARD_TRY_ASSIGN(first, first_statement(request, folder));
    options.plan = first->plan();
    options.ignored = first->ignored_paths;
    options.exclusions = signature::Exclusions::kStatedOnly;
    options.same_as = &*first;
    folder.set_links(first->links);
  }
  if (scope.digests_folder.empty() || scope.mac == nullptr) {
    return signature::sign_model(folder, key, options);
  }
  std::error_code problem;
  const auto whole = std::filesystem::weakly_canonical(request.path, problem);
  artifact::DigestCache cache =
      artifact::DigestCache::load(scope.digests_folder, *scope.mac, whole, options.plan);
  if (scope.known == SignScope::Known::kHashedAgain) cache.forget();
  options.cache = &cache;
  MLXGUARD_TRY_ASSIGN(auto model, signature::sign_model(folder, key, options));
  (void)cache.save(*scope.mac);
  return model;
}

/// The record comes before the bundle: there is no signature that the log does not know of.
Result<Signed> sign_and_put(const SignRequest& request, artifact::ModelFolder& folder,
                            const crypto::Signer& key, record::Sink& sink, const Clock& clock,
                            std::chrono::steady_clock::time_point start) {
  MLXGUARD_TRY_ASSIGN(const auto model, hash_and_sign(request, folder, key, clock));
  Signed result;
  result.hashed_bytes = model.hashed_bytes;
  result.root_digests = model.root_digests;
  result.root_digest = model.root_digest;
  result.signer = key.public_key().fingerprint();
  result.files = model.files;
  result.bytes = model.bytes;

  const auto elapsed =
      std::chrono::duration_cast<std::chrono::microseconds>(clock.steady() - start);
  Event done{.kind = Kind::kModelSigned};
  done.model = folder.base_name();
  done.message = "signed";
  done.set(Attr::kRootDigest, result.root_digest)
      .set(Attr::kSigner, result.signer)
      .set(Attr::kKey, request.key_name)
      .set(Attr::kFiles, result.files)
      .set(Attr::kBytes, result.bytes)
      .set(Attr::kHashedBytes, result.hashed_bytes)
      .set(Attr::kDurationUs, elapsed.count());
  MLXGUARD_TRY(sink.append(done));
  MLXGUARD_TRY_ASSIGN(
      result.signature_file,
      request.scope.place == SignScope::Place::kFirst
          ? signature::put_bundle_file(folder, request.path, model.bundle)
          : signature::put_further_bundle(folder, request.path, request.key_name, model.bundle));
  return result;
}

}  // namespace

Result<Signed> sign(const SignRequest& request, const crypto::KeyStore& keys, record::Sink& sink,
                    const Clock& clock) {
  const auto start = clock.steady();
  // The model is opened before the key: a typing error in a path needs no passphrase.
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(request.path));
  folder.set_links(request.scope.links);
  auto key = open_key(request, keys, clock);
  if (!key) {
    Event refused = record::event_of(Kind::kKeyRefused, key.error(), folder.base_name());
    MLXGUARD_TRY(sink.append(refused.set(Attr::kKey, request.key_name)));
    return std::move(key).error();
  }
  MLXGUARD_TRY(sink.append(key_used(request, folder.base_name(), **key)));

  auto done = sign_and_put(request, folder, **key, sink, clock, start);
  if (!done) {
    MLXGUARD_TRY(
        sink.append(record::event_of(Kind::kModelSigned, done.error(), folder.base_name())));
  }
  return done;
}

}  // namespace mlxguard::admission
