// SPDX-License-Identifier: Apache-2.0
#include "inspect/pickle_scan.h"

#include <algorithm>
#include <set>
#include <string>

#include "inspect/pickle_machine.h"

namespace mlxguard::inspect {
namespace {

constexpr std::size_t kPicklesMax = 1000;
constexpr std::size_t kNamesShown = 12;

/// Findings over all pickles of a file, each name once.
class Pickles {
 public:
  Pickles(std::uint64_t offset, Findings& findings) : offset_(offset), findings_(findings) {}

  void add(const PickleRun& run, std::size_t begin) {
    protocol_ = std::max(protocol_, run.protocol);
    // The worst first: findings are bounded.
    add(run, begin, ImportDanger::kRunsCode);
    add(run, begin, ImportDanger::kUnknown);
    for (const auto& [name, import] : run.imports) names_.insert(name);
  }
  void add(const PickleRun& run, std::size_t begin, ImportDanger danger) {
    const bool runs_code = danger == ImportDanger::kRunsCode;
    for (const auto& [name, import] : run.imports) {
      if (import.danger != danger || names_.contains(name)) continue;
      findings_.add(runs_code ? Rule::kPickleCode : Rule::kPickleImport,
                    runs_code ? "imports what runs code, or what leads to it"
                              : "imports what is not known to be harmless",
                    name, {.offset = offset_ + begin + import.offset, .line = {}});
    }
  }
  /// A name behind the place where reading ended: only what runs code is told.
  void add_behind(std::string_view module, std::string_view name, std::size_t at) {
    if (!is_plain_name(module) || !is_plain_name(name) ||
        danger_of_import(module, name) != ImportDanger::kRunsCode) {
      return;
    }
    const std::string whole = std::string(module) + "." + std::string(name);
    if (!names_.insert(whole).second) return;
    findings_.add(Rule::kPickleCode, "names what runs code, behind a break in the stream", whole,
                  {.offset = offset_ + at, .line = {}});
  }
  void finish() {
    std::string shown;
    std::size_t count = 0;
    for (const std::string& name : names_) {
      if (count++ == kNamesShown) {
        shown += ", ...";
        break;
      }
      shown += (shown.empty() ? "" : ", ") + name;
    }
    findings_.add(Rule::kPickleFile,
                  "a pickle of protocol " + std::to_string(protocol_) + " that imports " +
                      (names_.empty() ? "nothing" : std::to_string(names_.size()) + " names"),
                  shown, {.offset = offset_, .line = {}});
  }

 private:
  std::uint64_t offset_;
  Findings& findings_;
  std::set<std::string> names_;
  int protocol_ = 0;
};

/// SHORT_BINUNICODE at `at`: its text, with `at` moved behind it and behind a MEMOIZE.
std::string_view short_text_at(std::string_view bytes, std::size_t& at) {
  constexpr char kShortText = '\x8c', kMemoize = '\x94';
  if (bytes.size() - at < 2 || bytes[at] != kShortText) return {};
  const std::string_view text = bytes.substr(at + 2, static_cast<unsigned char>(bytes[at + 1]));
  at = std::min(at + 2 + text.size(), bytes.size());
  if (at < bytes.size() && bytes[at] == kMemoize) ++at;
  return text;
}

/// Some loaders go on where opcodes end: joblib lays the bytes of arrays into the stream. What
/// stands behind is searched for the two forms in which names are written.
void look_behind(std::string_view bytes, std::size_t from, Pickles& report) {
  constexpr std::size_t kNameBytesMax = 256;
  constexpr char kStackGlobal = '\x93';
  for (std::size_t at = from; at < bytes.size(); ++at) {
    if (bytes[at] == 'c' || bytes[at] == 'i') {
      const std::string_view rest = bytes.substr(at + 1, 2 * kNameBytesMax);
      const std::size_t line = rest.find('\n');
      const std::size_t end = line == rest.npos ? rest.npos : rest.find('\n', line + 1);
      if (end != rest.npos) {
        report.add_behind(rest.substr(0, line), rest.substr(line + 1, end - line - 1), at);
      }
      continue;
    }
    std::size_t behind = at;
    const std::string_view module = short_text_at(bytes, behind);
    if (module.empty()) continue;
    const std::string_view name = short_text_at(bytes, behind);
    if (behind < bytes.size() && bytes[behind] == kStackGlobal) {
      report.add_behind(module, name, at);
    }
  }
}

}  // namespace

bool is_pickle(Bytes file) {
  const PickleRun run = run_pickle(as_text(file));
  if (run.why.empty()) {
    return run.has_value && (!run.imports.empty() || run.end == file.size());
  }
  // Broken off: what it had imported and called until then was run. Prose that happens to import
  // names no such thing, and calls nothing.
  return run.called || std::any_of(run.imports.begin(), run.imports.end(), [](const auto& one) {
           return one.second.danger == ImportDanger::kRunsCode;
         });
}

void scan_pickle(Bytes file, std::uint64_t offset, Findings& findings) {
  const std::string_view bytes = as_text(file);
  Pickles report(offset, findings);
  std::size_t begin = 0;
  for (std::size_t pickles = 0; begin < bytes.size(); ++pickles) {
    if (pickles == kPicklesMax) {
      findings.gap("more pickles one after another than are read");
      break;
    }
    const PickleRun run = run_pickle(bytes.substr(begin));
    // What follows the first may be data (tensors of old checkpoints): only what imports, or says
    // that it is a pickle, counts as one more.
    const bool announced = static_cast<unsigned char>(bytes[begin]) == 0x80;
    if (pickles > 0 && !announced && run.imports.empty()) break;
    report.add(run, begin);
    if (run.too_large) {
      findings.gap("pickle: " + run.why);
      break;
    }
    if (!run.why.empty()) {
      findings.add(Rule::kPickleInvalid, run.why, {},
                   {.offset = offset + begin + run.failed_at, .line = {}});
      look_behind(bytes, begin + run.failed_at, report);
      break;
    }
    begin += run.end;
  }
  report.finish();
}

}  // namespace mlxguard::inspect
