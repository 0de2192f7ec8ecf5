// SPDX-License-Identifier: Apache-2.0
// `mlxguard trust add`, `trust remove` and `trust sign`: changes of trust.toml, on record first,
// atomic, and signed again where the policy is signed.
#include <filesystem>
#include <memory>

#include "arguments.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key_store.h"
#include "key_options.h"
#include "trust/policy_change.h"
#include "trust_commands.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;

struct RootOptions {
  std::string key;
  PassphraseOptions passphrase;
};

struct AddOptions {
  std::string name;
  std::vector<std::string> paths, hugging_face, digests;
  std::vector<std::string> signers;
  std::string authority;
  std::vector<std::string> identities;
  std::int64_t threshold = 1;
  std::string mode = "enforce";
  std::vector<std::string> formats;
  std::string not_before, not_after, min_version;
  bool refuse_rollback = false;
  std::vector<std::string> refuse_findings;
  bool receipts = false;
  std::vector<std::string> legacy, crls;
  std::string expires;
  RootOptions root;
};

Error usage(std::string message) { return make_error(ErrorCode::kUsage, std::move(message)); }

bool is_fingerprint(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

Result<std::string> absolute_path(const std::string& path) {
  std::error_code problem;
  const fs::path whole = fs::absolute(path, problem).lexically_normal();
  if (problem) return usage("expected a path").about(path);
  return whole.string();
}

/// A fingerprint, the name of a key here, or a file with a public key; in the policy always a
/// fingerprint, which is the same key whatever happens to names and files.
Result<trust::SignerRule> signer_of(const std::string& text, const trust::KeyRing& ring) {
  trust::SignerRule signer;
  if (is_fingerprint(text)) {
    signer.key = text;
    return signer;
  }
  if (const trust::RingKey* known = ring.find_name(text)) {
    signer.key = known->key.fingerprint();
    return signer;
  }
  std::error_code problem;
  if (fs::is_regular_file(text, problem)) {
    MLXGUARD_TRY_ASSIGN(const std::string path, absolute_path(text));
    MLXGUARD_TRY_ASSIGN(const crypto::EcPublicKey key, crypto::read_public_key(path));
    signer.key = key.fingerprint();
    signer.public_key = path;
    return signer;
  }
  return make_error(ErrorCode::kKeyNotFound,
                    "expected a fingerprint, the name of a key here, or a file with a public key")
      .about(text)
      .hinting("`mlxguard key list` shows the names");
}

Result<void> set_match(trust::SourceRule& source, const AddOptions& options) {
  const int kinds = (options.paths.empty() ? 0 : 1) + (options.hugging_face.empty() ? 0 : 1) +
                    (options.digests.empty() ? 0 : 1);
  if (kinds != 1) return usage("expected one of --path, --hf and --digest");
  if (!options.digests.empty()) {
    source.match = trust::MatchKind::kDigest;
    source.patterns = options.digests;
  } else if (!options.hugging_face.empty()) {
    source.match = trust::MatchKind::kHuggingFace;
    source.patterns = options.hugging_face;
  }
  for (const std::string& path : options.paths) {
    MLXGUARD_TRY_ASSIGN(std::string whole, absolute_path(path));
    while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
    source.patterns.push_back(std::move(whole));
  }
  return {};
}

Result<void> set_signers(trust::SourceRule& source, const AddOptions& options,
                         const trust::KeyRing& ring) {
  for (const std::string& text : options.signers) {
    MLXGUARD_TRY_ASSIGN(trust::SignerRule signer, signer_of(text, ring));
    source.signers.push_back(std::move(signer));
  }
  if (options.authority.empty() != options.identities.empty()) {
    return usage("expected --ca and --identity together: an authority alone would let anyone in");
  }
  for (const std::string& identity : options.identities) {
    trust::SignerRule signer;
    MLXGUARD_TRY_ASSIGN(const std::string path, absolute_path(options.authority));
    signer.authority = path;
    MLXGUARD_TRY_ASSIGN(signer.authority_digest, trust::authority_digest_of(path));
    MLXGUARD_TRY_ASSIGN(signer.identity, trust::normal_identity(identity));
    source.signers.push_back(std::move(signer));
  }
  if (source.signers.empty())
    return usage("expected at least one --signer, or --ca with --identity");
  return {};
}

Result<trust::SourceRule> source_of(const AddOptions& options, const trust::KeyRing& ring) {
  trust::SourceRule source;
  MLXGUARD_TRY(trust::check_source_name(options.name));
  source.name = options.name;
  MLXGUARD_TRY(set_match(source, options));
  MLXGUARD_TRY(set_signers(source, options, ring));
  if (options.mode != "enforce" && options.mode != "warn") {
    return usage("expected --mode enforce or --mode warn; there is no off");
  }
  source.mode = options.mode == "warn" ? trust::Mode::kWarn : trust::Mode::kEnforce;
  source.threshold = options.threshold;
  source.formats = options.formats;
  if (!options.not_before.empty()) {
    MLXGUARD_TRY_ASSIGN(source.window.not_before, date_of(options.not_before, DateEdge::kBegin));
  }
  if (!options.not_after.empty()) {
    MLXGUARD_TRY_ASSIGN(source.window.not_after, date_of(options.not_after, DateEdge::kEnd));
  }
  if (!options.min_version.empty()) {
    MLXGUARD_TRY_ASSIGN(source.min_version, trust::ModelVersion::parse(options.min_version));
  }
  if (options.refuse_rollback) source.rollback = trust::Rollback::kRefuse;
  source.refuse_findings = options.refuse_findings;
  if (options.receipts) source.receipts = trust::Receipts::kAllow;
  source.legacy = options.legacy;
  for (const std::string& crl : options.crls) {
    MLXGUARD_TRY_ASSIGN(const std::string path, absolute_path(crl));
    source.crls.emplace_back(path);
  }
  return source;
}

/// Opens the root key when the new text is ready, and puts its use on record.
void sign_with(trust::PolicyChange& change, Session& session, const RootOptions& root,
               record::Sink& log) {
  if (root.key.empty()) return;
  change.open_root_key = [&session, &root, &log]() -> Result<std::unique_ptr<crypto::Signer>> {
    MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
    MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
    MLXGUARD_TRY_ASSIGN(
        auto key, trust::open_to_sign(crypto::KeyStore(folder), ring, root.key,
                                      root.passphrase.secrets(root.key), session.clock().now()));
    MLXGUARD_TRY(log_use(log, root.key, key->public_key(), "sign the trust policy"));
    return key;
  };
}

Result<trust::ChangedPolicy> apply(Session& session, const trust::PolicyChange& change,
                                   std::string_view what, const std::string& name,
                                   record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const trust::PolicyPlaces places, session.policy_places());
  const auto on_record = [&](const trust::ChangedPolicy& changed) {
    record::Event event{.kind = record::Kind::kTrustChanged};
    event.message = "the trust policy changes";
    event.set(Attr::kChange, std::string(what)).set(Attr::kSource, name);
    event.set(Attr::kPolicy, places.file().string());
    event.set(Attr::kPolicyVersion, changed.version);
    event.set(Attr::kSigned, static_cast<bool>(change.open_root_key));
    return log.append(event);
  };
  return trust::change_policy(places, change, session.clock().now(), on_record);
}

