// SPDX-License-Identifier: Apache-2.0
// Signing and digests as the Python tool's command line asks for them: a key in a file of the
// user's, or on a token; the bundle wherever they want it.
#include "admission/model_record.h"
#include "artifact/model_folder.h"
#include "base/limits.h"
#include "codec/json.h"
#include "compat.h"
#include "crypto/key_store.h"
#include "crypto/pkcs11_key.h"
#include "crypto/pkcs11_uri.h"
#include "foreign_key_file.h"
#include "key_options.h"
#include "progress.h"
#include "signature/bundle_file.h"
#include "signature/sign.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

constexpr std::string_view kPrivate[] = {"EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PRIVATE KEY"};

bool has_certificate(CompatMethod method) {
  return method == CompatMethod::kCertificate || method == CompatMethod::kPkcs11Certificate;
}

Result<crypto::Secret> password_of(const Session& session, const CompatOptions& options) {
  if (!options.password.empty()) {
    session.output().note(
        "note: a password on the command line can be read by other processes; "
        "--passphrase-file and --passphrase-fd keep it to this one");
    return crypto::Secret::copy_of(as_bytes(options.password));
  }
  return options.passphrase.read(options.private_key, crypto::PassphraseUse::kOpen);
}

Result<std::unique_ptr<crypto::Signer>> open_file_key(const Session& session,
                                                      const CompatOptions& options) {
  MLXGUARD_TRY_ASSIGN(const crypto::Secret text,
                      read_foreign_key_file(session, options.private_key));
  const std::string_view pem = pem_block(text.text(), kPrivate);
  const auto about = [&](Error error) { return std::move(error).about(options.private_key); };
  if (pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
    MLXGUARD_TRY_ASSIGN(const crypto::Secret password, password_of(session, options));
    auto key = crypto::EcPrivateKey::from_encrypted_pem(pem, password);
    if (!key) return about(std::move(key).error());
    return std::unique_ptr<crypto::Signer>(std::make_unique<crypto::EcPrivateKey>(*std::move(key)));
  }
  auto key = crypto::EcPrivateKey::from_plain_pem_unsafe(pem);
  if (!key) return about(std::move(key).error());
  return std::unique_ptr<crypto::Signer>(std::make_unique<crypto::EcPrivateKey>(*std::move(key)));
}

/// The path of a URI names the key; its query may hold the PIN, which nobody is told.
std::string name_of_key(const CompatOptions& options) {
  if (options.pkcs11_uri.empty()) return options.private_key;
  return options.pkcs11_uri.substr(0, options.pkcs11_uri.find('?'));
}

Result<std::unique_ptr<crypto::Signer>> open_token_key(const Session& session,
                                                       const CompatOptions& options) {
  MLXGUARD_TRY_ASSIGN(auto uri, crypto::read_foreign_pkcs11_uri(options.pkcs11_uri));
  if (uri.pin) {
    session.output().note(
        "note: a PIN in a PKCS#11 URI can be read by other processes; --pin-file and --pin-fd keep "
        "it to this one");
  }
  const auto pin = [&]() -> Result<crypto::Secret> {
    if (uri.pin) return *std::move(uri.pin);
    return options.passphrase.read_pin(name_of_key(options));
  };
  return crypto::open_pkcs11_key(uri.text, pin, options.passphrase.token());
}

Result<std::unique_ptr<crypto::Signer>> open_key(const Session& session,
                                                 const CompatOptions& options) {
  std::unique_ptr<crypto::Signer> key;
  if (options.method == CompatMethod::kKey || options.method == CompatMethod::kCertificate) {
    MLXGUARD_TRY_ASSIGN(key, open_file_key(session, options));
  } else {
    MLXGUARD_TRY_ASSIGN(key, open_token_key(session, options));
  }
  // What the operator revoked signs nothing, wherever its file lies.
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  const std::string& fingerprint = key->public_key().fingerprint();
  MLXGUARD_TRY(ring.check_verify(fingerprint, session.clock().now()));
  if (const trust::RingKey* known = ring.find(fingerprint)) {
    MLXGUARD_TRY(known->status.check_sign(session.clock().now()));
  }
  return key;
}

Result<signature::SignOptions> sign_options(const CompatOptions& options) {
  signature::SignOptions sign;
  MLXGUARD_TRY_ASSIGN(sign.ignored, compat_ignored(options));
  if (!options.ignore_git_paths) sign.exclusions = signature::Exclusions::kStatedOnly;
  MLXGUARD_TRY_ASSIGN(sign.plan.algorithm, signature::find_hash(options.hash));
  sign.plan.shard_bytes = options.shard_size;
  return sign;
}

Result<artifact::ModelFolder> open_model(const CompatOptions& options) {
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(compat_model_path(options)));
  if (options.allow_symlinks) folder.set_links(artifact::Links::kFollowedInside);
  // The bundle is where the user says: another model.sig in the folder is a file like others.
  folder.set_own_bundle(artifact::ModelFolder::OwnBundle::kListed);
  return folder;
}

