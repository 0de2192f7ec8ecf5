// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "admission/sign_line.h"
#include "codec/json.h"
#include "commands.h"
#include "crypto/key_store.h"
#include "passphrase_options.h"
#include "progress.h"

namespace mlxguard::cli {
namespace {

struct Sign {
  std::string model;
  std::string key;
  bool add = false;
  PassphraseOptions passphrase;
};

Result<int> sign(Session& session, const Sign& options) {
  MLXGUARD_TRY_ASSIGN(events::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const auto passphrase = [&] {
    return options.passphrase.read(options.key, crypto::PassphraseUse::kOpen);
  };
  ProgressLine progress(session.output(), session.clock(), "hashing");
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  admission::SignRequest request{options.model, options.key, passphrase, progress.callback()};
  request.pin = [&] { return options.passphrase.read_pin(options.key); };
  request.token = options.passphrase.token();
  request.public_keys = config.public_keys;
  if (options.add) request.scope.place = admission::SignScope::Place::kFurther;
  MLXGUARD_TRY_ASSIGN(const admission::Signed done,
                      admission::sign(request, crypto::KeyStore(folder), *log, session.clock()));
  progress.finish();
  codec::JsonWriter json;
  json.begin_object().field("status", "signed").field("model", options.model);
  json.field("signature", done.signature_file.string()).field("root_digest", done.root_digest);
  json.field("signer", done.signer).field("files", static_cast<std::int64_t>(done.files));
  json.field("bytes", static_cast<std::int64_t>(done.bytes)).end_object();
  session.output().json_line(json.text());
  session.output().line(session.output().styled(Style::kGood, "signed") + "  " +
                        printable(options.model) + "  " + std::to_string(done.files) + " files, " +
                        human_bytes(done.bytes));
  session.output().line("  signature  " + printable(done.signature_file.string()));
  session.output().line("  identity   " + done.root_digest);
  return 0;
}

}  // namespace

void define_sign(CLI::App& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Sign>();
  app.add_option("MODEL", options->model, "folder (or single file) of the model")->required();
  app.add_option("--key", options->key, "name of the signing key")->required();
  app.add_flag("--add", options->add,
               "sign beside the signature that is there (model.sig.d), as a further signer");
  options->passphrase.define(app);
  app.callback([=] { chosen([=](Session& session) { return sign(session, *options); }); });
}

}  // namespace mlxguard::cli
