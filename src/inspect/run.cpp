// SPDX-License-Identifier: Apache-2.0
#include "inspect/run.h"

#include <algorithm>

#include "base/limits.h"
#include "inspect/folder_rules.h"
#include "inspect/walk.h"

namespace mlxguard::inspect {
namespace {

std::string folder_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? std::string() : name.substr(0, slash + 1);
}

/// Names in the folder of a weights index, sorted; other files need none.
template <class Items>
FileContext context_of(const std::string& name, const Items& items) {
  FileContext context;
  context.name = name;
  if (!is_weights_index(name)) return context;
  const std::string folder = folder_of(name);
  for (const auto& item : items) {
    if (folder_of(item.name) == folder) context.siblings.push_back(item.name.substr(folder.size()));
  }
  std::sort(context.siblings.begin(), context.siblings.end());
  return context;
}

/// Keeps the report within its bound: what is dropped is said.
void add_bounded(Report& report, InspectedFile file, FileReport found) {
  if (report.findings.size() + found.findings.size() > limits::kInspectFindingsMax) {
    found.findings.clear();
    found.gap = "more findings than a report holds";
  }
  report.add(std::move(file), std::move(found));
}

Result<FileReport> look_into(const Folder& folder, const Entry& entry, const FileContext& context,
                             Inspector& inspector) {
  auto fd = folder.open_listed(entry);
  if (!fd) {
    FileReport unopened;
    unopened.gap = "could not be opened: " + fd.error().message;
    return unopened;
  }
  MLXGUARD_TRY_ASSIGN(FileReport report, inspector.inspect(fd->get(), entry.size_bytes, context));
  if (!folder.unchanged(entry, fd->get())) {
    Findings(report).gap("it changed while it was inspected");
  }
  return report;
}

}  // namespace

Result<Report> run(const std::filesystem::path& model, Inspector& inspector,
                   const Progress& progress) {
  MLXGUARD_TRY_ASSIGN(const Folder folder, Folder::open(model));
  MLXGUARD_TRY_ASSIGN(const Folder::Listing listing, folder.list());
  Report report;
  report.model = model.string();
  std::uint64_t total = 0;
  for (const Entry& entry : listing.entries) {
    if (entry.kind == EntryKind::kRegular) total += entry.size_bytes;
  }
  const FolderRules folder_rules(listing);
  for (const Entry& entry : listing.entries) {
    FileReport found;
    Findings findings(found);
    folder_rules.judge(entry, findings);
    InspectedFile file{entry.name, {}, 0};
    if (entry.kind == EntryKind::kRegular) {
      file.size_bytes = entry.size_bytes;
      const FileContext context = context_of(entry.name, listing.entries);
      MLXGUARD_TRY_ASSIGN(FileReport content, look_into(folder, entry, context, inspector));
      found.format = content.format;
      found.findings.insert(found.findings.end(), content.findings.begin(), content.findings.end());
      findings.gap(content.gap);
    }
    add_bounded(report, std::move(file), std::move(found));
    if (progress) progress(report.bytes, total);
  }
  FileReport whole;
  Findings findings(whole);
  folder_rules.judge_whole(findings);
  for (Finding& finding : whole.findings) {
    finding.file = evidence_of(listing.deepest);
    report.findings.push_back(std::move(finding));
  }
  for (const Folder::Gap& gap : listing.gaps) {
    report.add_gap(gap.name, gap.why);
  }
  report.sort();
  return report;
}

Result<Report> run_open(std::span<const OpenFile> files, Inspector& inspector,
                        const Progress& progress) {
  Report report;
  std::uint64_t total = 0;
  for (const OpenFile& file : files) total += file.size_bytes;
  for (const OpenFile& file : files) {
    MLXGUARD_TRY_ASSIGN(FileReport found,
                        inspector.inspect(file.fd, file.size_bytes, context_of(file.name, files)));
    add_bounded(report, {file.name, {}, file.size_bytes}, std::move(found));
    if (progress) progress(report.bytes, total);
  }
  report.sort();
  return report;
}

}  // namespace mlxguard::inspect