/// A change that is refused is on record too.
Result<int> or_on_record(record::Sink& log, Result<int> done) {
  if (done) return done;
  MLXGUARD_TRY(log.append(record::event_of(record::Kind::kTrustChanged, done.error())));
  return done;
}

Result<void> show(Session& session, std::string_view status, const std::string& name,
                  const trust::ChangedPolicy& changed, bool is_signed) {
  MLXGUARD_TRY_ASSIGN(const trust::PolicyPlaces places, session.policy_places());
  const std::string file = places.file().string();
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().field("status", status).field("source", name).field("policy", file);
  json.key("version").unsigned_integer(changed.version).key("created").boolean(changed.created);
  json.key("signed").boolean(is_signed).end_object();
  output.json_line(json.text());
  output.line(output.styled(Style::kGood, status) + (name.empty() ? "" : "  " + printable(name)));
  output.line("  policy  " + printable(file) + ", version " + std::to_string(changed.version) +
              (is_signed ? ", signed" : ""));
  if (changed.created) {
    output.note(
        "from now on only models of a source in this policy are allowed; before, every "
        "trusted key could sign every model");
  }
  return {};
}

Result<int> add(Session& session, const AddOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  trust::PolicyChange change;
  MLXGUARD_TRY_ASSIGN(change.edit.add, source_of(options, ring));
  std::string who;
  for (const trust::SignerRule& signer : change.edit.add->signers) {
    who += (who.empty() ? "signers: " : ", ") + describe_signer(signer, ring);
  }
  change.edit.remark = who;
  if (!options.expires.empty()) {
    MLXGUARD_TRY_ASSIGN(change.edit.expires, date_of(options.expires, DateEdge::kEnd));
  }
  sign_with(change, session, options.root, log);
  MLXGUARD_TRY_ASSIGN(const auto changed, apply(session, change, "add", options.name, log));
  MLXGUARD_TRY(show(session, "added", options.name, changed, !options.root.key.empty()));
  return 0;
}

Result<int> remove(Session& session, const std::string& name, const RootOptions& root,
                   record::Sink& log) {
  trust::PolicyChange change;
  change.edit.remove = name;
  sign_with(change, session, root, log);
  MLXGUARD_TRY_ASSIGN(const auto changed, apply(session, change, "remove", name, log));
  MLXGUARD_TRY(show(session, "removed", name, changed, !root.key.empty()));
  return 0;
}

