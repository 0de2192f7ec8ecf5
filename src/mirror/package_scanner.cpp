// SPDX-License-Identifier: Apache-2.0
#include "mirror/package_scanner.h"

#include "mirror/package_inspection.h"

namespace mlxguard::mirror {

struct PackageScanner::Impl {
  PackageScannerOptions options;
  const Clock& clock;
};

PackageScanner::PackageScanner(PackageScannerOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(Impl{std::move(options), clock})) {}
PackageScanner::~PackageScanner() = default;

Result<void> PackageScanner::check_database() const {
  return make_error(ErrorCode::kAdvisoryDatabase, "there is no advisory database here");
}

Judgement PackageScanner::judge_release(std::string_view, std::string_view) const {
  return {{{Verdict::kCouldNotTell, "no-database", "there is no advisory database"}}};
}

std::vector<Advisory> PackageScanner::advisories(std::string_view, std::string_view) const { return {}; }

Judgement PackageScanner::inspect(int fd, std::string_view project, std::string_view filename) const {
  return inspect_package(fd, project, filename).judgement;
}

std::string PackageScanner::inspection_identity() const { return "mlxguard " MLXGUARD_VERSION; }
std::string PackageScanner::description() const { return "no advisory database"; }

}  // namespace mlxguard::mirror
