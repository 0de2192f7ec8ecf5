// SPDX-License-Identifier: Apache-2.0
#include "inventory_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "inventory/builder.h"

namespace mlxguard::cli {
namespace {

using inventory::Component;
using inventory::Confidence;
using inventory::Evidence;
using inventory::Inventory;
using inventory::Observation;

constexpr std::size_t kNeededByShown = 2;
constexpr std::size_t kObservationsShown = 8;  // a kind; --json lists all
constexpr std::size_t kCellCharactersMax = 44;
constexpr std::size_t kTreeLinesMax = 20'000;

using Names = std::map<std::string_view, const Component*>;

Names by_purl(const Inventory& inventory) {
  Names names;
  for (const Component& component : inventory.components) names.emplace(component.purl, &component);
  return names;
}

/// Characters, not bytes: continuation bytes of UTF-8 take no place.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string cell(std::string_view text) {
  std::string shown = printable(text);
  if (width_of(shown) <= kCellCharactersMax) return shown;
  std::size_t end = kCellCharactersMax - 1;
  while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0) == 0x80) --end;
  return shown.substr(0, end) + "…";
}

std::string version_cell(const Component& component) {
  constexpr std::size_t kCommitBytes = 40, kShownBytes = 12;
  if (component.version.empty()) return "?";
  // A commit: its first digits tell it from others.
  if (component.version.size() == kCommitBytes) return component.version.substr(0, kShownBytes);
  return cell(component.version);
}

class Table {
 public:
  explicit Table(std::vector<std::string> heads) : rows_{std::move(heads)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  void print(const Output& output) const {
    std::vector<std::size_t> widths(rows_[0].size(), 0);
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i)
        widths[i] = std::max(widths[i], width_of(row[i]));
    }
    for (std::size_t number = 0; number < rows_.size(); ++number) {
      std::string line;
      const auto& row = rows_[number];
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += row[i];
        if (i + 1 < row.size()) line += std::string(widths[i] - width_of(row[i]) + 2, ' ');
      }
      while (line.ends_with(' ')) line.pop_back();
      output.line(number == 0 ? output.styled(Style::kDim, line) : line);
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string needed_by(const Component& component,
                      const std::map<std::string_view, std::set<std::string_view>>& users) {
  const auto found = users.find(component.purl);
  std::string text = component.direct ? "you" : "";
  if (found == users.end()) return text.empty() ? "-" : text;
  std::size_t shown = 0;
  for (const std::string_view user : found->second) {
    if (shown++ == kNeededByShown) {
      text += fmt::format(" and {} more", found->second.size() - kNeededByShown);
      break;
    }
    text += (text.empty() ? "" : ", ") + std::string(user);
  }
  return text;
}

std::string found_by(const Component& component) {
  std::set<Evidence::Kind> kinds;
  for (const Evidence& evidence : component.evidence) kinds.insert(evidence.kind);
  std::string text;
  for (const Evidence::Kind kind : kinds) {
    if (!text.empty()) text += ", ";
    text += inventory::name_of(kind);
  }
  return text;
}

std::string summary(const Inventory& inventory) {
  std::map<Component::Kind, std::size_t> counts;
  for (const Component& component : inventory.components) ++counts[component.kind];
  std::string text = fmt::format("{} {}, {} native {}", counts[Component::Kind::kPackage],
                                 counts[Component::Kind::kPackage] == 1 ? "package" : "packages",
                                 counts[Component::Kind::kNative],
                                 counts[Component::Kind::kNative] == 1 ? "part" : "parts");
  if (const auto models = counts[Component::Kind::kModel]) {
    text += fmt::format(", {} {}", models, models == 1 ? "model" : "models");
  }
  return text;
}

std::string_view title_of(Observation::Kind kind) {
  switch (kind) {
    case Observation::Kind::kRecordMismatch:
      return "files that differ from RECORD";
    case Observation::Kind::kRecordMissing:
      return "files or RECORDs that are missing";
    case Observation::Kind::kUnrecorded:
      return "files that no package lists";
    case Observation::Kind::kPathCode:
      return ".pth files that run code or add folders";
    case Observation::Kind::kInstallHook:
      return "code that runs by itself";
    case Observation::Kind::kDuplicate:
      return "packages that are there twice";
    case Observation::Kind::kUnreadable:
      return "what could not be read";
    case Observation::Kind::kMissing:
      return "requirements that are not met";
    case Observation::Kind::kIncomplete:
      return "what was not looked at";
  }
  return "";
}

class Tree {
 public:
  Tree(const Output& output, const Inventory& inventory)
      : output_(output), names_(by_purl(inventory)) {}

  void root(const Component& component) {
    if (lines_ >= kTreeLinesMax) return;
    output_.line(label(component));
    ++lines_;
    children(component, "");
  }
  [[nodiscard]] bool has_shown(const std::string& purl) const { return open_.contains(purl); }
  [[nodiscard]] bool cut() const { return lines_ >= kTreeLinesMax; }

