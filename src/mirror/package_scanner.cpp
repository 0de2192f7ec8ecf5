// SPDX-License-Identifier: Apache-2.0
#include "mirror/package_scanner.h"

#include <sys/stat.h>

#include <mutex>
#include <optional>

#include "advisories/scan.h"
#include "inventory/vendored.h"
#include "mirror/package_inspection.h"
#include "packaging/purl.h"

namespace mlxguard::mirror {
namespace {

namespace fs = std::filesystem;

/// Which file is open: another one, and the database is opened again.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

std::optional<FileIdentity> identity_of(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino,
                      std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

/// One set of databases; kept by whoever asks while a newer one takes its place.
struct Databases {
  std::optional<FileIdentity> osv_file, feed_file;
  std::optional<advisories::Database> osv, feed;
  std::optional<Error> problem;  ///< a database that is there and cannot be used

  [[nodiscard]] advisories::Knowledge knowledge() const {
    return {osv ? &*osv : nullptr, feed ? &*feed : nullptr, {}, {}};
  }
};

Unknown unknown_of(advisories::Reason reason) {
  switch (reason) {
    case advisories::Reason::kNoDatabase:
      return Unknown::kNoDatabase;
    case advisories::Reason::kOldDatabase:
      return Unknown::kOldDatabase;
    case advisories::Reason::kUnlisted:
      return Unknown::kUnlisted;
    case advisories::Reason::kNoVersion:
    case advisories::Reason::kVersion:
      return Unknown::kVersion;
    case advisories::Reason::kRange:
      return Unknown::kRange;
    case advisories::Reason::kEmpty:
    case advisories::Reason::kNativePart:
    case advisories::Reason::kUnreadable:
      return Unknown::kNativePart;
  }
  return Unknown::kFormat;
}

Finding could_not_tell(Unknown why, std::string text) {
  return {Verdict::kCouldNotTell, std::string(unknown_rows()[static_cast<std::size_t>(why)].name),
          std::move(text)};
}

void take_over(const advisories::ComponentReport& report, Judgement& judgement) {
  for (const advisories::Finding& finding : report.findings) {
    judgement.findings.push_back(
        {Verdict::kVulnerable, finding.id, finding.summary.empty() ? finding.id : finding.summary});
  }
  for (const advisories::Unknown& unknown : report.unknowns) {
    judgement.findings.push_back(
        could_not_tell(unknown_of(unknown.reason), report.component->name + ": " + unknown.text));
  }
}

inventory::Component release_of(std::string_view project, std::string_view version) {
  inventory::Component component;
  component.name = project;
  component.version = version;
  component.purl = packaging::pypi_purl(project, version);
  return component;
}

}  // namespace

struct PackageScanner::Impl {
  Impl(PackageScannerOptions wanted, const Clock& time) : options(std::move(wanted)), clock(time) {}
  PackageScannerOptions options;
  const Clock& clock;
  mutable std::mutex mutex;
  mutable std::shared_ptr<const Databases> opened;

