// SPDX-License-Identifier: Apache-2.0
// `mlxguard key rotate`, `key revoke` and `key accept`: what changes which keys may be relied on.
#include <memory>

#include "arguments.h"
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key_store.h"
#include "key_options.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

struct RotateOptions {
  std::string old_name;
  std::string new_name;
  std::string old_valid_until;
  std::string curve;
  WindowOptions window;
  PassphraseOptions passphrase;
  PassphraseOptions new_passphrase;
};

struct RevokeOptions {
  std::string key;
  std::string reason;
  std::string signed_by;
  PassphraseOptions passphrase;
};

/// The secret of the old key, kept for the new one unless that one's has a source of its own: a
/// descriptor can be read only once.
class RotationSecrets {
 public:
  RotationSecrets(const RotateOptions& options) : options_(options) {}  // NOLINT: local to rotate()

  [[nodiscard]] trust::KeySecrets of_old_key() {
    trust::KeySecrets secrets = options_.passphrase.secrets(options_.old_name);
    secrets.ask = [this, ask = secrets.ask](trust::KeyKind kind) -> Result<crypto::Secret> {
      MLXGUARD_TRY_ASSIGN(crypto::Secret secret, ask(kind));
      kept_ = crypto::Secret::copy_of(secret.bytes());
      return secret;
    };
    return secrets;
  }
  [[nodiscard]] Result<crypto::Secret> for_new_key(crypto::PassphraseUse use) const {
    if (options_.new_passphrase.given() || !options_.passphrase.given()) {
      return options_.new_passphrase.read(options_.new_name, use);
    }
    if (use == crypto::PassphraseUse::kCreate && kept_.size() < limits::kPassphraseBytesMin) {
      return make_error(ErrorCode::kPassphraseWeak,
                        "the old key's passphrase is too short for a new one")
          .hinting("give the new key another with --new-passphrase-file FILE");
    }
    return crypto::Secret::copy_of(kept_.bytes());
  }
  [[nodiscard]] trust::KeySecrets of_new_key() const {
    trust::KeySecrets secrets;
    secrets.token = options_.passphrase.token();
    secrets.ask = [this](trust::KeyKind) { return for_new_key(crypto::PassphraseUse::kOpen); };
    return secrets;
  }

 private:
  const RotateOptions& options_;
  crypto::Secret kept_;
};

void show_rotated(const Session& session, const RotateOptions& options,
                  const std::filesystem::path& folder, const crypto::EcPublicKey& old_key,
                  const crypto::EcPublicKey& new_key, std::optional<WallTime> until) {
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().field("status", "rotated").field("old", options.old_name);
  json.field("old_fingerprint", old_key.fingerprint()).field("new", options.new_name);
  json.field("new_fingerprint", new_key.fingerprint());
  if (until) json.field("old_valid_until", codec::to_rfc3339(until->time_since_epoch().count()));
  json.end_object();
  output.json_line(json.text());
  output.line("key " + output.styled(Style::kBold, options.old_name) + " replaced by " +
              output.styled(Style::kBold, options.new_name));
  output.line("  its signatures stay good " +
              (until ? "until " + date_text(*until) + " UTC" : "as long as its own window lasts"));
  output.line("  record   " + (folder / (options.old_name + ".rotation")).string() +
              "   signed by both; give it to those who verify");
  output.line("  sha256   " + new_key.fingerprint());
}

Result<int> rotate_keys(Session& session, const RotateOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY(crypto::check_key_name(options.new_name));
  const WallTime now = session.clock().now();
  std::optional<WallTime> until;
  if (!options.old_valid_until.empty()) {
    MLXGUARD_TRY_ASSIGN(until, date_of(options.old_valid_until, DateEdge::kEnd));
  }
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  RotationSecrets secrets(options);
  MLXGUARD_TRY_ASSIGN(
      const std::unique_ptr<crypto::Signer> old_key,
      trust::open_to_sign(store, ring, options.old_name, secrets.of_old_key(), now));
  const crypto::EcPublicKey old_public = old_key->public_key();
  MLXGUARD_TRY(log_use(log, options.old_name, old_public, "sign a rotation"));
  const auto on_record = [&](const crypto::EcPublicKey& new_key) {
    record::Event rotated{.kind = record::Kind::kKeyRotated};
    rotated.message = "signing key replaced by another";
    rotated.set(Attr::kKey, options.old_name).set(Attr::kFingerprint, old_public.fingerprint());
    rotated.set(Attr::kSuccessor, options.new_name);
    rotated.set(Attr::kSuccessorFingerprint, new_key.fingerprint());
    if (until) rotated.set(Attr::kOldValidUntil, date_text(*until));
    return log.append(rotated);
  };
  if (store.public_key(options.new_name)) {
    MLXGUARD_TRY_ASSIGN(
        const std::unique_ptr<crypto::Signer> new_key,
        trust::open_to_sign(store, ring, options.new_name, secrets.of_new_key(), now));
    MLXGUARD_TRY(log_use(log, options.new_name, new_key->public_key(), "sign a rotation"));
    MLXGUARD_TRY(
        trust::rotate_key(store, options.old_name, *old_key, *new_key, now, until, on_record));
    show_rotated(session, options, folder, old_public, new_key->public_key(), until);
    return 0;
  }
  crypto::Curve curve = old_public.curve();
  if (!options.curve.empty()) {
    MLXGUARD_TRY_ASSIGN(curve, curve_of(options.curve));
  }
  MLXGUARD_TRY_ASSIGN(const trust::NewKey made, options.window.make(options.new_name, curve, now));
  MLXGUARD_TRY_ASSIGN(const crypto::Secret passphrase,
                      secrets.for_new_key(crypto::PassphraseUse::kCreate));
  const auto created_and_rotated = [&](const crypto::EcPublicKey& key) -> Result<void> {
    record::Event created{.kind = record::Kind::kKeyCreated};
    created.message = "signing key made";
    created.set(Attr::kKey, options.new_name).set(Attr::kFingerprint, key.fingerprint());
    MLXGUARD_TRY(log.append(created));
    return on_record(key);
  };
  MLXGUARD_TRY_ASSIGN(const auto new_key,
                      trust::rotate_to_new_key(store, options.old_name, *old_key, made, passphrase,
                                               until, created_and_rotated));
  show_rotated(session, options, folder, old_public, new_key, until);
  return 0;
}

