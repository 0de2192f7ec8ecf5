// SPDX-License-Identifier: Apache-2.0
// mlxguard deps watch: scans again on a schedule, and whenever the advisory database changes. Only
// what is new becomes an event; what was seen is kept in the state folder, replaced as a whole.
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "advisories/accepted_names.h"
#include "advisories/database.h"
#include "arguments.h"
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "inventory/read.h"
#include "key_options.h"
#include "knowledge.h"
#include "log/files.h"
#include "record/event.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;
using advisories::ComponentReport;
using advisories::Report;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kPollInterval{2};  // of the database's files

struct Options {
  std::string target = ".";
  std::vector<std::string> vex, accepted;
  std::string interval = "1d", max_age = "30d";
  bool once = false;
};

/// One thing that a scan found, and its name across scans.
struct Sighting {
  std::string key;
  record::Event event;
  std::string words;
};

struct Round {
  std::vector<Sighting> fresh;
  std::set<std::string> seen;
  std::size_t gone = 0;
};

record::Event event_of(record::Kind kind, ErrorCode code, const std::string& words) {
  return record::event_of(kind, make_error(code, words));
}

void gather(const ComponentReport& one, std::vector<Sighting>& all) {
  const std::string& purl = one.component->purl;
  for (const advisories::Finding& finding : one.findings) {
    if (!finding.is_open()) continue;
    auto event = event_of(record::Kind::kDepsVulnerable, ErrorCode::kDepsVulnerable,
                          "a dependency has a known vulnerability");
    event.set(Attr::kAdvisory, finding.id).set(Attr::kPackage, purl);
    event.set(Attr::kFixedIn, finding.fixed_in.empty() ? std::string() : finding.fixed_in.front());
    all.push_back({purl + "|" + finding.id, std::move(event), purl + ": " + finding.id});
  }
  for (const advisories::Unknown& unknown : one.unknowns) {
    if (unknown.accepted) continue;
    const std::string reason(name_of(unknown.reason));
    auto event = event_of(record::Kind::kDepsUnknown, ErrorCode::kDepsUnknown, unknown.text);
    event.set(Attr::kPackage, purl).set(Attr::kReason, reason);
    all.push_back({purl + "|?" + reason, std::move(event), purl + ": could not tell, " + reason});
  }
}

std::vector<Sighting> sightings_of(const Report& report) {
  std::vector<Sighting> all;
  for (const advisories::Unknown& unknown : report.unknowns) {
    if (unknown.accepted) continue;
    const std::string reason(name_of(unknown.reason));
    auto event = event_of(record::Kind::kDepsUnknown, ErrorCode::kDepsUnknown, unknown.text);
    event.set(Attr::kReason, reason);
    all.push_back({"|?" + reason, std::move(event), unknown.text});
  }
  for (const ComponentReport& one : report.components) gather(one, all);
  for (const inventory::Observation* one : report.observations) {
    auto event = record::event_of(record::Kind::kDepsUnknown, one->error);
    event.set(Attr::kPackage, one->component).set(Attr::kFile, one->where);
    all.push_back({one->component + "|!" + one->where + "|" + one->error.message, std::move(event),
                   one->where + ": " + one->error.message});
  }
  return all;
}

Result<std::vector<Sighting>> look(Session& session, const Options& options, bool first) {
  advisories::ScanOptions scan_options;
  MLXGUARD_TRY_ASSIGN(scan_options.age_max, lifetime_of(options.max_age));
  MLXGUARD_TRY_ASSIGN(const LoadedKnowledge loaded, load_knowledge(session, options.vex, ""));
  MLXGUARD_TRY_ASSIGN(const inventory::Inventory inventory,
                      inventory::read_inventory(options.target));
  MLXGUARD_TRY_ASSIGN(scan_options.accepted,
                      advisories::accepted_names(options.accepted, inventory,
                                                 first ? advisories::OtherNames::kRefused
                                                       : advisories::OtherNames::kIgnored));
  MLXGUARD_TRY_ASSIGN(const Report report, advisories::scan(inventory, loaded.view(), scan_options,
                                                            session.clock().now()));
  return sightings_of(report);
}

fs::path memory_file(const fs::path& state, const std::string& target) {
  std::error_code ignored;
  const std::string place = fs::weakly_canonical(target, ignored).string();
  return state / "watch" / (codec::to_hex(crypto::sha256(as_bytes(place))).substr(0, 32) + ".json");
}

Result<std::set<std::string>> remembered(const fs::path& file) {
  std::set<std::string> seen;
  const auto text = inventory::read_file(file, limits::kDepsFileBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return seen;
  if (!text) return text.error();
  MLXGUARD_TRY_ASSIGN(const auto document, codec::JsonDocument::parse(*text));
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue keys, document.root().member("seen"));
  MLXGUARD_TRY(keys.each_element([&](std::size_t, codec::JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view key, one.as_string("seen"));
    seen.emplace(key);
    return {};
  }));
  return seen;
}

Result<void> remember(const fs::path& file, const std::string& target,
                      const std::set<std::string>& seen) {
  codec::JsonWriter json;
  json.begin_object().field("target", target).key("seen").begin_array();
  for (const std::string& key : seen) json.string(key);
  json.end_array().end_object();
  return inventory::write_file(file, json.text() + "\n");
}

