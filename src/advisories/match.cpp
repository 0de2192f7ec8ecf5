// SPDX-License-Identifier: Apache-2.0
#include "advisories/match.h"

#include <algorithm>

#include "packaging/version.h"

namespace mlxguard::advisories {
namespace {

using packaging::Version;

/// An event with its version; none: "0", which is before every version.
struct Bound {
  Event::Kind kind;
  std::optional<Version> version;
  std::string text;
};

bool before(const Bound& left, const Bound& right) {
  if (left.version.has_value() != right.version.has_value()) return !left.version.has_value();
  if (left.version && *left.version != *right.version) return *left.version < *right.version;
  return false;  // equal ones stay in their order
}

/// The range's events in order, or nothing if one of them is no version, or nothing begins the
/// range.
std::optional<std::vector<Bound>> bounds_of(const Range& range) {
  std::vector<Bound> bounds;
  bool begins = false;
  for (const Event& event : range.events) {
    begins = begins || event.kind == Event::Kind::kIntroduced;
    if (event.kind == Event::Kind::kLimit && event.version == "*") {
      bounds.push_back({event.kind, std::nullopt, event.version});
      continue;
    }
    if (event.kind == Event::Kind::kIntroduced && event.version == "0") {
      bounds.push_back({event.kind, std::nullopt, event.version});
      continue;
    }
    auto version = Version::parse(event.version);
    if (!version) return std::nullopt;
    bounds.push_back({event.kind, *std::move(version), event.version});
  }
  if (!begins) return std::nullopt;
  std::stable_sort(bounds.begin(), bounds.end(), before);
  return bounds;
}

/// The schema's "BeforeLimits": no limit at all, or below any of them; "*" is beyond every version.
bool before_limits(const std::vector<Bound>& bounds, const Version& version) {
  bool limited = false;
  for (const Bound& bound : bounds) {
    if (bound.kind != Event::Kind::kLimit) continue;
    if (!bound.version || version < *bound.version) return true;
    limited = true;
  }
  return !limited;
}

/// Of malicious packages above all: there is no version that it leaves out.
bool has_every_version(const Range& range) {
  return range.kind != Range::Kind::kGit && !range.events.empty() &&
         std::all_of(range.events.begin(), range.events.end(), [](const Event& event) {
           return event.kind == Event::Kind::kIntroduced && event.version == "0";
         });
}

bool in_range(const std::vector<Bound>& bounds, const Version& version) {
  if (!before_limits(bounds, version)) return false;
  bool vulnerable = false;
  for (const Bound& bound : bounds) {
    switch (bound.kind) {
      case Event::Kind::kIntroduced:
        if (!bound.version || version >= *bound.version) vulnerable = true;
        break;
      case Event::Kind::kFixed:
        if (version >= *bound.version) vulnerable = false;
        break;
      case Event::Kind::kLastAffected:
        if (version > *bound.version) vulnerable = false;
        break;
      case Event::Kind::kLimit:
        break;
    }
  }
  return vulnerable;
}

bool affected_between(const std::vector<Bound>& bounds, const Version& version,
                      const std::optional<Version>& published) {
  return in_range(bounds, version) || (published && in_range(bounds, *published));
}

/// A local version (`2.0+cpu`) is the public one built by somebody else, and as affected as that
/// is; only an advisory that names local versions itself tells them apart.
std::optional<Version> public_version(const Affected& affected, const Version& version) {
  if (version.local().empty()) return std::nullopt;
  for (const Range& range : affected.ranges) {
    for (const Event& event : range.events) {
      if (event.version.find('+') != std::string::npos) return std::nullopt;
    }
  }
  return version.without_local();
}

void add_fixed(const std::vector<Bound>& bounds, const Version& version, Match& out) {
  for (const Bound& bound : bounds) {
    if (bound.kind == Event::Kind::kFixed && *bound.version > version) {
      out.fixed_in.push_back(bound.text);
      return;  // the first one that ends it
    }
  }
}

/// Digits at the front, without leading zeros ("0" for none), which are taken away.
std::string_view take_number(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? "0" : digits;
}

/// False if the text is surely another version, by its first two numbers: records list hundreds of
/// versions, and parsing each took most of a scan's time.
bool may_equal(std::string_view text, const Version& version) {
  if (text.starts_with('v') || text.starts_with('V')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return true;
  if (!version.epoch().is_zero() || text.find('!') != std::string_view::npos) return true;
  const auto& release = version.release();
  if (take_number(text) != release.front().text()) return false;
  const bool more = text.size() >= 2 && text[0] == '.' && text[1] >= '0' && text[1] <= '9';
  if (more) text.remove_prefix(1);
  const std::string_view second = more ? take_number(text) : "0";
  return second == (release.size() > 1 ? std::string_view(release[1].text()) : "0");
}

bool listed(const Affected& affected, std::string_view text, const std::optional<Version>& version,
            const std::optional<Version>& published) {
  for (const std::string& one : affected.versions) {
    if (one == text && !text.empty()) return true;
    if (!version || !may_equal(one, *version)) continue;
    const auto parsed = Version::parse(one);  // real data has entries that are no versions
    if (parsed && (*parsed == *version || (published && *parsed == *published))) return true;
  }
  return false;
}

/// Whether the list says anything of versions: of texts alone that are none, it says nothing.
bool lists_versions(const Affected& affected) {
  return std::any_of(affected.versions.begin(), affected.versions.end(),
                     [](const std::string& one) { return Version::parse(one).has_value(); });
}

constexpr std::string_view kNoVersion = "the version is not one of PEP 440 and cannot be compared";

}  // namespace

Match match(const Affected& affected, std::string_view text) {
  Match out;
  std::optional<Version> version;
  if (auto parsed = Version::parse(text)) version = *std::move(parsed);
  std::optional<Version> published;
  if (version) published = public_version(affected, *version);
  if (listed(affected, text, version, published)) out.standing = Standing::kAffected;
  bool evaluated = false;
  for (const Range& range : affected.ranges) {
    if (range.kind == Range::Kind::kGit) continue;
    if (has_every_version(range)) {
      out.standing = Standing::kAffected;
      continue;
    }
    const auto bounds = bounds_of(range);
    if (!bounds || !version) {
      out.why = bounds ? kNoVersion
                       : "a range of the advisory has no beginning, or an event that is no version";
      continue;
    }
    evaluated = true;
    if (!affected_between(*bounds, *version, published)) continue;
    out.standing = Standing::kAffected;
    add_fixed(*bounds, *version, out);
  }
  if (out.standing == Standing::kAffected) {
    out.why.clear();
    return out;
  }
  if (!version) {
    out.why = kNoVersion;
    out.obstacle = Obstacle::kVersion;
  } else if (!evaluated && out.why.empty() && !lists_versions(affected)) {
    out.why = !affected.versions.empty() ? "the advisory lists nothing that is a version"
              : affected.ranges.empty()  ? "the advisory names neither versions nor ranges"
                                         : "the advisory names only commits, not versions";
  }
  if (!out.why.empty()) out.standing = Standing::kCouldNotTell;
  return out;
}

}  // namespace mlxguard::advisories