Result<int> sign(Session& session, const RootOptions& root, const std::string& expires,
                 record::Sink& log) {
  trust::PolicyChange change;
  if (!expires.empty()) {
    MLXGUARD_TRY_ASSIGN(change.edit.expires, date_of(expires, DateEdge::kEnd));
  }
  sign_with(change, session, root, log);
  MLXGUARD_TRY_ASSIGN(const auto changed, apply(session, change, "sign", {}, log));
  MLXGUARD_TRY(show(session, "signed", {}, changed, true));
  MLXGUARD_TRY_ASSIGN(const trust::PolicyPlaces places, session.policy_places());
  if (places.root_key.empty()) {
    MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
    const trust::RingKey* key = ring.find_name(root.key);
    session.output().note(
        "nothing demands this signature yet: set root_key under [trust] in "
        "mlxguard.toml" +
        (key != nullptr ? " to " + key->key.fingerprint() : std::string()));
  }
  return 0;
}

void define_root(Arguments& app, RootOptions& root, const char* option, const char* meaning) {
  app.add_option(option, root.key, meaning);
  root.passphrase.define(app);
}

void define_add(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<AddOptions>();
  const auto texts = [](Arguments* to, const char* name, std::vector<std::string>& target,
                        const char* meaning) {
    to->add_option(name, target, meaning)->allow_extra_args(false);
  };
  Arguments* add_app = app.add_subcommand("add", "trust a source of models, and who signs for it");
  add_app->add_option("NAME", options->name, "of the source: letters, digits, '.', '_', '-'")
      ->required();
  texts(add_app, "--path", options->paths, "folder: every model in or below it");
  texts(add_app, "--hf", options->hugging_face,
        "Hugging Face id ORG/NAME; * and ? match in a part");
  texts(add_app, "--digest", options->digests, "root digest of a model");
  texts(add_app, "--signer", options->signers,
        "who may sign: name of a key here, fingerprint, or file with a public key");
  add_app->add_option("--ca", options->authority,
                      "root certificate (PEM) of signers by --identity");
  texts(add_app, "--identity", options->identities,
        "email:.., uri:.., dns:.. or subject:.. that the certificate must carry");
  add_app->add_option("--threshold", options->threshold,
                      "how many different signers must have signed");
  add_app->add_option("--mode", options->mode, "enforce (default) or warn");
  add_app->add_option("--formats,--format", options->formats, "formats that files may have")
      ->delimiter(',');
  add_app->add_option("--not-before", options->not_before, "the source is valid from (UTC)");
  add_app->add_option("--not-after", options->not_after, "the source is valid up to (UTC)");
  add_app->add_option("--min-version", options->min_version,
                      "lowest version of the model's mlxguard.json");
  add_app->add_flag("--no-rollback", options->refuse_rollback,
                    "never a model older than the newest that was admitted");
  add_app
      ->add_option("--refuse-findings", options->refuse_findings,
                   "findings of `mlxguard inspect` that refuse: rule, or severity:LEVEL")
      ->delimiter(',');
  add_app->add_flag("--receipts", options->receipts, "do not hash a stored, untouched model again");
  add_app->add_option("--legacy", options->legacy, "old forms of signatures to allow")
      ->delimiter(',');
  texts(add_app, "--crl", options->crls, "certificate revocation list (PEM or DER)");
  add_app->add_option("--expires", options->expires, "the policy's expiry (UTC)");
  define_root(*add_app, options->root, "--root-key", "key that signs the policy, if it is signed");
  add_app->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_on_record(*log, add(session, *options, *log));
    });
  });
}

}  // namespace

void define_trust_changes(Arguments& app, const std::function<void(Action)>& chosen) {
  define_add(app, chosen);
  const auto name = std::make_shared<std::string>();
  const auto root = std::make_shared<RootOptions>();
  Arguments* removed = app.add_subcommand("remove", "trust a source no more");
  removed->add_option("NAME", *name, "of the source")->required();
  define_root(*removed, *root, "--root-key", "key that signs the policy, if it is signed");
  removed->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_on_record(*log, remove(session, *name, *root, *log));
    });
  });
  const auto signing = std::make_shared<RootOptions>();
  const auto expires = std::make_shared<std::string>();
  Arguments* sign_app = app.add_subcommand("sign", "sign the policy with its root key");
  define_root(*sign_app, *signing, "--key", "name of the root key");
  sign_app->get_option("--key")->required();
  sign_app->add_option("--expires", *expires, "when the policy expires (UTC); needed once");
  sign_app->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_on_record(*log, sign(session, *signing, *expires, *log));
    });
  });
}

}  // namespace mlxguard::cli
