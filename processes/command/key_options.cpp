// SPDX-License-Identifier: Apache-2.0
#include "key_options.h"

#include <charconv>

#include "arguments.h"
#include "base/ascii.h"
#include "codec/text.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kCenturyS = 100LL * 365 * 24 * 3600;
constexpr std::size_t kDateChars = 10;  // 2026-11-23

}  // namespace

Result<crypto::Curve> curve_of(std::string_view text) {
  std::string plain;
  for (const char c : text) {
    if (c != '-') plain.push_back(ascii_lower(c));
  }
  if (plain == "p256") return crypto::Curve::kP256;
  if (plain == "p384") return crypto::Curve::kP384;
  if (plain == "p521") return crypto::Curve::kP521;
  return make_error(ErrorCode::kUsage, "expected the curve p256, p384 or p521");
}

Result<milliseconds> lifetime_of(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::int64_t seconds = 0;
  if (unit == "s") seconds = 1;
  if (unit == "m") seconds = 60;
  if (unit == "h") seconds = 3600;
  if (unit == "d") seconds = 24 * 3600;
  if (unit == "w") seconds = 7 * 24 * 3600;
  if (unit == "y") seconds = 365 * 24 * 3600;
  if (problem != std::errc{} || seconds == 0 || number <= 0 || number > kCenturyS / seconds) {
    return make_error(ErrorCode::kUsage, "expected a lifetime such as 365d, up to 100y");
  }
  return milliseconds(number * seconds * 1000);
}

Result<WallTime> date_of(std::string_view text, DateEdge edge) {
  auto moment = codec::from_rfc3339(text);
  if (!moment) {
    return make_error(ErrorCode::kUsage,
                      "expected a date such as 2027-01-31, or with time in UTC, "
                      "2027-01-31T12:00:00Z")
        .about(std::string(text));
  }
  const WallTime time{milliseconds(*moment)};
  const bool last = edge == DateEdge::kEnd && text.size() == kDateChars;
  return last ? time + std::chrono::days(1) - milliseconds(1) : time;
}

std::string date_text(WallTime time) {
  std::string text = codec::to_rfc3339(time.time_since_epoch().count());
  text.resize(16);  // up to the minute
  text[kDateChars] = ' ';
  return text;
}

void WindowOptions::define(Arguments& app) {
  Argument* lifetime =
      app.add_option("--valid-for", valid_for, "lifetime, such as 365d, 12h, 2y (default: no end)");
  app.add_option("--valid-from", valid_from, "the key is not valid before this date (UTC)");
  app.add_option("--valid-until", valid_until, "last day, or moment, of its validity (UTC)")
      ->excludes(lifetime);
}

Result<trust::NewKey> WindowOptions::make(std::string name, crypto::Curve curve,
                                          WallTime now) const {
  trust::NewKey key{std::move(name), curve, now, now, {}};
  if (!valid_from.empty()) {
    MLXGUARD_TRY_ASSIGN(key.not_before, date_of(valid_from, DateEdge::kBegin));
  }
  if (!valid_for.empty()) {
    MLXGUARD_TRY_ASSIGN(const milliseconds lifetime, lifetime_of(valid_for));
    key.not_after = key.not_before + lifetime;
  }
  if (!valid_until.empty()) {
    MLXGUARD_TRY_ASSIGN(key.not_after, date_of(valid_until, DateEdge::kEnd));
  }
  if (key.not_after && (*key.not_after <= key.not_before || *key.not_after <= now)) {
    return make_error(ErrorCode::kUsage,
                      "expected a validity that ends after it begins, and not yet");
  }
  return key;
}

Result<int> or_refused(record::Sink& log, const std::string& key_name, Result<int> done) {
  if (done) return done;
  record::Event refused = record::event_of(record::Kind::kKeyRefused, done.error());
  refused.set(Attr::kKey, key_name);
  MLXGUARD_TRY(log.append(refused));
  return done;
}

Result<void> log_use(record::Sink& log, const std::string& key_name, const crypto::EcPublicKey& key,
                     std::string_view what_for) {
  record::Event used{.kind = record::Kind::kKeyUsed};
  used.message = "opened to " + std::string(what_for);
  used.set(Attr::kKey, key_name).set(Attr::kFingerprint, key.fingerprint());
  used.set(Attr::kMemoryLocked, crypto::private_memory_is_locked());
  return log.append(used);
}

Result<trust::KeyRing> load_ring(const Session& session) {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  return trust::KeyRing::load(crypto::KeyStore(config.server.state / "keys"),
                              config.trust.public_keys);
}

}  // namespace mlxguard::cli