Result<std::vector<std::vector<std::uint8_t>>> certificates_of(const Session& session,
                                                               const CompatOptions& options,
                                                               const crypto::Signer& key) {
  if (!has_certificate(options.method)) return std::vector<std::vector<std::uint8_t>>{};
  MLXGUARD_TRY_ASSIGN(auto chain, read_certificates(session, {options.signing_certificate}));
  chain.erase(chain.begin() + 1, chain.end());
  MLXGUARD_TRY_ASSIGN(const auto issuers, read_certificates(session, options.certificate_chain));
  chain.insert(chain.end(), issuers.begin(), issuers.end());
  auto ders = signature::certificates_for(chain, key.public_key(), session.clock().now());
  if (!ders) return std::move(ders).error().about(options.signing_certificate);
  return ders;
}

Result<signature::SignedModel> hash_and_sign(const Session& session, const CompatOptions& options,
                                             const artifact::ModelFolder& folder,
                                             const crypto::Signer& key) {
  MLXGUARD_TRY_ASSIGN(signature::SignOptions sign, sign_options(options));
  if (const auto own = path_below(options.model, options.signature); own && *own != ".") {
    sign.ignored.push_back(*own);
    sign.bundle_file = *own;
  } else if (own) {
    return make_error(ErrorCode::kUsage, "the signature would replace the model")
        .about(options.signature);
  }
  MLXGUARD_TRY_ASSIGN(sign.certificates, certificates_of(session, options, key));
  ProgressLine progress(session.output(), session.clock(), "hashing");
  sign.progress = progress.callback();
  return signature::sign_model(folder, key, sign);
}

/// The record comes before the bundle: there is no signature that the log does not know of.
Result<signature::SignedModel> sign(const Session& session, const CompatOptions& options,
                                    record::Sink& log, const artifact::ModelFolder& folder) {
  auto key = open_key(session, options);
  const std::string key_name = name_of_key(options);
  if (!key) {
    record::Event refused =
        record::event_of(record::Kind::kKeyRefused, key.error(), folder.base_name());
    MLXGUARD_TRY(log.append(refused.set(Attr::kKey, key_name)));
    return std::move(key).error();
  }
  MLXGUARD_TRY(log_use(log, key_name, (*key)->public_key(), "sign a model"));
  auto model = hash_and_sign(session, options, folder, **key);
  if (!model) {
    MLXGUARD_TRY(log.append(
        record::event_of(record::Kind::kModelSigned, model.error(), folder.base_name())));
    return std::move(model).error();
  }
  record::Event done{.kind = record::Kind::kModelSigned};
  done.model = folder.base_name();
  done.message = "signed";
  done.set(Attr::kRootDigest, model->root_digest)
      .set(Attr::kSigner, (*key)->public_key().fingerprint())
      .set(Attr::kKey, key_name)
      .set(Attr::kFiles, model->files)
      .set(Attr::kBytes, model->bytes);
  MLXGUARD_TRY(log.append(done));
  MLXGUARD_TRY(signature::put_bundle_at(options.signature, model->bundle));
  return model;
}

Result<signature::SignedModel> open_and_sign(Session& session, const CompatOptions& options) {
  if (options.method == CompatMethod::kSigstore) return not_offered(options.method);
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const auto folder, open_model(options));
  return sign(session, options, *log, folder);
}

Result<std::string> digest(const Session& session, const CompatOptions& options) {
  MLXGUARD_TRY_ASSIGN(const auto folder, open_model(options));
  MLXGUARD_TRY_ASSIGN(const signature::SignOptions sign, sign_options(options));
  std::vector<std::string> ignored = sign.ignored;
  if (options.ignore_git_paths) {
    const auto& paths = signature::default_ignored_paths();
    ignored.insert(ignored.end(), paths.begin(), paths.end());
  }
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate(ignored));
  ProgressLine progress(session.output(), session.clock(), "hashing");
  MLXGUARD_TRY_ASSIGN(auto digests, folder.hash(entries, sign.plan, progress.callback()));
  // The order of the tool whose command this is; our own is the specification's.
  return signature::root_digests_of(std::move(digests), sign.plan.shard_bytes).by_component;
}

}  // namespace

Result<int> compat_sign(Session& session, const CompatOptions& options) {
  const auto model = open_and_sign(session, options);
  if (!model) return compat_failed(session, "Signing", model.error());
  codec::JsonWriter json;
  json.begin_object().field("status", "signed").field("model", options.model);
  json.field("signature", options.signature).field("root_digest", model->root_digest);
  json.field("files", static_cast<std::int64_t>(model->files));
  json.field("bytes", static_cast<std::int64_t>(model->bytes)).end_object();
  session.output().json_line(json.text());
  session.output().line("Signing succeeded");
  return 0;
}

Result<int> compat_digest(Session& session, const CompatOptions& options) {
  const auto root = digest(session, options);
  if (!root) return compat_failed(session, "Computing digest", root.error());
  codec::JsonWriter json;
  json.begin_object().field("model", options.model).field("root_digest", *root).end_object();
  session.output().json_line(json.text());
  session.output().line("sha256:" + *root);
  return 0;
}

}  // namespace mlxguard::cli