 private:
  std::string label(const Component& component) const {
    std::string text =
        output_.styled(Style::kBold, cell(component.name)) + " " + version_cell(component);
    if (component.kind != Component::Kind::kPackage) {
      text += output_.styled(Style::kDim, fmt::format("  {}", inventory::name_of(component.kind)));
    }
    if (component.confidence == Confidence::kLow) text += output_.styled(Style::kDim, ", perhaps");
    return text;
  }

  /// Each component's own needs are shown once; where it comes again, or needs itself, a mark says
  /// so.
  void children(const Component& component, const std::string& indent) {
    if (!open_.insert(component.purl).second) return;
    std::vector<const Component*> needed;
    for (const std::string& purl : component.needs) {
      if (const auto found = names_.find(purl); found != names_.end())
        needed.push_back(found->second);
    }
    std::stable_sort(needed.begin(), needed.end(), [](const Component* a, const Component* b) {
      return std::tie(a->kind, a->name) < std::tie(b->kind, b->name);
    });
    for (std::size_t i = 0; i < needed.size(); ++i) {
      if (++lines_ >= kTreeLinesMax) return;
      const bool last = i + 1 == needed.size();
      const bool again = open_.contains(needed[i]->purl) && !needed[i]->needs.empty();
      output_.line(output_.styled(Style::kDim, indent + (last ? "└─ " : "├─ ")) +
                   label(*needed[i]) + (again ? output_.styled(Style::kDim, "  (above)") : ""));
      if (!again && indent.size() < kDepthBytesMax)
        children(*needed[i], indent + (last ? "   " : "│  "));
    }
  }

  static constexpr std::size_t kDepthBytesMax = 400;
  const Output& output_;
  Names names_;
  std::set<std::string> open_;
  std::size_t lines_ = 0;
};

}  // namespace

void print_observations(const Output& output, const Inventory& inventory) {
  std::map<Observation::Kind, std::vector<const Observation*>> by_kind;
  for (const Observation& one : inventory.observations) by_kind[one.kind].push_back(&one);
  for (const auto& [kind, all] : by_kind) {
    output.line("");
    output.line(output.styled(Style::kWarn, fmt::format("{}: {}", title_of(kind), all.size())));
    for (std::size_t i = 0; i < all.size() && i < kObservationsShown; ++i) {
      const std::string place =
          printable(all[i]->where.empty() ? all[i]->component : all[i]->where);
      output.line("  " + place + (place.empty() ? "" : ": ") + printable(all[i]->error.message));
    }
    if (all.size() > kObservationsShown) {
      output.line(fmt::format("  and {} more; --json lists all", all.size() - kObservationsShown));
    }
  }
}

void print_inventory_table(const Output& output, const Inventory& inventory) {
  const Names names = by_purl(inventory);
  std::map<std::string_view, std::set<std::string_view>> users;
  for (const Component& component : inventory.components) {
    for (const std::string& purl : component.needs) users[purl].insert(component.name);
  }
  output.line(output.styled(Style::kBold, printable(inventory.root)) + "  " + inventory.source +
              ", " + summary(inventory));
  Table packages({"PACKAGE", "VERSION", "LICENSE", "NEEDED BY"});
  Table natives({"NATIVE PART", "VERSION", "IN", "FOUND BY", "CONFIDENCE"});
  Table models({"MODEL", "DIGEST", "SIGNER"});
  std::size_t package_rows = 0, native_rows = 0, model_rows = 0;
  std::vector<const Component*> sorted;
  for (const Component& component : inventory.components) sorted.push_back(&component);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Component* a, const Component* b) { return a->name < b->name; });
  for (const Component* one : sorted) {
    if (one->kind == Component::Kind::kModel) {
      ++model_rows;
      models.add({cell(one->name),
                  std::string(inventory::property_of(*one, "root_digest")).substr(0, 16),
                  cell(inventory::property_of(*one, "signer_name"))});
    } else if (one->kind == Component::Kind::kNative) {
      ++native_rows;
      natives.add({cell(one->name), version_cell(*one), cell(needed_by(*one, users)),
                   found_by(*one), std::string(inventory::name_of(one->confidence))});
    } else {
      ++package_rows;
      packages.add({cell(one->name), version_cell(*one),
                    one->license.empty() ? "-" : cell(one->license), cell(needed_by(*one, users))});
    }
  }
  for (const auto& [table, rows] : {std::pair<const Table*, std::size_t>{&packages, package_rows},
                                    {&natives, native_rows},
                                    {&models, model_rows}}) {
    if (rows == 0) continue;
    output.line("");
    table->print(output);
  }
  print_observations(output, inventory);
}

void print_inventory_tree(const Output& output, const Inventory& inventory) {
  std::set<std::string_view> needed;
  for (const Component& component : inventory.components) {
    needed.insert(component.needs.begin(), component.needs.end());
  }
  Tree tree(output, inventory);
  for (const Component& component : inventory.components) {
    if (!needed.contains(component.purl)) tree.root(component);
  }
  // What only needs each other in a circle hangs from no root.
  for (const Component& component : inventory.components) {
    if (needed.contains(component.purl) && !component.needs.empty() &&
        !tree.has_shown(component.purl)) {
      tree.root(component);
    }
  }
  if (tree.cut()) output.note("the tree is longer than what is shown; --json has all of it");
  print_observations(output, inventory);
}

}  // namespace mlxguard::cli
