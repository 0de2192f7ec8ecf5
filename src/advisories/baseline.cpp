// SPDX-License-Identifier: Apache-2.0
#include "advisories/baseline.h"

#include <algorithm>

#include "advisories/scan.h"
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"

namespace mlxguard::advisories {
namespace {

using codec::JsonKind;
using codec::JsonValue;

constexpr std::string_view kFormat = "mlxguard-baseline-1";
constexpr std::int64_t kDayMs = 24ll * 60 * 60 * 1000;
constexpr std::size_t kDateBytes = 10;  // 2026-12-31

Error broken(std::string message) {
  return make_error(ErrorCode::kDepsFile, std::move(message))
      .hinting("mlxguard deps baseline TARGET -o FILE writes one");
}

Result<std::string> text_of(JsonValue object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return std::string();
  if (!value->is(JsonKind::kString)) return broken("expected a text: " + std::string(key));
  return std::string(*value->as_string());
}

/// The end of this day, UTC.
Result<std::int64_t> end_of(const std::string& date) {
  const auto start = date.size() == kDateBytes ? codec::from_rfc3339(date)
                                               : Result<std::int64_t>(broken("no date"));
  if (!start) return broken("expected a date such as 2027-06-30, found " + date);
  return *start + kDayMs;
}

Result<BaselineEntry> read_entry(JsonValue one, std::size_t index) {
  const std::string where = "entry " + std::to_string(index + 1);
  if (!one.is(JsonKind::kObject)) return broken(where + " is no object");
  BaselineEntry entry;
  MLXGUARD_TRY_ASSIGN(entry.package, text_of(one, "package"));
  MLXGUARD_TRY_ASSIGN(entry.id, text_of(one, "id"));
  MLXGUARD_TRY_ASSIGN(entry.unknown, text_of(one, "unknown"));
  MLXGUARD_TRY_ASSIGN(entry.where, text_of(one, "where"));
  MLXGUARD_TRY_ASSIGN(entry.reason, text_of(one, "reason"));
  MLXGUARD_TRY_ASSIGN(entry.author, text_of(one, "author"));
  MLXGUARD_TRY_ASSIGN(entry.expires, text_of(one, "expires"));
  if (entry.id.empty() == entry.unknown.empty()) {
    return broken(where + ": expected either an id or why it could not be told (\"unknown\")");
  }
  if (entry.package.empty() && (entry.unknown.empty() || entry.where.empty())) {
    return broken(where + ": expected a package");
  }
  if (entry.reason.empty() || entry.author.empty() || entry.expires.empty()) {
    return broken(where + ": expected a reason, an author and a day on which it expires");
  }
  auto ends = end_of(entry.expires);
  if (!ends) return std::move(ends).error().with(where);
  entry.ends_ms = *ends;
  return entry;
}

bool names(const BaselineEntry& entry, const Finding& finding) {
  return std::find(finding.ids.begin(), finding.ids.end(), entry.id) != finding.ids.end();
}

/// What is wrong with the database is mended, not accepted for months.
bool is_about_database(Reason reason) {
  return reason == Reason::kNoDatabase || reason == Reason::kOldDatabase ||
         reason == Reason::kEmpty;
}

class Application {
 public:
  Application(const Baseline& baseline, WallTime now)
      : baseline_(baseline),
        now_ms_(now.time_since_epoch().count()),
        used_(baseline.entries.size(), false) {}

  void take(ComponentReport& report) {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const BaselineEntry& entry = baseline_.entries[i];
      if (entry.package != report.component->purl) continue;
      for (Finding& finding : report.findings) {
        if (!entry.id.empty() && names(entry, finding)) accept(i, finding.accepted);
      }
      for (Unknown& unknown : report.unknowns) {
        if (name_of(unknown.reason) != entry.unknown) continue;
        unknown.accepted = accept(i, unknown.acceptance) || unknown.accepted;
      }
    }
  }

  void take(Unknown& unknown) {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const BaselineEntry& entry = baseline_.entries[i];
      const bool named = entry.package.empty() && entry.unknown == name_of(unknown.reason) &&
                         entry.where == unknown.text;
      if (named && !is_about_database(unknown.reason)) {
        unknown.accepted = accept(i, unknown.acceptance) || unknown.accepted;
      }
    }
  }

