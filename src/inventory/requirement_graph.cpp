// SPDX-License-Identifier: Apache-2.0
#include "inventory/requirement_graph.h"

#include <sys/utsname.h>

#include <map>
#include <set>

#include "packaging/name.h"
#include "packaging/requirement.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

using Kind = Observation::Kind;
using packaging::normalize_name;
using packaging::Requirement;

struct Wanted {
  Requirement requirement;
  std::string name;    ///< normalised
  std::string marker;  ///< normalised spelling; may be empty
};

struct Node {
  const Distribution* distribution = nullptr;
  std::vector<Wanted> wants;
  std::set<std::string> extras;   ///< asked for by a package here
  std::set<std::string> guessed;  ///< and those that somebody seems to have asked for
};

class Graph {
 public:
  Graph(const std::vector<Distribution>& distributions, const PythonPlace& python, Builder& builder)
      : builder_(builder),
        python_known_(!python.version.empty()),
        environment_(markers_of_this_machine(python.version)) {
    for (const Distribution& distribution : distributions) {
      Node node{&distribution, {}, {}, {}};
      for (const std::string& text : distribution.metadata.requires_dist) {
        auto requirement = Requirement::parse(text);
        if (!requirement) {
          unreadable(distribution, std::move(requirement).error());
          continue;
        }
        std::string name = normalize_name(requirement->name);
        std::string marker = requirement->marker ? requirement->marker->text() : "";
        node.wants.push_back({*std::move(requirement), std::move(name), std::move(marker)});
      }
      by_name_[distribution.name].push_back(nodes_.size());
      nodes_.push_back(std::move(node));
    }
  }

  void run() {
    // Each round turns at least one more extra on; there are finitely many.
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        for (const Wanted& wanted : nodes_[i].wants) {
          if (holds(wanted, nodes_[i].extras)) changed = spread_extras(wanted) || changed;
        }
      }
    }
    for (Node& node : nodes_) {
      guess_extras(node);
      connect(node);
    }
  }

 private:
  void unreadable(const Distribution& distribution, Error error) {
    builder_.observe(Kind::kUnreadable, distribution.purl, distribution.folder,
                     std::move(error).with("a requirement of this package"));
  }

  /// For these extras. A marker without a meaning holds here; connect() reports it.
  bool holds(const Wanted& wanted, const std::set<std::string>& extras) const {
    const auto answer = judge(wanted, extras);
    return answer ? *answer : true;
  }

  Result<bool> judge(const Wanted& wanted, const std::set<std::string>& extras) const {
    if (!wanted.requirement.marker) return true;
    // Without a Python nothing that asks about one can be left out.
    const bool asks_python = wanted.marker.find("python_") != std::string::npos ||
                             wanted.marker.find("implementation_version") != std::string::npos;
    const bool asks_extra = wanted.marker.find("extra") != std::string::npos;
    if (!python_known_ && asks_python && !asks_extra) return true;
    const std::vector<std::string> used(extras.begin(), extras.end());
    return wanted.requirement.marker->evaluate(environment_, used);
  }

  bool spread_extras(const Wanted& wanted) {
    const auto targets = by_name_.find(wanted.name);
    if (targets == by_name_.end()) return false;
    bool changed = false;
    for (const std::size_t target : targets->second) {
      for (const std::string& extra : wanted.requirement.extras) {
        changed = nodes_[target].extras.insert(normalize_name(extra)).second || changed;
      }
    }
    return changed;
  }

  /// Which extras a user asked for is written nowhere: one whose packages are all here seems to be.
  /// It makes needs, but nothing is missing for it.
  void guess_extras(Node& node) {
    node.guessed = node.extras;
    std::set<std::string> always{node.distribution->name};
    for (const Wanted& wanted : node.wants) {
      if (holds(wanted, {})) always.insert(wanted.name);
    }
    for (const std::string& declared : node.distribution->metadata.provides_extra) {
      const std::string extra = normalize_name(declared);
      std::size_t brought = 0, present = 0;
      for (const Wanted& wanted : node.wants) {
        if (wanted.marker.find("extra") == std::string::npos || always.contains(wanted.name))
          continue;
        if (!holds(wanted, {extra})) continue;
        ++brought;
        if (by_name_.contains(wanted.name)) ++present;
      }
      if (brought > 0 && brought == present) node.guessed.insert(extra);
    }
  }

  void connect(const Node& node) {
    std::set<std::string> missing;
    for (const Wanted& wanted : node.wants) {
      const auto answer = judge(wanted, node.guessed);
      if (!answer) {
        unreadable(*node.distribution, answer.error());
        continue;
      }
      if (!*answer) continue;
      const auto targets = by_name_.find(wanted.name);
      const bool asked = holds(wanted, node.extras);
      if (targets == by_name_.end()) {
        if (!asked) continue;
        missing.insert(wanted.name + wanted.requirement.specifiers.text());
        continue;
      }
      for (const std::size_t target : targets->second) {
        const Distribution& found = *nodes_[target].distribution;
        builder_.needs(node.distribution->purl, found.purl);
        if (asked) check_version(node, wanted, found);
      }
    }
    for (const std::string& name : missing) {
      builder_.observe(
          Kind::kMissing, node.distribution->purl, node.distribution->folder,
          make_error(ErrorCode::kDepsEnvironment,
                     node.distribution->name + " requires " + name + ", which is not here"));
    }
    std::string used;
    for (const std::string& extra : node.guessed) used += (used.empty() ? "" : ",") + extra;
    if (!used.empty()) builder_.property(node.distribution->purl, "extras", used);
  }

  void check_version(const Node& node, const Wanted& wanted, const Distribution& found) {
    const auto version = packaging::Version::parse(found.metadata.version);
    if (!version ||
        wanted.requirement.specifiers.contains(
            *version, packaging::SpecifierSet::Prereleases::kAllow, found.metadata.version)) {
      return;
    }
    builder_.observe(Kind::kMissing, node.distribution->purl, node.distribution->folder,
                     make_error(ErrorCode::kDepsEnvironment, node.distribution->name +
                                                                 " requires another version of " +
                                                                 wanted.name + " than is here")
                         .compared(wanted.requirement.specifiers.text(), found.metadata.version));
  }

  Builder& builder_;
  bool python_known_;
  packaging::MarkerEnvironment environment_;
  std::vector<Node> nodes_;
  std::map<std::string, std::vector<std::size_t>> by_name_;
};

}  // namespace

packaging::MarkerEnvironment markers_of_this_machine(const std::string& python_version) {
  auto environment = packaging::linux_environment(python_version);
  struct utsname machine {};
  if (::uname(&machine) == 0) {
    environment.values["platform_machine"] = machine.machine;
    environment.values["platform_release"] = machine.release;
    environment.values["platform_version"] = machine.version;
  }
  return environment;
}

void add_requirements(const std::vector<Distribution>& distributions, const PythonPlace& python,
                      Builder& builder) {
  Graph(distributions, python, builder).run();
}

void add_wanted(const Distribution& distribution, Builder& builder) {
  for (const std::string& text : distribution.metadata.requires_dist) {
    const auto requirement = Requirement::parse(text);
    if (!requirement) {
      builder.observe(Kind::kUnreadable, distribution.purl, distribution.folder,
                      requirement.error());
      continue;
    }
    builder.property(distribution.purl, "requires", text);
  }
}

bool same_version(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto left = packaging::Version::parse(a), right = packaging::Version::parse(b);
  return left && right && *left == *right;
}

}  // namespace mlxguard::inventory