/// Each vulnerability is an event; all else that is new about one package is one event together.
std::vector<record::Event> events_of(const std::vector<Sighting>& fresh) {
  std::vector<record::Event> events;
  std::map<std::string, std::vector<const Sighting*>> others;
  for (const Sighting& one : fresh) {
    if (one.event.kind == record::Kind::kDepsVulnerable) {
      events.push_back(one.event);
    } else {
      others[one.key.substr(0, one.key.find('|'))].push_back(&one);
    }
  }
  for (const auto& [package, all] : others) {
    record::Event event = all.front()->event;
    if (all.size() > 1) {
      event.message += fmt::format(" (and {} more of this package)", all.size() - 1);
    }
    events.push_back(std::move(event));
  }
  return events;
}

/// One scan. Events first, then the memory: a crash between them repeats an event, and loses none.
Result<Round> watch_once(Session& session, const Options& options, bool first) {
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  const fs::path file = memory_file(state, options.target);
  // One at a time of those who watch the same: what one has told, the other knows.
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);  // opening the lock reports what matters
  MLXGUARD_TRY_ASSIGN(log::FileLock lock, log::FileLock::open(file.string() + ".lock"));
  MLXGUARD_TRY_ASSIGN(const auto guard,
                      log::LockGuard::take(lock, log::FileLock::Mode::kExclusive));
  auto before = remembered(file);
  if (!before) {  // damaged: everything is new once more
    session.output().note("what was seen before could not be read: " + before.error().message);
    before = std::set<std::string>();
  }
  auto found = look(session, options, first);
  // A name that means nothing is a mistake of the command line; later, its package may have gone.
  if (!found && first && found.error().code == ErrorCode::kUsage) return std::move(found).error();
  std::vector<Sighting> all;
  if (found) {
    all = *std::move(found);
  } else {
    // A scan that cannot be made is a sighting too, and what was seen before is not forgotten for
    // it.
    auto event = record::event_of(record::Kind::kDepsUnknown, found.error());
    event.set(Attr::kRoot, options.target);
    const std::string key = "|!" + std::string(name_of(found.error().code));
    all.push_back({key, std::move(event), found.error().message});
  }
  Round round;
  if (!found) round.seen = *before;
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  for (Sighting& one : all) {
    if (!round.seen.insert(one.key).second || before->contains(one.key)) continue;
    round.fresh.push_back(std::move(one));
  }
  std::vector<record::Event> events = events_of(round.fresh);
  for (const std::string& key : *before) round.gone += round.seen.contains(key) ? 0 : 1;
  if (found) {
    record::Event event{.kind = record::Kind::kDepsScanned};
    event.message = "watched";
    event.set(Attr::kRoot, options.target)
        .set(Attr::kNew, round.fresh.size())
        .set(Attr::kGone, round.gone)
        .set(Attr::kKnown, round.seen.size());
    events.push_back(std::move(event));
  }
  MLXGUARD_TRY(log->append_all(events));
  MLXGUARD_TRY(session.close());  // the log is for others, until the next round
  MLXGUARD_TRY(remember(file, options.target, round.seen));
  return round;
}

void print(const Output& output, const Round& round) {
  codec::JsonWriter json;
  json.begin_object().key("new").begin_array();
  for (const Sighting& one : round.fresh) json.string(one.words);
  json.end_array().field("gone", static_cast<std::int64_t>(round.gone));
  json.field("known", static_cast<std::int64_t>(round.seen.size())).end_object();
  output.json_line(json.text());
  for (const Sighting& one : round.fresh) {
    output.line(output.styled(Style::kBad, "new") + "  " + printable(one.words));
  }
  output.line(
      fmt::format("{} new, {} gone, {} known", round.fresh.size(), round.gone, round.seen.size()));
}

/// Of the files that a database is: replaced by renaming, so that a new one has another inode.
std::string state_of_databases(const fs::path& state) {
  std::string all;
  for (const fs::path& file :
       {advisories::database_file(state), advisories::feed_file(state), catalog_file(state)}) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) {
      all += "-;";
      continue;
    }
    all += fmt::format("{}.{}.{}.{};", status.st_ino, status.st_size, status.st_mtim.tv_sec,
                       status.st_mtim.tv_nsec);
  }
  return all;
}

Result<int> run(Session& session, const Options& options) {
  MLXGUARD_TRY_ASSIGN(const milliseconds interval, lifetime_of(options.interval));
  MLXGUARD_TRY_ASSIGN(const fs::path state, session.state());
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  if (!options.once) ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (bool first = true;; first = false) {
    const std::string databases = state_of_databases(state);
    const auto started = std::chrono::steady_clock::now();
    MLXGUARD_TRY_ASSIGN(const Round round, watch_once(session, options, first));
    print(session.output(), round);
    if (options.once) return round.seen.empty() ? 0 : 1;
    for (bool due = false; !due;) {
      const timespec wait{kPollInterval.count(), 0};
      if (::sigtimedwait(&signals, nullptr, &wait) > 0) return 0;
      due = std::chrono::steady_clock::now() - started >= interval ||
            state_of_databases(state) != databases;
    }
  }
}

}  // namespace

void define_deps_watch(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  app.add_option("TARGET", options->target, "what deps scan takes (the current folder)");
  app.add_option("--interval", options->interval,
                 "time between scans; a changed database is one at once")
      ->capture_default_str();
  app.add_flag("--once", options->once, "one scan; exit 1 while anything is known");
  app.add_option("--vex", options->vex, "OpenVEX document that suppresses findings")
      ->allow_extra_args(false);
  app.add_option("--accept", options->accepted, "as for deps scan")->allow_extra_args(false);
  app.add_option("--max-age", options->max_age, "an older database could not tell")
      ->capture_default_str();
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