bool is_fingerprint(const std::string& text) {
  return text.size() == 64 && codec::from_hex(text).has_value();
}

/// Who signs the revocation: another key, which must be in good standing, or the key itself,
/// whatever its standing: an expired key may still be revoked.
Result<std::unique_ptr<crypto::Signer>> revoking_key(Session& session, const RevokeOptions& options,
                                                     const trust::KeyRing& ring,
                                                     const std::string& fingerprint) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  const trust::RingKey* signer =
      options.signed_by.empty() ? ring.find(fingerprint) : ring.find_name(options.signed_by);
  if (signer == nullptr) {
    return make_error(ErrorCode::kKeyNotFound,
                      options.signed_by.empty() ? "the key to revoke is not here to sign for itself"
                                                : "no key of this name")
        .about(options.signed_by.empty() ? options.key : options.signed_by)
        .hinting("name a trusted key that signs the revocation with --signed-by KEY");
  }
  const trust::KeySecrets secrets = options.passphrase.secrets(signer->name);
  if (signer->key.fingerprint() == fingerprint) return trust::open_signer(store, *signer, secrets);
  return trust::open_to_sign(store, ring, signer->name, secrets, session.clock().now());
}

Result<int> revoke_one(Session& session, const RevokeOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  const crypto::KeyStore store(config.server.state / "keys");
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  const trust::RingKey* known = ring.find_name(options.key);
  if (known == nullptr) known = ring.find(options.key);
  if (known == nullptr && !is_fingerprint(options.key)) {
    return make_error(ErrorCode::kKeyNotFound, "no key of this name or fingerprint")
        .about(options.key)
        .hinting("`mlxguard key list` shows the keys there are");
  }
  const std::string fingerprint = known != nullptr ? known->key.fingerprint() : options.key;
  if (ring.revocations().find(fingerprint) != nullptr) {
    return make_error(ErrorCode::kKeyRevoked, "the key is on the revocation list already")
        .about(options.key);
  }
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<crypto::Signer> signer,
                      revoking_key(session, options, ring, fingerprint));
  const std::string& signer_print = signer->public_key().fingerprint();
  const trust::RingKey* signer_known = ring.find(signer_print);
  const std::string signer_name = signer_known != nullptr ? signer_known->name : signer_print;
  MLXGUARD_TRY(log_use(log, signer_name, signer->public_key(), "sign a revocation"));
  const auto on_record = [&]() -> Result<void> {
    record::Event revoked{.kind = record::Kind::kKeyRevoked};
    revoked.message = "key revoked";
    revoked.set(Attr::kKey, known != nullptr ? known->name : options.key);
    revoked.set(Attr::kFingerprint, fingerprint).set(Attr::kReason, options.reason);
    revoked.set(Attr::kSigner, signer_print);
    return log.append(revoked);
  };
  MLXGUARD_TRY_ASSIGN(const trust::RevocationList list,
                      trust::revoke_key(store, config.trust.public_keys, fingerprint,
                                        options.reason,
                                        session.clock().now(), *signer, on_record));
  codec::JsonWriter json;
  json.begin_object().field("status", "revoked").field("key", options.key);
  json.field("fingerprint", fingerprint).field("signed_by", signer_print);
  json.key("version").unsigned_integer(list.version()).end_object();
  session.output().json_line(json.text());
  session.output().line("key " + session.output().styled(Style::kBold, printable(options.key)) +
                        " revoked; nothing that it signed is trusted from now on");
  session.output().line("  list     " + (config.server.state / "keys/revocations.json").string() +
                        ", version " + std::to_string(list.version()) +
                        "   give it to those who verify: mlxguard key accept FILE");
  return 0;
}

