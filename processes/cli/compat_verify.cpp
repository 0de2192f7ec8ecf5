// SPDX-License-Identifier: Apache-2.0
// Verifying as the Python tool's command line asks for it: this model, this bundle, this one key.
// Only that key is believed, and not even it if the operator revoked it.
#include <algorithm>

#include "admission/model_record.h"
#include "codec/json.h"
#include "compat.h"
#include "foreign_key_file.h"
#include "key_options.h"
#include "progress.h"
#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/detached.h"
#include "signature/signer.h"
#include "signature/trusted_keys.h"

namespace mlxguard::cli {
namespace {

using Answer = std::variant<signature::VerifyReport, signature::Refusal>;

/// The key that the user names, unless the revocation list of this state folder, or the key's own
/// record, says that its signatures are not good any more.
Result<signature::TrustedKeys> trusted_key(const Session& session, const CompatOptions& options) {
  MLXGUARD_TRY_ASSIGN(const crypto::Secret text,
                      read_foreign_key_file(session, options.public_key));
  constexpr std::string_view kPublic[] = {"PUBLIC KEY"};
  auto read = crypto::EcPublicKey::from_pem(pem_block(text.text(), kPublic));
  if (!read) return std::move(read).error().about(options.public_key);
  const crypto::EcPublicKey key = *std::move(read);
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  signature::TrustedKeys trusted;
  const std::string name = std::filesystem::path(options.public_key).stem().string();
  if (auto good = ring.check_verify(key.fingerprint(), session.clock().now()); good) {
    trusted.add(name, key);
  } else {
    trusted.refuse(name, key, std::move(good).error());
  }
  return trusted;
}

/// Fingerprints as the Python tool logs them.
void log_fingerprint(const Session& session, const char* where,
                     const crypto::Certificate& certificate) {
  std::string text;
  for (std::size_t i = 0; i < certificate.fingerprint().size(); ++i) {
    if (i > 0 && i % 2 == 0) text += ':';
    const char c = certificate.fingerprint()[i];
    text += c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  session.output().note(std::string(where) + " sha256 Fingerprint: " + text);
}

bool names_identity(const trust::Signer& signer, const std::string& wanted) {
  return std::any_of(signer.identities.begin(), signer.identities.end(),
                     [&](const std::string& one) {
                       return one == wanted || one.substr(one.find(':') + 1) == wanted;
                     });
}

Result<trust::Signer> authenticate_by_certificate(const Session& session,
                                                  const CompatOptions& options,
                                                  const signature::Bundle& bundle) {
  crypto::ChainTrust authorities;
  authorities.now = session.clock().now();
  MLXGUARD_TRY_ASSIGN(authorities.authorities,
                      read_certificates(session, options.certificate_chain));
  for (const std::string& file : options.crls) {
    MLXGUARD_TRY_ASSIGN(const crypto::Secret text,
                        read_foreign_key_file(session, file, limits::kRevocationListBytesMax));
    authorities.crls.emplace_back(text.text());
  }
  if (options.log_fingerprints) {
    for (const auto& one : authorities.authorities) log_fingerprint(session, "[  init  ]", one);
    for (const auto& der : bundle.certificates) {
      MLXGUARD_TRY_ASSIGN(const auto one, crypto::Certificate::from_der(der));
      log_fingerprint(session, "[ verify ]", one);
    }
  }
  MLXGUARD_TRY_ASSIGN(
      trust::Signer signer,
      signature::authenticate(bundle, authorities, signature::LegacyStatements::kAllowed));
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  MLXGUARD_TRY(ring.check_verify(signer.fingerprint, session.clock().now()));
  if (!options.identity.empty() && !names_identity(signer, options.identity)) {
    return make_error(ErrorCode::kCertificateIdentity, "the certificate names another identity")
        .compared(options.identity, signer.identities.empty() ? "none" : signer.identities.front());
  }
  return signer;
}

Result<trust::Signer> authenticate(const Session& session, const CompatOptions& options,
                                   const signature::Bundle& bundle) {
  if (options.method == CompatMethod::kCertificate) {
    return authenticate_by_certificate(session, options, bundle);
  }
  if (!bundle.key_hint) {
    session.output().note("note: the signature does not name its key, as older ones do not");
  }
  MLXGUARD_TRY_ASSIGN(auto trusted, trusted_key(session, options));
  // As the tool in whose place this stands: it takes its own first release's form.
  trusted.read_legacy();
  std::vector<std::string> legacy_forms;
  return signature::authenticate(bundle, trusted, &legacy_forms);
}

Result<Answer> check(const Session& session, const CompatOptions& options) {
  if (options.method == CompatMethod::kSigstore) return not_offered(options.method);
  MLXGUARD_TRY_ASSIGN(auto folder, artifact::ModelFolder::open(compat_model_path(options)));
  MLXGUARD_TRY_ASSIGN(const std::string untrusted_text,
                      signature::read_bundle_at(options.signature));
  const auto material = options.method == CompatMethod::kCertificate
                            ? signature::Material::kCertificates
                            : signature::Material::kKey;
  MLXGUARD_TRY_ASSIGN(const signature::Bundle bundle,
                      signature::parse_bundle(untrusted_text, material));
  MLXGUARD_TRY_ASSIGN(const trust::Signer signer, authenticate(session, options, bundle));

  signature::DetachedOptions detached;
  detached.statement.legacy = signature::LegacyStatements::kAllowed;
  if (!options.ignore_git_paths) detached.statement.exclusions = signature::Exclusions::kStatedOnly;
  MLXGUARD_TRY_ASSIGN(detached.ignored, compat_ignored(options));
  if (const auto own = path_below(options.model, options.signature)) {
    detached.ignored.push_back(*own);
    detached.ignored.push_back(signature::unfinished_file_of(*own));
  }
  if (options.ignore_unsigned_files) detached.unsigned_files = signature::UnsignedFiles::kTolerated;
  if (options.allow_symlinks) detached.links = artifact::Links::kFollowedInside;
  ProgressLine progress(session.output(), session.clock(), "verifying");
  detached.progress = progress.callback();
  MLXGUARD_TRY_ASSIGN(Answer answer, signature::check_detached(std::move(folder),
                                                               as_text(bundle.payload), detached));
  if (auto* report = std::get_if<signature::VerifyReport>(&answer)) {
    report->signer = signer.fingerprint;
    report->signer_name = signer.name;
  }
  return answer;
}

/// The answer is on record before it is told.
Result<signature::VerifyReport> verify(Session& session, const CompatOptions& options,
                                       signature::Findings& findings) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  admission::ModelRecord record(admission::model_name({}, options.model), *log, session.clock());
  auto answer = check(session, options);
  if (!answer) return record.refused(std::move(answer).error(), {});
  if (const auto* refusal = std::get_if<signature::Refusal>(&*answer)) {
    findings = refusal->findings;
    return record.refused(refusal->error, {refusal->findings, {}});
  }
  auto& report = std::get<signature::VerifyReport>(*answer);
  MLXGUARD_TRY(record.verified(report));
  return std::move(report);
}

}  // namespace

Result<int> compat_verify(Session& session, const CompatOptions& options) {
  signature::Findings findings;
  const auto report = verify(session, options, findings);
  if (!report) return compat_failed(session, "Verification", report.error(), findings);
  codec::JsonWriter json;
  json.begin_object().field("status", "verified").field("model", options.model);
  json.field("files", static_cast<std::int64_t>(report->files));
  json.field("bytes", static_cast<std::int64_t>(report->bytes));
  json.field("root_digest", report->root_digest).field("signer", report->signer).end_object();
  session.output().json_line(json.text());
  session.output().line("Verification succeeded");
  return 0;
}

}  // namespace mlxguard::cli
