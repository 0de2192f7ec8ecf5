// SPDX-License-Identifier: Apache-2.0
// `mlxguard key`: new, import, export. What lists keys is in key_list_command.cpp, what rotates and
// revokes them in key_change_command.cpp.
#include <memory>

#include "arguments.h"
#include "codec/json.h"
#include "crypto/key_store.h"
#include "crypto/pkcs11_uri.h"
#include "key_options.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

struct NewKeyOptions {
  std::string name;
  std::string curve = "p256";
  WindowOptions window;
  PassphraseOptions passphrase;
  std::string token_uri;
  bool generate = false;
  std::string import_file;
};

trust::OnRecord created_event(record::Sink& log, const trust::NewKey& made, trust::KeyKind kind,
                              std::string_view how) {
  return [&log, made, kind, how](const crypto::EcPublicKey& key) {
    record::Event created{.kind = record::Kind::kKeyCreated};
    created.message = "signing key " + std::string(how);
    created.set(Attr::kKey, made.name).set(Attr::kFingerprint, key.fingerprint());
    created.set(Attr::kCurve, std::string(crypto::name_of(key.curve())));
    created.set(Attr::kKeyKind, std::string(trust::name_of(kind)));
    if (made.not_after) created.set(Attr::kNotAfter, date_text(*made.not_after));
    return log.append(created);
  };
}

Result<void> check_free(const crypto::KeyStore& store, const std::string& name) {
  MLXGUARD_TRY(crypto::check_key_name(name));
  if (store.has_private_key(name) || store.public_key(name)) {
    return make_error(ErrorCode::kKeyExists, "a key of this name exists").about(name);
  }
  return {};
}

void show_made(const Session& session, const std::filesystem::path& folder,
               const trust::NewKey& made, const crypto::EcPublicKey& key,
               std::string_view where_private) {
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().field("status", "created").field("name", made.name);
  json.field("curve", crypto::name_of(key.curve())).field("fingerprint", key.fingerprint());
  if (made.not_after) json.field("not_after", date_text(*made.not_after));
  json.field("public_key", key.pem()).end_object();
  output.json_line(json.text());
  output.line("key " + output.styled(Style::kBold, made.name) + " made, EC " +
              std::string(crypto::name_of(key.curve())) +
              (made.not_after ? ", valid until " + date_text(*made.not_after) + " UTC" : ""));
  output.line("  private  " + std::string(where_private));
  output.line("  public   " + (folder / (made.name + ".pub")).string() +
              "   give this one to those who verify,");
  output.line("  record   " + (folder / (made.name + ".rec")).string() +
              "   with this one, which says how long it is valid");
  output.line("  sha256   " + key.fingerprint());
}

Result<int> make_file_key(Session& session, const NewKeyOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY(check_free(store, options.name));
  MLXGUARD_TRY_ASSIGN(const crypto::Curve curve, curve_of(options.curve));
  MLXGUARD_TRY_ASSIGN(const trust::NewKey made,
                      options.window.make(options.name, curve, session.clock().now()));
  MLXGUARD_TRY_ASSIGN(const crypto::Secret passphrase,
                      options.passphrase.read(options.name, crypto::PassphraseUse::kCreate));
  MLXGUARD_TRY_ASSIGN(const auto key,
                      trust::make_key(store, made, passphrase,
                                      created_event(log, made, trust::KeyKind::kFile, "made")));
  show_made(session, folder, made, key,
            (folder / (made.name + ".key")).string() + ", encrypted with your passphrase");
  return 0;
}

Result<int> make_token_key(Session& session, const NewKeyOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY(check_free(store, options.name));
  MLXGUARD_TRY_ASSIGN(const crypto::Curve curve, curve_of(options.curve));
  MLXGUARD_TRY_ASSIGN(const trust::NewKey made,
                      options.window.make(options.name, curve, session.clock().now()));
  MLXGUARD_TRY_ASSIGN(const auto uri, crypto::Pkcs11Uri::parse(options.token_uri));
  const auto pin = [&] { return options.passphrase.read_pin(options.name); };
  const crypto::TokenOptions token = options.passphrase.token();
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<crypto::Signer> key,
                      options.generate ? crypto::generate_pkcs11_key(uri.text(), curve, pin, token)
                                       : crypto::open_pkcs11_key(uri.text(), pin, token));
  MLXGUARD_TRY(trust::register_token_key(
      store, made, *key, uri.text(),
      created_event(log, made, trust::KeyKind::kToken,
                    options.generate ? "made on a token" : "of a token registered")));
  show_made(session, folder, made, key->public_key(), "on the token " + uri.text());
  return 0;
}

