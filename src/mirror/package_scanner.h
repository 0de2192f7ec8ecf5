// SPDX-License-Identifier: Apache-2.0
// PackageScanner: the Scanner that asks the advisory database of this state folder and opens wheels
// and source distributions. Fails closed: what it cannot open is quarantined if it is malformed,
// and "could not tell" if it is of a kind that it does not know.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "mirror/scanner.h"

namespace mlxguard::mirror {

struct PackageScannerOptions {
  std::filesystem::path state;
  std::chrono::milliseconds database_age_max{std::chrono::hours(30 * 24)};
};

class PackageScanner final : public Scanner {
 public:
  PackageScanner(PackageScannerOptions options, const Clock& clock);
  ~PackageScanner() override;

  /// kAdvisoryDatabase if there is none; what it says otherwise. The database is opened again when
  /// it was replaced.
  [[nodiscard]] Result<void> check_database() const;
  /// A database or feed that is there and cannot be used. No acceptance makes up for that.
  [[nodiscard]] bool is_damaged() const;

  [[nodiscard]] Judgement judge_release(std::string_view project,
                                        std::string_view version) const override;
  [[nodiscard]] std::vector<Advisory> advisories(std::string_view project,
                                                 std::string_view version) const override;
  [[nodiscard]] Judgement inspect(int fd, std::string_view project,
                                  std::string_view filename) const override;
  [[nodiscard]] std::string inspection_identity() const override;
  [[nodiscard]] std::string description() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::mirror
