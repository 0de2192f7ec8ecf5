// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_check.h"

#include <algorithm>
#include <tuple>

#include "inventory/builder.h"
#include "inventory/files.h"
#include "inventory/lock_wanted.h"
#include "inventory/requirement_graph.h"
#include "inventory/vendored.h"
#include "packaging/marker.h"
#include "packaging/specifier.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

using Kind = Difference::Kind;
using ByName = std::map<std::string, std::vector<const Component*>>;

ByName packages_of(const Inventory& inventory) {
  ByName packages;
  for (const Component& component : inventory.components) {
    const bool pypi = component.purl.starts_with("pkg:pypi/");
    if (component.kind == Component::Kind::kPackage && pypi && !is_vendored(component)) {
      packages[component.name].push_back(&component);
    }
  }
  return packages;
}

class Checker {
 public:
  Checker(const Inventory& lock, const Inventory& environment, const LockCheckOptions& options)
      : options_(options),
        lock_(lock),
        environment_(environment),
        locked_(packages_of(lock)),
        installed_(packages_of(environment)) {
    std::set<std::string> names;
    for (const auto& [name, all] : installed_) names.insert(name);
    wanted_ = wanted_packages(lock, names,
                              {markers_of_this_machine(options.python_version),
                               !options.python_version.empty()});
  }

  LockCheck run() {
    for (const Observation& one : lock_.observations) {
      // What is not in the lock and is installed is a difference of its own.
      if (one.kind == Observation::Kind::kIncomplete) continue;
      add(Kind::kUnreadable, "", one.where, "", "", "the lock: " + one.error.message);
    }
    check_terms();
    for (const auto& [name, all] : installed_) check_installed(name, all);
    for (const auto& [name, all] : locked_) {
      if (!installed_.contains(name)) check_missing(name, all);
    }
    check_files();
    auto& found = result_.differences;
    std::stable_sort(found.begin(), found.end(), [](const Difference& a, const Difference& b) {
      return std::tie(a.name, a.kind, a.where) < std::tie(b.name, b.kind, b.where);
    });
    return std::move(result_);
  }

 private:
  void add(Kind kind, std::string name, std::string where, std::string expected, std::string actual,
           std::string message) {
    result_.differences.push_back({kind, std::move(name), std::move(where), std::move(expected),
                                   std::move(actual), std::move(message)});
  }

  /// Whether the lock is for this Python and this platform at all.
  void check_terms() {
    const LockTerms& terms = lock_.terms;
    const std::string& python = options_.python_version;
    if (!terms.requires_python.empty()) check_python(terms.requires_python, python);
    const auto markers = markers_of_this_machine(python);
    bool told = terms.environments.empty();
    std::string all;
    for (const std::string& text : terms.environments) {
      const auto marker = packaging::Marker::parse(text);
      const auto holds = marker ? marker->evaluate(markers) : Result<bool>(false);
      told = told || (holds && *holds);
      all += (all.empty() ? "" : " or ") + text;
    }
    if (told) return;
    add(Kind::kNotFor, "", "", all,
        markers.values.at("sys_platform") + " on " + markers.values.at("platform_machine") +
            (python.empty() ? "" : ", Python " + python),
        "the lock is for other environments");
  }

  void check_python(const std::string& wanted, const std::string& python) {
    const auto specifiers = packaging::SpecifierSet::parse(wanted);
    const auto version = packaging::Version::parse(python);
    if (!specifiers || !version) {
      add(Kind::kUnreadable, "", "", wanted, python,
          "whether the lock is for this Python could not be told");
    } else if (!specifiers->contains(*version, packaging::SpecifierSet::Prereleases::kAllow)) {
      add(Kind::kNotFor, "", "", wanted, python, "the lock is for another Python");
    }
  }

  void check_installed(const std::string& name, const std::vector<const Component*>& all) {
    const auto found = locked_.find(name);
    if (found == locked_.end()) {
      if (options_.allowed.contains(name)) return;
      add(Kind::kExtra, name, all[0]->location, "", all[0]->version, "installed, and not locked");
      return;
    }
    // One package may be locked in several versions, for several platforms.
    std::vector<const Component*> for_here;
    for (const Component* locked : found->second) {
      if (wanted_.possible.contains(locked->purl)) for_here.push_back(locked);
    }
    if (for_here.empty()) {
      add(Kind::kExtra, name, all[0]->location, "", all[0]->version,
          "installed, and locked for other platforms or Pythons only");
      return;
    }
    for (const Component* here : all) {
      ++result_.packages;
      const auto same =
          std::find_if(for_here.begin(), for_here.end(), [&](const Component* locked) {
            return locked->version.empty() || same_version(locked->version, here->version);
          });
      if (same != for_here.end()) {
        compare(name, **same, *here);
        continue;
      }
      std::string expected;
      for (const Component* locked : for_here) {
        expected += (expected.empty() ? "" : " or ") + locked->version;
      }
      add(Kind::kVersion, name, here->location, expected, here->version, "another version");
    }
  }

