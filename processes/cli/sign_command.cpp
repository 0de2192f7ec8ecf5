// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "admission/sign_line.h"
#include "arguments.h"
#include "artifact/local_mac.h"
#include "codec/json.h"
#include "commands.h"
#include "crypto/key_store.h"
#include "foreign_key_file.h"
#include "passphrase_options.h"
#include "progress.h"
#include "signature/statement.h"

namespace mlxguard::cli {
namespace {

struct Sign {
  std::string model;
  std::string key;
  bool add = false;
  std::string hash = "sha256";
  std::uint64_t shard_bytes = 0;
  std::vector<std::string> ignored;
  bool follow_links = false;
  bool hash_again = false;
  std::string certificate;
  std::vector<std::string> chain;
  PassphraseOptions passphrase;
};

/// What a verifier will hold the model against; a further signer's follows the first one's list.
Result<admission::SignScope> scope_of(const Session& session, const Sign& options) {
  admission::SignScope scope;
  MLXGUARD_TRY_ASSIGN(scope.plan.algorithm, signature::find_hash(options.hash));
  scope.plan.shard_bytes = options.shard_bytes;
  scope.ignored = options.ignored;
  if (options.follow_links) scope.links = artifact::Links::kFollowedInside;
  if (options.hash_again) scope.known = admission::SignScope::Known::kHashedAgain;
  if (options.add) scope.place = admission::SignScope::Place::kFurther;
  if (options.certificate.empty()) return scope;
  MLXGUARD_TRY_ASSIGN(scope.certificates, read_certificates(session, {options.certificate}));
  MLXGUARD_TRY_ASSIGN(const auto issuers, read_certificates(session, options.chain));
  scope.certificates.insert(scope.certificates.end(), issuers.begin(), issuers.end());
  return scope;
}

void show(const Output& output, const Sign& options, const admission::Signed& done) {
  codec::JsonWriter json;
  json.begin_object().field("status", "signed").field("model", options.model);
  json.field("signature", done.signature_file.string()).field("root_digest", done.root_digest);
  json.field("signer", done.signer).key("files").unsigned_integer(done.files);
  json.key("bytes").unsigned_integer(done.bytes);
  json.key("hashed_bytes").unsigned_integer(done.hashed_bytes).end_object();
  output.json_line(json.text());
  const std::string known = done.hashed_bytes < done.bytes
                                ? ", of which " + human_bytes(done.hashed_bytes) + " are new"
                                : std::string();
  output.line(output.styled(Style::kGood, "signed") + "  " + printable(options.model) + "  " +
              std::to_string(done.files) + " files, " + human_bytes(done.bytes) + known);
  output.line("  signature  " + printable(done.signature_file.string()));
  output.line("  identity   " + done.root_digest);
}

Result<int> sign(Session& session, const Sign& options) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const auto passphrase = [&] {
    return options.passphrase.read(options.key, crypto::PassphraseUse::kOpen);
  };
  ProgressLine progress(session.output(), session.clock(), "hashing");
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  admission::SignRequest request{options.model, options.key, passphrase, progress.callback()};
  request.pin = [&] { return options.passphrase.read_pin(options.key); };
  request.token = options.passphrase.token();
  request.public_keys = config.trust.public_keys;
  MLXGUARD_TRY_ASSIGN(request.scope, scope_of(session, options));
  // Digests of the last time: only what changed since is hashed.
  MLXGUARD_TRY_ASSIGN(const auto mac, artifact::LocalMac::open(folder, session.random()));
  request.scope.mac = &mac;
  request.scope.digests_folder = config.server.state / "digests";
  MLXGUARD_TRY_ASSIGN(const admission::Signed done,
                      admission::sign(request, crypto::KeyStore(folder), *log, session.clock()));
  progress.finish();
  show(session.output(), options, done);
  return 0;
}

}  // namespace

void define_sign(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Sign>();
  app.add_option("MODEL", options->model, "folder (or single file) of the model")->required();
  app.add_option("--key", options->key, "name of the signing key")->required();
  auto* add =
      app.add_flag("--add", options->add,
                   "sign beside the signature that is there (model.sig.d), as a further signer");
  auto* certificate = app.add_option("--certificate", options->certificate,
                                     "PEM certificate of the key; verifiers trust its authority");
  app.add_option("--certificate-chain", options->chain, "PEM certificates of those who issued it")
      ->needs(certificate)
      ->allow_extra_args(false);
  auto* hash =
      app.add_option("--hash", options->hash, "sha256 (default), blake2b or blake3 (fastest)")
          ->one_of({"sha256", "blake2b", "blake3"});
  auto* shards =
      app.add_option("--shard-size", options->shard_bytes,
                     "sign pieces of files, of this size (64MB), that are hashed in parallel")
          ->as_size();
  auto* ignore =
      app.add_option("--ignore", options->ignored, "path in the model that is not signed")
          ->allow_extra_args(false);
  auto* links = app.add_flag("--follow-links", options->follow_links,
                             "sign what symbolic links inside the model point to");
  for (Argument* first : {hash, shards, ignore, links}) add->excludes(first);
  app.add_flag("--hash-again", options->hash_again,
               "hash files too that did not change since they were signed here");
  options->passphrase.define(app);
  app.callback([=] { chosen([=](Session& session) { return sign(session, *options); }); });
}

}  // namespace mlxguard::cli
