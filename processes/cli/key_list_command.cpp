// SPDX-License-Identifier: Apache-2.0
// `mlxguard key list` and `key show`: what is known about each key, and whether it may be relied
// on.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "arguments.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key_store.h"
#include "key_options.h"

namespace mlxguard::cli {
namespace {

constexpr std::size_t kFingerprintShown = 16;

std::string rfc3339(WallTime time) { return codec::to_rfc3339(time.time_since_epoch().count()); }

/// "3 d", "5 h", "12 min".
std::string age_text(WallTime since, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
  if (seconds < 0) return "future";
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / (24 * 3600));
}

struct Row {
  const trust::RingKey* key = nullptr;
  std::string kind;  ///< "file", "token", or "public" where the private half is not here
  trust::KeyState state = trust::KeyState::kActive;
  std::string successor;  ///< name of the key that replaced it, or its fingerprint
  std::optional<trust::UseCount> uses;
  std::string problem;  ///< of the use count

  [[nodiscard]] std::string state_text() const {
    std::string text(trust::name_of(state));
    std::replace(text.begin(), text.end(), '_', ' ');
    return successor.empty() ? text : text + " -> " + successor;
  }
};

Row row_of(const trust::RingKey& key, const trust::KeyRing& ring, const crypto::KeyStore& store,
           WallTime now) {
  Row row;
  row.key = &key;
  const bool token = key.status.record && key.status.record->kind == trust::KeyKind::kToken;
  row.kind = token ? "token" : store.has_private_key(key.name) ? "file" : "public";
  row.state = key.status.state(now);
  if (key.status.rotation) {
    const std::string& successor = key.status.rotation->new_key.fingerprint();
    const trust::RingKey* known = ring.find(successor);
    row.successor = known != nullptr ? known->name : successor.substr(0, kFingerprintShown);
  }
  if (row.kind == "public") return row;
  if (auto uses = trust::use_count(store, key)) {
    row.uses = *uses;
  } else {
    row.problem = uses.error().message;
  }
  return row;
}

void write_optional(codec::JsonWriter& json, std::string_view name,
                    const std::optional<WallTime>& time) {
  json.key(name);
  if (time) {
    json.string(rfc3339(*time));
  } else {
    json.null();
  }
}

void write_row(codec::JsonWriter& json, const Row& row, WallTime now) {
  const trust::KeyStatus& status = row.key->status;
  json.begin_object().field("name", row.key->name).field("kind", row.kind);
  json.field("curve", crypto::name_of(row.key->key.curve()));
  json.field("fingerprint", row.key->key.fingerprint());
  json.field("state", trust::name_of(row.state));
  write_optional(json, "created",
                 status.record ? std::optional(status.record->created) : std::nullopt);
  json.key("age_days");
  if (status.record) {
    json.number(
        std::chrono::duration<double, std::ratio<86400>>(now - status.record->created).count());
  } else {
    json.null();
  }
  write_optional(json, "not_before",
                 status.record ? std::optional(status.record->not_before) : std::nullopt);
  write_optional(json, "not_after", status.not_after());
  json.key("uses");
  if (row.uses) {
    json.unsigned_integer(row.uses->uses);
  } else {
    json.null();
  }
  write_optional(json, "last_used", row.uses ? row.uses->last : std::nullopt);
  if (!row.problem.empty()) json.field("uses_problem", row.problem);
  if (status.rotation) {
    json.field("successor", row.successor);
    json.field("successor_fingerprint", status.rotation->new_key.fingerprint());
  }
  if (status.revocation) {
    json.field("revoked", rfc3339(status.revocation->at));
    json.field("reason", status.revocation->reason);
    json.field("revoked_by", status.revocation->signer);
  }
  if (status.record && !status.record->token_uri.empty()) {
    json.field("token_uri", status.record->token_uri);
  }
  json.end_object();
}

std::string uses_text(const Row& row) {
  if (row.uses) return std::to_string(row.uses->uses);
  return row.problem.empty() ? "-" : "?";
}

Style style_of(trust::KeyState state) {
  if (state == trust::KeyState::kActive) return Style::kGood;
  return state == trust::KeyState::kRotated ? Style::kWarn : Style::kBad;
}

void print_table(const Output& output, const std::vector<Row>& rows, WallTime now) {
  constexpr std::array<std::string_view, 8> kHeads{"NAME", "KIND", "CURVE",   "STATE",
                                                   "AGE",  "USES", "EXPIRES", "FINGERPRINT"};
  std::vector<std::array<std::string, 8>> cells;
  for (const Row& row : rows) {
    const trust::KeyStatus& status = row.key->status;
    cells.push_back({printable(row.key->name), row.kind,
                     std::string(crypto::name_of(row.key->key.curve())), row.state_text(),
                     status.record ? age_text(status.record->created, now) : "-", uses_text(row),
                     status.not_after() ? date_text(*status.not_after()) : "never",
                     row.key->key.fingerprint().substr(0, kFingerprintShown)});
  }
  std::array<std::size_t, 8> widths{};
  for (std::size_t i = 0; i < kHeads.size(); ++i) {
    widths[i] = kHeads[i].size();
    for (const auto& line : cells) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string head;
  for (std::size_t i = 0; i < kHeads.size(); ++i) {
    head += fmt::format("{:<{}}", kHeads[i], widths[i] + (i + 1 < kHeads.size() ? 2 : 0));
  }
  output.line(output.styled(Style::kDim, head));
  for (std::size_t r = 0; r < cells.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < kHeads.size(); ++i) {
      const std::string padded =
          fmt::format("{:<{}}", cells[r][i], widths[i] + (i + 1 < kHeads.size() ? 2 : 0));
      line += i == 3 ? output.styled(style_of(rows[r].state), padded) : padded;
    }
    output.line(line);
  }
}

Result<int> list_keys(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  const WallTime now = session.clock().now();
  std::vector<Row> rows;
  for (const trust::RingKey& key : ring.keys()) rows.push_back(row_of(key, ring, store, now));
  codec::JsonWriter json;
  json.begin_object().key("keys").begin_array();
  for (const Row& row : rows) write_row(json, row, now);
  json.end_array().key("revocations_version").unsigned_integer(ring.revocations().version());
  json.end_object();
  session.output().json_line(json.text());
  if (rows.empty()) {
    session.output().line("no keys in " + folder.string() + "; make one: mlxguard key new NAME");
    return 0;
  }
  print_table(session.output(), rows, now);
  for (const Row& row : rows) {
    if (!row.problem.empty()) session.output().note(row.key->name + ".uses: " + row.problem);
  }
  return 0;
}

void print_key(const Output& output, const Row& row, WallTime now) {
  const trust::KeyStatus& status = row.key->status;
  const auto line = [&](std::string_view name, const std::string& value) {
    output.line(fmt::format("  {:<12} {}", name, printable(value)));
  };
  output.line("key " + output.styled(Style::kBold, printable(row.key->name)));
  line("kind", row.kind);
  line("curve", std::string(crypto::name_of(row.key->key.curve())));
  line("fingerprint", row.key->key.fingerprint());
  line("state", row.state_text());
  if (status.record) {
    line("created", date_text(status.record->created) + " UTC, " +
                        age_text(status.record->created, now) + " ago");
    line("valid from", date_text(status.record->not_before) + " UTC");
  }
  line("valid until", status.not_after() ? date_text(*status.not_after()) + " UTC" : "no end");
  line("uses",
       uses_text(row) +
           (row.uses && row.uses->last ? ", last " + date_text(*row.uses->last) + " UTC" : ""));
  if (!row.problem.empty()) line("", row.problem);
  if (status.rotation) line("successor", status.rotation->new_key.fingerprint());
  if (status.revocation) {
    line("revoked", date_text(status.revocation->at) + " UTC by " + status.revocation->signer);
    line("reason", status.revocation->reason.empty() ? "none given" : status.revocation->reason);
  }
  if (status.record && !status.record->token_uri.empty()) line("token", status.record->token_uri);
}

Result<int> show_key(Session& session, const std::string& name) {
  MLXGUARD_TRY(crypto::check_key_name(name));
  MLXGUARD_TRY_ASSIGN(const auto folder, session.keys_folder());
  const crypto::KeyStore store(folder);
  MLXGUARD_TRY_ASSIGN(const trust::KeyRing ring, load_ring(session));
  const trust::RingKey* key = ring.find_name(name);
  if (key == nullptr) {
    return make_error(ErrorCode::kKeyNotFound, "no key of this name")
        .about(name)
        .hinting("`mlxguard key list` shows the keys there are");
  }
  const WallTime now = session.clock().now();
  const Row row = row_of(*key, ring, store, now);
  codec::JsonWriter json;
  write_row(json, row, now);
  session.output().json_line(json.text());
  print_key(session.output(), row, now);
  return 0;
}

}  // namespace

void define_key_list(Arguments& app, const std::function<void(Action)>& chosen) {
  Arguments* list = app.add_subcommand("list", "list the keys here: state, age, uses, expiry");
  list->callback([=] { chosen(list_keys); });
  const auto name = std::make_shared<std::string>();
  Arguments* show = app.add_subcommand("show", "all that is known about one key");
  show->add_option("NAME", *name, "name of the key")->required();
  show->callback([=] { chosen([=](Session& session) { return show_key(session, *name); }); });
}

}  // namespace mlxguard::cli