  static std::string source_of(const Component& component) {
    const auto source = property_of(component, "source");
    return source.empty() ? "index" : std::string(source);
  }

  void compare(const std::string& name, const Component& locked, const Component& here) {
    const std::string wanted = source_of(locked), actual = source_of(here);
    if (locked.version.empty() && wanted == "index") {
      add(Kind::kVersion, name, here.location, "an exact version", here.version,
          "the lock does not say which version");
      return;
    }
    const bool archive = actual == "archive" && wanted == "index" && !here.hashes.empty();
    if (wanted != actual && !archive) {
      add(Kind::kSource, name, here.location, wanted, actual,
          "installed from another kind of place");
    }
    const auto commit = property_of(locked, "commit"), commit_here = property_of(here, "commit");
    if (wanted == "vcs" && actual == "vcs" && commit != commit_here) {
      add(Kind::kSource, name, here.location, std::string(commit), std::string(commit_here),
          "another commit");
    }
    compare_hashes(name, locked, here, wanted);
    compare_content(name, locked, here);
  }

  void compare_hashes(const std::string& name, const Component& locked, const Component& here,
                      const std::string& wanted) {
    if (locked.hashes.empty()) {
      const bool could_have = wanted == "index" || wanted == "archive";
      if (could_have && options_.hashes == LockCheckOptions::Hashes::kRequired) {
        add(Kind::kHash, name, "", "a hash", "none", "the lock has no hash of it");
      }
      return;
    }
    if (here.hashes.empty()) return;  // an installer keeps none of what came from an index
    const bool known =
        std::any_of(here.hashes.begin(), here.hashes.end(), [&](const std::string& one) {
          return std::find(locked.hashes.begin(), locked.hashes.end(), one) != locked.hashes.end();
        });
    if (!known) {
      add(Kind::kHash, name, here.location, locked.hashes[0], here.hashes[0],
          "installed from an archive that is not locked");
    }
  }

  /// Files that were changed together with their RECORD show only here.
  void compare_content(const std::string& name, const Component& locked, const Component& here) {
    std::set<std::string> expected;
    for (const auto& [key, value] : locked.properties) {
      if (key == "record_digest") expected.insert(value);
    }
    for (const std::string& hash : locked.hashes) {
      const auto wheel = options_.content_of_wheel.find(hash);
      if (wheel != options_.content_of_wheel.end()) expected.insert(wheel->second);
    }
    if (expected.empty()) return;
    const std::string actual(property_of(here, "record_digest"));
    if (expected.contains(actual)) {
      ++result_.contents;
      return;
    }
    add(Kind::kContent, name, here.location, *expected.begin(), actual.empty() ? "none" : actual,
        "its files are not those of the locked package");
  }

  void check_missing(const std::string& name, const std::vector<const Component*>& all) {
    for (const Component* locked : all) {
      if (!wanted_.required.contains(locked->purl)) continue;
      add(Kind::kMissing, name, "", locked->version, "", "locked, and not installed");
      return;
    }
    if (wanted_.possible.contains(all[0]->purl)) ++result_.optional;
  }

  /// Which copies a package carries is its own matter: they are files of its RECORD.
  static bool is_about_copies(const Observation& one) {
    if (one.kind != Observation::Kind::kUnreadable) return false;
    const std::string_view folder = base_name(one.where);
    return folder == "_vendor" || folder == "_vendored";
  }

  void check_files() {
    using Seen = Observation::Kind;
    std::map<std::string, std::string> names;
    for (const Component& component : environment_.components)
      names[component.purl] = component.name;
    for (const Observation& one : environment_.observations) {
      const bool unrecorded = one.kind == Seen::kUnrecorded;
      if (unrecorded && options_.unrecorded == LockCheckOptions::Unrecorded::kAllowed) continue;
      // Code that runs by itself and belongs to a package is part of what was locked; other is
      // refused, whatever else may be there.
      if (one.kind == Seen::kMissing || is_about_copies(one)) continue;
      const bool runs = one.kind == Seen::kPathCode || one.kind == Seen::kInstallHook;
      if (runs && !one.component.empty()) continue;
      const bool unreadable = one.kind == Seen::kUnreadable;
      const auto name = names.find(one.component);
      add(unreadable ? Kind::kUnreadable : Kind::kFile, name == names.end() ? "" : name->second,
          one.where, one.error.expected, one.error.actual, one.error.message);
    }
  }

  const LockCheckOptions& options_;
  const Inventory& lock_;
  const Inventory& environment_;
  ByName locked_, installed_;
  WantedPackages wanted_;
  LockCheck result_;
};

}  // namespace

std::string_view name_of(Difference::Kind kind) {
  constexpr std::string_view kNames[] = {"missing", "extra",   "version", "hash",
                                         "source",  "content", "file",    "unreadable", "not-for"};
  return kNames[static_cast<std::size_t>(kind)];
}

LockCheck check_lock(const Inventory& lock, const Inventory& environment,
                     const LockCheckOptions& options) {
  return Checker(lock, environment, options).run();
}

}  // namespace mlxguard::inventory
