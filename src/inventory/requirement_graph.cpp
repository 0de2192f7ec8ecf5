// SPDX-License-Identifier: Apache-2.0
#include "inventory/requirement_graph.h"

#include <algorithm>
#include <map>
#include <set>

#include "inventory/requirement.h"

namespace mlxguard::inventory {
namespace {

using Kind = Observation::Kind;

struct Node {
  const Distribution* distribution = nullptr;
  std::vector<Requirement> wants;
  std::set<std::string> extras;  ///< in use
};

class Graph {
 public:
  Graph(const std::vector<Distribution>& distributions, const PythonPlace& python, Builder& builder)
      : builder_(builder), context_(marker_context(python.version)) {
    for (const Distribution& distribution : distributions) {
      Node node{&distribution, {}, {}};
      for (const std::string& text : distribution.metadata.requires_dist) {
        auto requirement = read_requirement(text);
        if (requirement) node.wants.push_back(*std::move(requirement));
        else unreadable(distribution, std::move(requirement).error());
      }
      by_name_[distribution.name].push_back(nodes_.size());
      nodes_.push_back(std::move(node));
    }
  }

  void run() {
    for (Node& node : nodes_) use_complete_extras(node);
    // Each round turns at least one more extra on; there are finitely many.
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        for (const Requirement& wanted : nodes_[i].wants) {
          if (holds(nodes_[i], wanted, nodes_[i].extras)) changed = spread_extras(wanted) || changed;
        }
      }
    }
    for (const Node& node : nodes_) connect(node);
  }

 private:
  void unreadable(const Distribution& distribution, Error error) {
    builder_.observe(Kind::kUnreadable, distribution.purl, distribution.folder,
                     std::move(error).with("a requirement of this package"));
  }

  bool holds(const Node& node, const Requirement& wanted, const std::set<std::string>& extras) {
    context_.extras = extras;
    auto answer = marker_holds(wanted.marker, context_);
    // Reported once, where the needs are made.
    (void)node;
    return answer ? *answer : true;
  }

  bool spread_extras(const Requirement& wanted) {
    const auto targets = by_name_.find(wanted.name);
    if (targets == by_name_.end()) return false;
    bool changed = false;
    for (const std::size_t target : targets->second) {
      for (const std::string& extra : wanted.extras) {
        changed = nodes_[target].extras.insert(extra).second || changed;
      }
    }
    return changed;
  }

  /// Which extras a user asked for is written nowhere: one whose packages are all here was.
  void use_complete_extras(Node& node) {
    for (const std::string& declared : node.distribution->metadata.provides_extra) {
      const std::string extra = normalize_name(declared);
      std::size_t brought = 0, present = 0;
      for (const Requirement& wanted : node.wants) {
        if (wanted.marker.find("extra") == std::string::npos) continue;
        if (holds(node, wanted, {}) || !holds(node, wanted, {extra})) continue;
        ++brought;
        if (by_name_.contains(wanted.name)) ++present;
      }
      if (brought > 0 && brought == present) node.extras.insert(extra);
    }
  }

  void connect(const Node& node) {
    std::set<std::string> missing;
    for (const Requirement& wanted : node.wants) {
      context_.extras = node.extras;
      const auto answer = marker_holds(wanted.marker, context_);
      if (!answer) {
        unreadable(*node.distribution, answer.error());
        continue;
      }
      if (!*answer) continue;
      const auto targets = by_name_.find(wanted.name);
      if (targets == by_name_.end()) {
        missing.insert(wanted.name + wanted.specifier);
        continue;
      }
      for (const std::size_t target : targets->second) {
        builder_.needs(node.distribution->purl, nodes_[target].distribution->purl);
      }
    }
    for (const std::string& name : missing) {
      builder_.observe(Kind::kMissing, node.distribution->purl, node.distribution->folder,
                       make_error(ErrorCode::kDepsEnvironment,
                                  node.distribution->name + " requires " + name + ", which is not here"));
    }
    std::string used;
    for (const std::string& extra : node.extras) used += (used.empty() ? "" : ",") + extra;
    if (!used.empty()) builder_.property(node.distribution->purl, "extras", used);
  }

  Builder& builder_;
  MarkerContext context_;
  std::vector<Node> nodes_;
  std::map<std::string, std::vector<std::size_t>> by_name_;
};

/// Lower case, without separators and zeros that mean nothing: "1.0-alpha.1" and "1a1".
std::string canonical_version(std::string_view version) {
  std::string text;
  for (const char c : version) text += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  std::string local;
  if (const auto plus = text.find('+'); plus != std::string::npos) {
    local = text.substr(plus);
    std::replace(local.begin(), local.end(), '-', '.');
    std::replace(local.begin(), local.end(), '_', '.');
    text.resize(plus);
  }
  if (text.starts_with('v')) text.erase(0, 1);
  std::size_t end = 0;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.' || text[end] == '!')) ++end;
  std::string release = text.substr(0, end), rest = text.substr(end);
  std::string out;
  for (std::size_t at = 0; at < release.size();) {  // leading zeros of each number
    if (release[at] == '.' || release[at] == '!') {
      out += release[at++];
      continue;
    }
    std::size_t stop = at;
    while (stop < release.size() && release[stop] >= '0' && release[stop] <= '9') ++stop;
    std::string number = release.substr(at, stop - at);
    number.erase(0, std::min(number.find_first_not_of('0'), number.size() - 1));
    out += number;
    at = stop;
  }
  while (out.ends_with('.')) out.pop_back();
  while (out.ends_with(".0")) out.resize(out.size() - 2);
  for (const char c : rest) {
    if (c != '.' && c != '-' && c != '_') out += c;
  }
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"alpha", "a"}, {"beta", "b"},
                                 {"preview", "rc"}, {"pre", "rc"}, {"rev", "post"}}) {
    if (const auto at = out.find(from); at != std::string::npos) out.replace(at, from.size(), to);
  }
  return out + local;
}

}  // namespace

void add_requirements(const std::vector<Distribution>& distributions, const PythonPlace& python,
                      Builder& builder) {
  Graph(distributions, python, builder).run();
}

void add_wanted(const Distribution& distribution, Builder& builder) {
  for (const std::string& text : distribution.metadata.requires_dist) {
    const auto requirement = read_requirement(text);
    if (!requirement) {
      builder.observe(Kind::kUnreadable, distribution.purl, distribution.folder,
                      requirement.error());
      continue;
    }
    builder.property(distribution.purl, "requires", text);
  }
}

bool same_version(std::string_view a, std::string_view b) {
  return a == b || canonical_version(a) == canonical_version(b);
}

}  // namespace mlxguard::inventory
