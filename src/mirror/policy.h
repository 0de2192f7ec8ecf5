// SPDX-License-Identifier: Apache-2.0
// The mirror's decision about one file: served, blocked (403) or held (423), and why. A pure
// function of the page, the operator's words, the scanner's judgement and the time. Fails closed:
// what no rule lets through is held.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mirror/allow_list.h"
#include "mirror/operator_list.h"
#include "mirror/project_page.h"
#include "mirror/scanner.h"

namespace mlxguard::mirror {

struct PolicyOptions {
  std::chrono::milliseconds cooldown{std::chrono::hours(7 * 24)};
  std::set<Unknown> accepted{};  ///< "could not tell" that the operator accepts, by name
  std::optional<AllowList> allow_list{};
};

enum class Action : std::uint8_t { kServe, kBlock, kHold };
[[nodiscard]] std::string_view name_of(Action action);

struct Decision {
  Action action = Action::kHold;
  ErrorCode code = ErrorCode::kMirrorHeld;  ///< unless it is served
  std::string reason;                       ///< one sentence
  std::vector<Finding> findings;
  Verdict verdict = Verdict::kCouldNotTell;
  std::optional<std::int64_t> until_ms;  ///< when a cooldown ends
  bool by_operator = false;              ///< released or quarantined by name
};

class Policy {
 public:
  explicit Policy(PolicyOptions options) : options_(std::move(options)) {}

  /// `inspection` is what was found in the file; without it only a refusal that needs no look
  /// inside is final, and kServe means "go on and inspect".
  [[nodiscard]] Decision decide(std::string_view project, const ProjectFile& file,
                                const OperatorList& said, const Judgement& release,
                                const Judgement* inspection, WallTime now) const;

  /// Whether the project page shows the file.
  enum class Shown : std::uint8_t { kYes, kInCooldown, kNotAllowed };
  [[nodiscard]] Shown shown(std::string_view project, const ProjectFile& file,
                            const OperatorList& said, WallTime now) const;

  /// When the file is old enough; in the past if it is.
  [[nodiscard]] std::int64_t cooldown_end_ms(const ProjectFile& file) const;
  [[nodiscard]] const PolicyOptions& options() const { return options_; }

 private:
  [[nodiscard]] bool accepted(const Finding& finding) const;
  PolicyOptions options_;
};

}  // namespace mlxguard::mirror
