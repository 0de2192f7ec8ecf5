// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps db`: the advisory database on disk. Parses what anyone may have written; replaces
// the database in one step, or leaves it.
#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "advisories/source.h"
#include "advisories/vex.h"
#include "arguments.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/ec_key.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "key_options.h"
#include "knowledge.h"
#include "progress.h"
#include "record/event.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;
using advisories::DatabaseInfo;
using advisories::Updated;

constexpr std::uint64_t kCatalogBytesMax = 64u << 20;
constexpr std::uint64_t kKeyBytesMax = 64u << 10;

struct UpdateOptions {
  std::string from, sha256, kev, feed, feed_key;
};

void write_info(codec::JsonWriter& json, const DatabaseInfo& info) {
  json.begin_object().field("source", info.source).field("sha256", info.source_sha256);
  json.field("newest", info.newest).field("built", codec::to_rfc3339(info.built_ms));
  json.field("records", static_cast<std::int64_t>(info.records));
  json.field("packages", static_cast<std::int64_t>(info.packages));
  json.field("withdrawn", static_cast<std::int64_t>(info.withdrawn));
  json.field("foreign", static_cast<std::int64_t>(info.foreign));
  json.field("skipped", static_cast<std::int64_t>(info.skipped));
  json.field("version", info.version).field("digest", info.digest).end_object();
}

void print_info(const Output& output, std::string_view what, const DatabaseInfo& info) {
  output.line(fmt::format("{}: {} advisories for {} packages from {}, newest change {}", what,
                          info.records, info.packages, printable(info.source),
                          printable(info.newest)));
  output.line(output.styled(
      Style::kDim, fmt::format("  left out: {} withdrawn, {} of other ecosystems, {} broken",
                               info.withdrawn, info.foreign, info.skipped)));
}

Result<void> log_update(Session& session, std::string_view what, const DatabaseInfo& info) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  record::Event event{.kind = record::Kind::kAdvisoriesUpdated};
  event.set(Attr::kWhat, std::string(what))
      .set(Attr::kSource, info.source)
      .set(Attr::kSha256, info.source_sha256);
  event.set(Attr::kNewest, info.newest).set(Attr::kRecords, info.records);
  event.set(Attr::kSkipped, info.skipped).set(Attr::kDigest, info.digest);
  return log->append(event);
}

Result<void> show(Session& session, std::string_view what, const Updated& updated,
                  codec::JsonWriter& json) {
  MLXGUARD_TRY(log_update(session, what, updated.info));
  json.key(what);
  write_info(json, updated.info);
  print_info(session.output(), what, updated.info);
  for (const advisories::Skipped& one : updated.skipped) {
    session.output().note(fmt::format("skipped {}: {} [{}]", printable(one.item),
                                      printable(one.error.message), name_of(one.error.code)));
  }
  return {};
}

Result<void> take_catalog(Session& session, const fs::path& state, const std::string& file,
                          codec::JsonWriter& json) {
  MLXGUARD_TRY_ASSIGN(const std::string text, inventory::read_file(file, kCatalogBytesMax));
  MLXGUARD_TRY_ASSIGN(const auto entries, advisories::parse_kev(text));
  std::error_code ignored;  // write_file reports what matters
  fs::create_directories(advisories::folder_in(state), ignored);
  MLXGUARD_TRY(inventory::write_file(catalog_file(state), text));
  json.key("exploited").integer(static_cast<std::int64_t>(entries.size()));
  session.output().line(
      fmt::format("exploited: {} vulnerabilities of the catalog", entries.size()));
  return {};
}

Result<int> update(Session& session, const UpdateOptions& options) {
  if (options.from.empty() && options.kev.empty() && options.feed.empty()) {
    return make_error(ErrorCode::kUsage, "expected --from, --feed or --kev")
        .hinting("mlxguard deps db update --from all.zip");
  }
  if (!options.sha256.empty() && options.from.empty()) {
    return make_error(ErrorCode::kUsage, "--sha256 is the digest of the file that --from names");
  }
  if (options.feed.empty() != options.feed_key.empty()) {
    return make_error(ErrorCode::kUsage, "--feed and --feed-key go together: a feed is signed");
  }
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  codec::JsonWriter json;
  json.begin_object();
  if (!options.from.empty()) {
    MLXGUARD_TRY_ASSIGN(const Fetched source, fetch_if_url(session, options.from));
    ProgressLine progress(session.output(), session.clock(), "reading advisories");
    MLXGUARD_TRY_ASSIGN(const Updated updated,
                        advisories::update_database(state, source.path, options.sha256,
                                                    session.clock().now(), progress.callback()));
    progress.finish();
    MLXGUARD_TRY(show(session, "database", updated, json));
  }
  if (!options.feed.empty()) {
    MLXGUARD_TRY_ASSIGN(const std::string pem,
                        inventory::read_file(options.feed_key, kKeyBytesMax));
    MLXGUARD_TRY_ASSIGN(const crypto::EcPublicKey key, crypto::EcPublicKey::from_pem(pem));
    MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
    MLXGUARD_TRY(ring.check_verify(key.fingerprint(), session.clock().now()));
    MLXGUARD_TRY_ASSIGN(const Fetched source, fetch_if_url(session, options.feed));
    MLXGUARD_TRY_ASSIGN(const Updated updated,
                        advisories::update_feed(state, source.path, key, session.clock().now()));
    MLXGUARD_TRY(show(session, "feed", updated, json));
  }
  if (!options.kev.empty()) {
    MLXGUARD_TRY_ASSIGN(const Fetched source, fetch_if_url(session, options.kev));
    MLXGUARD_TRY(take_catalog(session, state, source.path.string(), json));
  }
  json.end_object();
  session.output().json_line(json.text());
  return 0;
}

Result<int> status(Session& session) {
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  MLXGUARD_TRY_ASSIGN(const advisories::Database database,
                      advisories::Database::open(advisories::database_file(state)));
  codec::JsonWriter json;
  json.begin_object().key("database");
  write_info(json, database.info());
  print_info(session.output(), "database", database.info());
  const auto feed = advisories::Database::open(advisories::feed_file(state));
  json.key("feed");
  if (feed) {
    write_info(json, feed->info());
    print_info(session.output(), "feed", feed->info());
  } else {
    json.null();
    session.output().line("feed: none");
  }
  json.end_object();
  session.output().json_line(json.text());
  return 0;
}

}  // namespace

void define_deps_db(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  Arguments* updating =
      app.add_subcommand("update", "take advisories over from a file, folder or URL");
  auto options = std::make_shared<UpdateOptions>();
  updating->add_option("--from", options->from,
                       "the ecosystem's all.zip, a folder of OSV JSON or YAML, or an https URL");
  updating->add_option("--sha256", options->sha256,
                       "the file's digest, compared before it is read");
  updating->add_option("--feed", options->feed, "a signed feed of further advisories");
  updating->add_option("--feed-key", options->feed_key, "the feed's public key (PEM)");
  updating->add_option("--kev", options->kev, "CISA's catalog of exploited vulnerabilities (JSON)");
  updating->callback([=] { chosen([=](Session& session) { return update(session, *options); }); });
  Arguments* showing = app.add_subcommand("status", "what the database holds, and how old it is");
  showing->callback([=] { chosen(status); });
  define_deps_feed(app, chosen);
}

}  // namespace mlxguard::cli