Result<int> accept_list(Session& session, const config::ServeConfig& config, std::string_view text,
                        record::Sink& log) {
  const crypto::KeyStore store(config.server.state / "keys");
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing before, load_ring(session));
  const auto on_record = [&](const trust::RevocationList& list) -> Result<void> {
    for (const trust::Revocation& one : list.revocations()) {
      if (before.revocations().find(one.fingerprint) != nullptr) continue;
      const trust::RingKey* known = before.find(one.fingerprint);
      record::Event revoked{.kind = record::Kind::kKeyRevoked};
      revoked.message = "key revoked by a list that was accepted";
      revoked.set(Attr::kKey, known != nullptr ? known->name : one.fingerprint);
      revoked.set(Attr::kFingerprint, one.fingerprint).set(Attr::kReason, one.reason);
      revoked.set(Attr::kSigner, one.signer);
      MLXGUARD_TRY(log.append(revoked));
    }
    return {};
  };
  MLXGUARD_TRY_ASSIGN(const trust::RevocationList list,
                      trust::accept_revocations(store, config.trust.public_keys, text, on_record));
  codec::JsonWriter json;
  json.begin_object().field("status", "accepted").field("kind", "revocations");
  json.key("version").unsigned_integer(list.version()).end_object();
  session.output().json_line(json.text());
  session.output().line("revocation list accepted, version " + std::to_string(list.version()) +
                        ", " + std::to_string(list.revocations().size()) + " keys revoked");
  return 0;
}

Result<int> accept_rotated(Session& session, const config::ServeConfig& config,
                           std::string_view text, record::Sink& log) {
  const crypto::KeyStore store(config.server.state / "keys");
  std::string name;
  const auto on_record = [&](const std::string& old_name, const trust::Rotation& rotation) {
    name = old_name;
    record::Event rotated{.kind = record::Kind::kKeyRotated};
    rotated.message = "rotation accepted";
    rotated.set(Attr::kKey, old_name).set(Attr::kFingerprint, rotation.old_key.fingerprint());
    rotated.set(Attr::kSuccessorFingerprint, rotation.new_key.fingerprint());
    return log.append(rotated);
  };
  MLXGUARD_TRY_ASSIGN(
      const trust::Rotation rotation,
      trust::accept_rotation(store, config.trust.public_keys, text, session.clock().now(),
                             on_record));
  codec::JsonWriter json;
  json.begin_object().field("status", "accepted").field("kind", "rotation").field("old", name);
  json.field("new_fingerprint", rotation.new_key.fingerprint()).end_object();
  session.output().json_line(json.text());
  session.output().line("rotation accepted: who trusts " + printable(name) + " trusts key " +
                        rotation.new_key.fingerprint());
  return 0;
}

Result<int> accept_file(Session& session, const std::string& file, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  MLXGUARD_TRY_ASSIGN(const crypto::Secret text,
                      crypto::read_key_file(file, crypto::KeyFileReaders::kAnyone,
                                            limits::kRevocationListBytesMax));
  // Which of the two it claims to be; what it is, its reader decides.
  const auto document = codec::JsonDocument::parse(text.text());
  const bool list = document && document->root().is(codec::JsonKind::kObject) &&
                    document->root().find("entries").has_value();
  auto done = list ? accept_list(session, config, text.text(), log)
                   : accept_rotated(session, config, text.text(), log);
  if (!done && done.error().subject.empty()) return std::move(done).error().about(file);
  return done;
}

void define_rotate(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<RotateOptions>();
  Arguments* rotate = app.add_subcommand("rotate", "replace a key by a new one; both sign that");
  rotate->add_option("OLD", options->old_name, "name of the key to replace")->required();
  rotate->add_option("NEW", options->new_name, "name of its successor, made if it is not there")
      ->required();
  rotate->add_option(
      "--old-valid-until", options->old_valid_until,
      "signatures of the old key are good until this date (UTC; default: its own window)");
  rotate->add_option("--curve", options->curve, "of the new key (default: that of the old one)");
  options->window.define(*rotate);
  options->passphrase.define(*rotate);
  options->new_passphrase.define_new(*rotate);
  rotate->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_refused(*log, options->old_name, rotate_keys(session, *options, *log));
    });
  });
}

}  // namespace

void define_key_changes(Arguments& app, const std::function<void(Action)>& chosen) {
  define_rotate(app, chosen);
  const auto options = std::make_shared<RevokeOptions>();
  Arguments* revoke = app.add_subcommand("revoke", "trust nothing any more that a key signed");
  revoke->add_option("KEY", options->key, "name, or fingerprint")->required();
  revoke->add_option("--reason", options->reason, "for people");
  revoke->add_option("--signed-by", options->signed_by,
                     "trusted key that signs the revocation (default: the key itself)");
  options->passphrase.define(*revoke);
  revoke->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_refused(*log, options->key, revoke_one(session, *options, *log));
    });
  });
  const auto file = std::make_shared<std::string>();
  Arguments* accept =
      app.add_subcommand("accept", "take in a revocation list or a rotation from elsewhere");
  accept->add_option("FILE", *file, "revocations.json, or OLD.rotation")->required();
  accept->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_refused(*log, *file, accept_file(session, *file, *log));
    });
  });
}

}  // namespace mlxguard::cli
