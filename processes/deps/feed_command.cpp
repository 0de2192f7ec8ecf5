// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps db sign-feed`: OSV records of one's own in one signed file, for those who take
// them over with `deps db update --feed`.
#include <fmt/format.h>

#include <memory>

#include "advisories/source.h"
#include "arguments.h"
#include "codec/json.h"
#include "crypto/key_store.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "key_options.h"

namespace mlxguard::cli {
namespace {

struct FeedOptions {
  std::string from, out, key;
  std::int64_t version = 0;
  PassphraseOptions passphrase;
};

Result<int> sign_feed(Session& session, const FeedOptions& options, record::Sink& log) {
  MLXGUARD_TRY_ASSIGN(const auto keys, session.keys_folder());
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  trust::KeySecrets secrets;
  secrets.ask = [&](trust::KeyKind kind) {
    return kind == trust::KeyKind::kToken
               ? options.passphrase.read_pin(options.key)
               : options.passphrase.read(options.key, crypto::PassphraseUse::kOpen);
  };
  secrets.token = options.passphrase.token();
  const crypto::KeyStore store(keys);
  MLXGUARD_TRY_ASSIGN(const auto signer, trust::open_to_sign(store, ring, options.key, secrets,
                                                             session.clock().now()));
  MLXGUARD_TRY(log_use(log, options.key, signer->public_key(), "opened to sign an advisory feed"));
  MLXGUARD_TRY_ASSIGN(
      const std::string text,
      advisories::write_feed(options.from, options.version, session.clock().now(), *signer));
  MLXGUARD_TRY(inventory::write_file(options.out, text));
  codec::JsonWriter json;
  json.begin_object().field("feed", options.out).field("version", options.version);
  json.field("signer", signer->public_key().fingerprint()).end_object();
  session.output().json_line(json.text());
  session.output().line(fmt::format("signed  {}  version {}  by {}", printable(options.out),
                                    options.version, signer->public_key().fingerprint()));
  return 0;
}

}  // namespace

void define_deps_feed(Arguments& app, const std::function<void(Action)>& chosen) {
  Arguments* sub = app.add_subcommand("sign-feed", "sign advisories of your own as a feed");
  const auto options = std::make_shared<FeedOptions>();
  sub->add_option("--from", options->from, "folder of OSV records, JSON or YAML")->required();
  sub->add_option("-o,--output", options->out, "the feed")->required();
  sub->add_option("--version-number", options->version, "rises with each feed")
      ->required()
      ->positive();
  sub->add_option("--key", options->key, "name of the signing key")->required();
  options->passphrase.define(*sub);
  sub->callback([=] {
    chosen([=](Session& session) -> Result<int> {
      MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
      return or_refused(*log, options->key, sign_feed(session, *options, *log));
    });
  });
}

}  // namespace mlxguard::cli