Result<int> make_key(Session& session, const NewKeyOptions& options) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  return or_refused(*log, options.name,
                    options.token_uri.empty() ? make_file_key(session, options, *log)
                                              : make_token_key(session, options, *log));
}

Result<int> import_file_key(Session& session, const NewKeyOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY(check_free(store, options.name));
  MLXGUARD_TRY_ASSIGN(const crypto::Secret pem,
                      crypto::read_key_file(options.import_file, crypto::KeyFileReaders::kOwnerOnly,
                                            limits::kKeyFileBytesMax));
  MLXGUARD_TRY_ASSIGN(const crypto::Secret passphrase,
                      options.passphrase.read(options.name, crypto::PassphraseUse::kCreate));
  auto opened = crypto::EcPrivateKey::from_encrypted_pem(pem.text(), passphrase);
  if (!opened) return std::move(opened).error().about(options.import_file);
  MLXGUARD_TRY_ASSIGN(
      const trust::NewKey made,
      options.window.make(options.name, opened->public_key().curve(), session.clock().now()));
  MLXGUARD_TRY_ASSIGN(
      const auto key,
      trust::import_key(store, made, *opened, passphrase,
                        created_event(log, made, trust::KeyKind::kFile, "imported")));
  show_made(session, folder, made, key,
            (folder / (made.name + ".key")).string() + ", encrypted anew with your passphrase");
  return 0;
}

Result<int> import_key(Session& session, const NewKeyOptions& options) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  return or_refused(*log, options.name, import_file_key(session, options, *log));
}

Result<int> export_key(Session& session, const std::string& name) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  MLXGUARD_TRY_ASSIGN(const auto key, crypto::KeyStore(folder).public_key(name));
  codec::JsonWriter json;
  json.begin_object().field("name", name).field("fingerprint", key.fingerprint());
  json.field("public_key", key.pem()).end_object();
  session.output().json_line(json.text());
  std::string_view pem = key.pem();
  pem.remove_suffix(pem.ends_with('\n') ? 1 : 0);  // line() ends it
  session.output().line(pem);
  return 0;
}

void define_make(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<NewKeyOptions>();
  Arguments* make =
      app.add_subcommand("new", "make a key, encrypted with a passphrase, or on a token");
  make->add_option("NAME", options->name, "letters, digits, '.', '_', '-'")->required();
  make->add_option("--curve", options->curve, "p256 (default), p384 or p521");
  options->window.define(*make);
  Argument* token = make->add_option(
      "--token", options->token_uri,
      "the key is on a PKCS#11 token: pkcs11:token=T;object=K?module-path=/path/module.so");
  make->add_flag("--generate", options->generate, "make the key on the token, not to leave it")
      ->needs(token);
  options->passphrase.define(*make);
  make->callback([=] { chosen([=](Session& session) { return make_key(session, *options); }); });
}

void define_import(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<NewKeyOptions>();
  Arguments* import = app.add_subcommand("import", "take in an encrypted private key (PKCS#8, PEM)");
  import->add_option("NAME", options->name, "letters, digits, '.', '_', '-'")->required();
  import->add_option("FILE", options->import_file, "the encrypted private key")->required();
  options->window.define(*import);
  options->passphrase.define(*import);
  import->callback(
      [=] { chosen([=](Session& session) { return import_key(session, *options); }); });
}

}  // namespace

void define_key(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  define_make(app, chosen);
  define_import(app, chosen);
  define_key_list(app, chosen);
  const auto name = std::make_shared<std::string>();
  Arguments* export_pem = app.add_subcommand("export", "print a public key as PEM");
  export_pem->add_option("NAME", *name, "name of the key")->required();
  export_pem->callback(
      [=] { chosen([=](Session& session) { return export_key(session, *name); }); });
  define_key_changes(app, chosen);
}

}  // namespace mlxguard::cli