  /// The databases as they are now; the same ones as long as their files are the same.
  [[nodiscard]] std::shared_ptr<const Databases> databases() const {
    const fs::path osv = advisories::database_file(options.state);
    const fs::path feed = advisories::feed_file(options.state);
    const auto osv_identity = identity_of(osv);
    const auto feed_identity = identity_of(feed);
    const std::scoped_lock lock(mutex);
    if (opened != nullptr && opened->osv_file == osv_identity &&
        opened->feed_file == feed_identity) {
      return opened;
    }
    auto fresh = std::make_shared<Databases>();
    fresh->osv_file = osv_identity;
    fresh->feed_file = feed_identity;
    const auto open = [&](const fs::path& file, std::optional<advisories::Database>& into) {
      auto database = advisories::Database::open(file);
      if (database)
        into = *std::move(database);
      else
        fresh->problem = std::move(database).error();
    };
    if (osv_identity) open(osv, fresh->osv);
    if (feed_identity) open(feed, fresh->feed);
    opened = fresh;
    return opened;
  }
};

PackageScanner::PackageScanner(PackageScannerOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}
PackageScanner::~PackageScanner() = default;

Result<void> PackageScanner::check_database() const {
  const auto now = impl_->databases();
  if (now->problem) return *now->problem;
  if (!now->osv) {
    return make_error(ErrorCode::kAdvisoryDatabase, "there is no advisory database here");
  }
  return advisories::check_age(now->osv->info(), impl_->options.database_age_max,
                               impl_->clock.now());
}

bool PackageScanner::is_damaged() const { return impl_->databases()->problem.has_value(); }

Judgement PackageScanner::judge_release(std::string_view project, std::string_view version) const {
  Judgement judgement;
  const auto databases = impl_->databases();
  if (databases->problem) {
    // Not one of the reasons that can be accepted: there is a database, and what it says is lost.
    judgement.findings.push_back(
        {Verdict::kCouldNotTell, "damaged-database", databases->problem->message});
  } else if (auto usable = check_database(); !usable) {
    const bool old = usable.error().code == ErrorCode::kAdvisoryTooOld;
    judgement.findings.push_back(
        could_not_tell(old ? Unknown::kOldDatabase : Unknown::kNoDatabase, usable.error().message));
  }
  // Whatever is there is asked all the same: a feed knows vulnerabilities without a database.
  if (!databases->osv && !databases->feed) return judgement;
  const inventory::Component component = release_of(project, version);
  auto report = advisories::judge(component, databases->knowledge(), {});
  if (!report) {
    judgement.findings.push_back(could_not_tell(Unknown::kNoDatabase, report.error().message));
    return judgement;
  }
  take_over(*report, judgement);
  return judgement;
}

std::vector<Advisory> PackageScanner::advisories(std::string_view project,
                                                 std::string_view version) const {
  std::vector<Advisory> out;
  const auto databases = impl_->databases();
  const inventory::Component component = release_of(project, version);
  const auto report = advisories::judge(component, databases->knowledge(), {});
  if (!report) return out;
  for (const advisories::Finding& finding : report->findings) {
    Advisory advisory{finding.id,       {},          finding.summary, finding.details,
                      finding.fixed_in, finding.link};
    for (const std::string& id : finding.ids) {
      if (id != finding.id) advisory.aliases.push_back(id);
    }
    out.push_back(std::move(advisory));
  }
  return out;
}

Judgement PackageScanner::inspect(int fd, std::string_view project,
                                  std::string_view filename) const {
  PackageInspection inspection = inspect_package(fd, project, filename);
  const auto databases = impl_->databases();
  if (!databases->osv && !databases->feed) return std::move(inspection.judgement);
  // The libraries and copies of packages inside, compared with the same advisories; the package
  // itself is judge_release()'s.
  for (const inventory::Component& component : inspection.contents.components) {
    const bool inside = component.kind == inventory::Component::Kind::kNative ||
                        inventory::is_vendored(component);
    if (!inside) continue;
    const auto report = advisories::judge(component, databases->knowledge(), {});
    if (!report) {
      inspection.judgement.findings.push_back(
          could_not_tell(Unknown::kNativePart, report.error().message));
    } else {
      take_over(*report, inspection.judgement);
    }
  }
  return std::move(inspection.judgement);
}

std::string PackageScanner::inspection_identity() const {
  const auto databases = impl_->databases();
  return "mlxguard " MLXGUARD_VERSION " " +
         (databases->osv ? databases->osv->info().digest : "none") + " " +
         (databases->feed ? databases->feed->info().digest : "none");
}

std::string PackageScanner::description() const {
  const auto databases = impl_->databases();
  if (databases->problem) return databases->problem->message;
  if (!databases->osv) return "no advisory database";
  const advisories::DatabaseInfo& info = databases->osv->info();
  return std::to_string(info.records) + " advisories of " + info.source + ", newest change " +
         info.newest;
}

}  // namespace mlxguard::mirror
