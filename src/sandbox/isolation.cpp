// SPDX-License-Identifier: Apache-2.0
#include "sandbox/isolation.h"

#include <algorithm>
#include <array>
#include <span>

namespace mlxguard::sandbox {
namespace {

constexpr std::array kMechanismNames{
#define MLXGUARD_MECHANISM_NAME(enumerator, name) std::string_view{name},
    MLXGUARD_MECHANISM_TABLE(MLXGUARD_MECHANISM_NAME)
#undef MLXGUARD_MECHANISM_NAME
};
static_assert(kMechanismNames.size() <= 32, "the mechanisms no longer fit into 32 bits");

constexpr std::array kLevelNames{std::string_view{"none"}, std::string_view{"container"},
                                 std::string_view{"no-cgroup"}, std::string_view{"full"}};

// The floor. Writable-and-executable memory is refused by seccomp too, so the kernel's own switch
// for it (newer than some supported kernels) strengthens a level but does not make one.
constexpr std::array kContainerNeeds{Mechanism::kLandlock, Mechanism::kSeccomp,
                                     Mechanism::kNoNewPrivileges, Mechanism::kNoCapabilities,
                                     Mechanism::kRlimits};
// The user namespace is how an ordinary user gets the others; root may get them without it.
constexpr std::array kNamespaceNeeds{Mechanism::kEmptyRoot, Mechanism::kPidNamespace,
                                     Mechanism::kNetNamespace, Mechanism::kIpcNamespace,
                                     Mechanism::kUtsNamespace};
constexpr std::array kCgroupNeeds{Mechanism::kMemoryLimit, Mechanism::kCpuLimit,
                                  Mechanism::kPidsLimit};

bool has_all(const IsolationReport& report, std::span<const Mechanism> needed) {
  return std::ranges::all_of(needed, [&](Mechanism each) { return report.has(each); });
}

void append_missing(std::string& text, const IsolationReport& report,
                    std::span<const Mechanism> needed) {
  for (const Mechanism each : needed) {
    if (report.has(each)) continue;
    if (!text.empty()) text.append(", ");
    text.append(name_of(each));
    const auto row = std::ranges::find(report.mechanisms(), each, &MechanismReport::mechanism);
    if (row != report.mechanisms().end() && !row->detail.empty()) {
      text.append(" (").append(row->detail).append(")");
    }
  }
}

}  // namespace

std::string_view name_of(Mechanism mechanism) {
  return kMechanismNames.at(static_cast<std::size_t>(mechanism));
}

std::string_view name_of(IsolationLevel level) {
  return kLevelNames.at(static_cast<std::size_t>(level));
}

std::optional<IsolationLevel> find_isolation_level(std::string_view name) {
  const auto found = std::ranges::find(kLevelNames, name);
  if (found == kLevelNames.end()) return std::nullopt;
  return static_cast<IsolationLevel>(found - kLevelNames.begin());
}

void IsolationReport::add_active(Mechanism mechanism, std::string detail) {
  add({mechanism, MechanismState::kActive, std::move(detail)});
}

void IsolationReport::add_unavailable(Mechanism mechanism, std::string why) {
  add({mechanism, MechanismState::kUnavailable, std::move(why)});
}

void IsolationReport::add(MechanismReport row) {
  const auto known = std::ranges::find(mechanisms_, row.mechanism, &MechanismReport::mechanism);
  if (known == mechanisms_.end()) {
    mechanisms_.push_back(std::move(row));
  } else if (known->state != MechanismState::kActive) {
    *known = std::move(row);
  }
}

void IsolationReport::merge(const IsolationReport& other) {
  for (const MechanismReport& row : other.mechanisms_) add(row);
}

bool IsolationReport::has(Mechanism mechanism) const {
  const auto row = std::ranges::find(mechanisms_, mechanism, &MechanismReport::mechanism);
  return row != mechanisms_.end() && row->state == MechanismState::kActive;
}

IsolationLevel IsolationReport::level() const {
  if (!has_all(*this, kContainerNeeds)) return IsolationLevel::kNone;
  if (!has_all(*this, kNamespaceNeeds)) return IsolationLevel::kContainer;
  if (!has_all(*this, kCgroupNeeds)) return IsolationLevel::kNoCgroup;
  return IsolationLevel::kFull;
}

std::uint32_t IsolationReport::bits() const {
  std::uint32_t bits = 0;
  for (const MechanismReport& row : mechanisms_) {
    if (row.state == MechanismState::kActive) bits |= 1u << static_cast<unsigned>(row.mechanism);
  }
  return bits;
}

std::string IsolationReport::to_json() const {
  // The names are our own table's: they need no escaping.
  std::string text = "{";
  for (const MechanismReport& row : mechanisms_) {
    if (text.size() > 1) text += ",";
    text.append("\"").append(name_of(row.mechanism)).append("\":");
    text += row.state == MechanismState::kActive ? "\"active\"" : "\"unavailable\"";
  }
  return text + "}";
}

IsolationReport IsolationReport::from_bits(std::uint32_t bits) {
  IsolationReport report;
  for (unsigned bit = 0; bit < kMechanismNames.size(); ++bit) {
    if ((bits >> bit & 1u) != 0) report.add_active(static_cast<Mechanism>(bit));
  }
  return report;
}

Result<void> require(const IsolationReport& report, IsolationLevel minimum) {
  const IsolationLevel reached = report.level();
  // Below the floor nothing is served, whatever minimum the operator wrote.
  const IsolationLevel needed = std::max(minimum, IsolationLevel::kContainer);
  if (reached >= needed) return {};
  std::string missing;
  append_missing(missing, report, kContainerNeeds);
  if (needed >= IsolationLevel::kNoCgroup) append_missing(missing, report, kNamespaceNeeds);
  if (needed >= IsolationLevel::kFull) append_missing(missing, report, kCgroupNeeds);
  return make_error(ErrorCode::kSandboxLevel,
                    "expected isolation level " + std::string(name_of(needed)) + ", found " +
                        std::string(name_of(reached)) + "; missing: " + missing)
      .compared(std::string(name_of(needed)), std::string(name_of(reached)));
}

Result<void> confirm(const IsolationReport& promised, const IsolationReport& achieved) {
  std::string missing;
  for (const MechanismReport& row : promised.mechanisms()) {
    if (row.state != MechanismState::kActive || achieved.has(row.mechanism)) continue;
    if (!missing.empty()) missing.append(", ");
    missing.append(name_of(row.mechanism));
  }
  if (missing.empty()) return {};
  return make_error(
      ErrorCode::kSandboxLevel,
      "this machine allows mechanisms that the process did not put in place: " + missing);
}

}  // namespace mlxguard::sandbox
