// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "codec/json.h"
#include "commands.h"
#include "crypto/key_store.h"
#include "passphrase_options.h"

namespace mlxguard::cli {
namespace {

struct NewKey {
  std::string name;
  PassphraseOptions passphrase;
};

/// A refusal is an event too; if that cannot be logged, the log's error is the one to show.
Error logged(events::Sink& log, events::Kind kind, Error error, const std::string& key_name) {
  events::Event event = events::event_of(kind, error);
  event.with("key", key_name);
  if (auto appended = log.append(event); !appended) return std::move(appended).error();
  return error;
}

Result<int> make_key(Session& session, const NewKey& options) {
  MLXGUARD_TRY_ASSIGN(events::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  const auto create = [&]() -> Result<crypto::EcPublicKey> {
    MLXGUARD_TRY(crypto::check_key_name(options.name));
    if (store.public_key(options.name)) {
      return make_error(ErrorCode::kKeyExists, "a key of this name exists").about(options.name);
    }
    MLXGUARD_TRY_ASSIGN(const crypto::Secret passphrase,
                        options.passphrase.read(options.name, crypto::PassphraseUse::kCreate));
    return store.create(options.name, crypto::Curve::kP256, passphrase);
  };
  auto key = create();
  if (!key) return logged(*log, events::Kind::kKeyRefused, std::move(key).error(), options.name);
  events::Event created{.kind = events::Kind::kKeyCreated};
  created.message = "signing key made";
  created.with("key", options.name).with("fingerprint", key->fingerprint());
  MLXGUARD_TRY(log->append(created));

  codec::JsonWriter json;
  json.begin_object().field("status", "created").field("name", options.name);
  json.field("fingerprint", key->fingerprint()).field("public_key", key->pem()).end_object();
  session.output().json_line(json.text());
  session.output().line("key " + session.output().styled(Style::kBold, options.name) +
                        " made, EC P-256, encrypted with your passphrase");
  session.output().line("  private  " + (folder / (options.name + ".key")).string());
  session.output().line("  public   " + (folder / (options.name + ".pub")).string() +
                        "   give this one to those who verify");
  session.output().line("  sha256   " + key->fingerprint());
  return 0;
}

Result<int> list_keys(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  MLXGUARD_TRY_ASSIGN(const auto keys, crypto::KeyStore(folder).public_keys());
  codec::JsonWriter json;
  json.begin_object().key("keys").begin_array();
  for (const auto& [name, key] : keys) {
    json.begin_object().field("name", name).field("curve", crypto::name_of(key.curve()));
    json.field("fingerprint", key.fingerprint()).end_object();
    session.output().line(name + "  " + std::string(crypto::name_of(key.curve())) + "  " +
                          key.fingerprint());
  }
  json.end_array().end_object();
  session.output().json_line(json.text());
  if (keys.empty()) session.output().line("no keys in " + folder.string() + "; make one: mlxguard key new NAME");
  return 0;
}

}  // namespace

void define_key(CLI::App& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  const auto options = std::make_shared<NewKey>();
  CLI::App* make = app.add_subcommand("new", "make an EC P-256 key, encrypted with a passphrase");
  make->add_option("NAME", options->name, "letters, digits, '.', '_', '-'")->required();
  options->passphrase.define(*make);
  make->callback(
      [=] { chosen([=](Session& session) { return make_key(session, *options); }); });
  CLI::App* list = app.add_subcommand("list", "list the public keys that are trusted here");
  list->callback([=] { chosen(list_keys); });
}

}  // namespace mlxguard::cli