  BaselineUse finish() const {
    BaselineUse use;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const BaselineEntry& entry = baseline_.entries[i];
      if (now_ms_ >= entry.ends_ms) {
        use.expired.push_back(&entry);
      } else if (!used_[i]) {
        use.unused.push_back(&entry);
      } else {
        ++use.used;
      }
    }
    return use;
  }

 private:
  bool accept(std::size_t index, std::optional<Acceptance>& acceptance) {
    const BaselineEntry& entry = baseline_.entries[index];
    used_[index] = true;
    if (now_ms_ >= entry.ends_ms) return false;
    acceptance = Acceptance{entry.reason, entry.author, entry.expires};
    return true;
  }

  const Baseline& baseline_;
  std::int64_t now_ms_;
  std::vector<bool> used_;
};

}  // namespace

Result<Baseline> parse_baseline(std::string_view json) {
  auto document = codec::JsonDocument::parse(json, {limits::kDepsFileBytesMax, 32});
  if (!document) return broken("not JSON: " + document.error().message);
  const JsonValue root = document->root();
  if (!root.is(JsonKind::kObject)) return broken("expected an object");
  MLXGUARD_TRY_ASSIGN(const std::string format, text_of(root, "format"));
  const auto entries = root.find("entries");
  if (format != kFormat || !entries || !entries->is(JsonKind::kArray)) {
    return broken("expected \"format\": \"" + std::string(kFormat) + "\" and \"entries\"");
  }
  Baseline baseline;
  MLXGUARD_TRY(entries->each_element([&](std::size_t index, JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(BaselineEntry entry, read_entry(one, index));
    baseline.entries.push_back(std::move(entry));
    return {};
  }));
  return baseline;
}

std::string write_baseline(const Baseline& baseline) {
  std::string out = "{\n\"format\": \"" + std::string(kFormat) + "\",\n\"entries\": [";
  bool first = true;
  for (const BaselineEntry& entry : baseline.entries) {
    codec::JsonWriter json;
    json.begin_object();
    if (!entry.package.empty()) json.field("package", entry.package);
    if (!entry.id.empty()) json.field("id", entry.id);
    if (!entry.unknown.empty()) json.field("unknown", entry.unknown);
    if (!entry.where.empty()) json.field("where", entry.where);
    json.field("reason", entry.reason).field("author", entry.author);
    json.field("expires", entry.expires).end_object();
    out += (first ? "\n" : ",\n") + std::move(json).take();
    first = false;
  }
  return out + "\n]\n}\n";
}

Result<Baseline> baseline_of(const Report& report, const BaselineTerms& terms, WallTime now) {
  const auto ends = end_of(terms.expires);
  if (!ends || *ends <= now.time_since_epoch().count()) {
    return make_error(ErrorCode::kUsage, "expected a day to come after --expires, found " +
                                             terms.expires)
        .hinting("write the day as 2027-06-30");
  }
  if (terms.reason.empty() || terms.author.empty()) {
    return make_error(ErrorCode::kUsage, "expected words after --reason and --author");
  }
  Baseline baseline;
  const auto add = [&](BaselineEntry entry) {
    entry.reason = terms.reason;
    entry.author = terms.author;
    entry.expires = terms.expires;
    entry.ends_ms = *ends;
    baseline.entries.push_back(std::move(entry));
  };
  for (const ComponentReport& one : report.components) {
    const std::string& purl = one.component->purl;
    for (const Finding& finding : one.findings) {
      if (!finding.suppressed) add({.package = purl, .id = finding.id});
    }
    std::vector<std::string_view> reasons;
    for (const Unknown& unknown : one.unknowns) {
      const auto name = name_of(unknown.reason);
      if (std::find(reasons.begin(), reasons.end(), name) != reasons.end()) continue;
      reasons.push_back(name);
      add({.package = purl, .unknown = std::string(name)});
    }
  }
  for (const Unknown& unknown : report.unknowns) {
    if (is_about_database(unknown.reason)) continue;
    add({.unknown = std::string(name_of(unknown.reason)), .where = unknown.text});
  }
  return baseline;
}

BaselineUse apply_baseline(const Baseline& baseline, Report& report, WallTime now) {
  Application application(baseline, now);
  for (ComponentReport& one : report.components) {
    application.take(one);
    conclude(one);
  }
  for (Unknown& unknown : report.unknowns) application.take(unknown);
  conclude(report);
  return application.finish();
}

}  // namespace mlxguard::advisories
