// SPDX-License-Identifier: Apache-2.0
#include "inspect/inspect_file.h"

#include <string>

#include "base/limits.h"
#include "format/safetensors.h"
#include "inspect/content_kind.h"
#include "inspect/pickle_scan.h"
#include "inspect/template_scan.h"

namespace mlxguard::inspect {
namespace {

void add_error(Rule rule, const Error& error, Findings& findings) {
  const std::string reason =
      error.subject.empty() ? error.message : evidence_of(error.subject) + ": " + error.message;
  findings.add(rule, evidence_of(reason), name_of(error.code));
}

void inspect_safetensors(Bytes file, Findings& findings) {
  const auto index = format::parse_safetensors(file);
  if (!index) add_error(Rule::kSafetensors, index.error(), findings);
}

void inspect_text(ContentKind kind, Bytes file, const FileContext& context, Findings& findings) {
  const std::string_view text = as_text(file);
  switch (kind) {
    case ContentKind::kJson: {
      const bool named = has_extension(context.name, ".json") || has_extension(context.name, ".ipynb");
      scan_json(text, context, named ? Strictness::kMustParse : Strictness::kMayBeOther, findings);
      if (has_extension(context.name, ".ipynb")) {
        findings.add(Rule::kPythonFile, "a notebook: code in cells");
      }
      return;
    }
    case ContentKind::kTemplate:
      scan_template(text, std::string(last_part(context.name)), TemplateOrigin::kFile, findings);
      return;
    case ContentKind::kPython:
      findings.add(Rule::kPythonFile, "Python source");
      return;
    case ContentKind::kScript:
      findings.add(Rule::kFileScript, "starts an interpreter", text.substr(0, text.find('\n')));
      if (has_extension(context.name, ".py")) findings.add(Rule::kPythonFile, "Python source");
      return;
    default:  // prose and whatever configurations are written in
      scan_yaml(text, context, findings);
  }
}

void inspect_kind(ContentKind kind, Bytes file, const FileContext& context, Findings& findings) {
  switch (kind) {
    case ContentKind::kEmpty:
    case ContentKind::kImage:
    case ContentKind::kDocument:
    case ContentKind::kSentencePiece:
      return;
    case ContentKind::kSafetensors:
      return inspect_safetensors(file, findings);
    case ContentKind::kElf:
    case ContentKind::kMachO:
    case ContentKind::kPe:
    case ContentKind::kWasm:
      return findings.add(Rule::kFileExecutable, "machine code of the form " + std::string(name_of(kind)));
    case ContentKind::kByteCode:
      return findings.add(Rule::kPythonByteCode, "byte code of Python 3");
    case ContentKind::kZip:
    case ContentKind::kTar:
    case ContentKind::kCompressed:
    case ContentKind::kOtherArchive:
      findings.add(Rule::kFileArchive, "an archive of the form " + std::string(name_of(kind)));
      return findings.gap("archives of this form are not opened");
    case ContentKind::kPickle:
      return scan_pickle(file, 0, findings);
    case ContentKind::kForeign:
      findings.add(Rule::kFileForeign, "a format that is not inspected");
      return findings.gap("a format that this inspection does not read");
    case ContentKind::kGguf:
    case ContentKind::kNpy:
    case ContentKind::kMlxfn:
    case ContentKind::kUnknown:
      return findings.gap("of a kind that this inspection does not know");
    default:
      return inspect_text(kind, file, context, findings);
  }
}

}  // namespace

FileReport inspect_file(Bytes file, const FileContext& context) {
  FileReport report;
  Findings findings(report);
  ContentKind kind = content_kind_of(file, context.name);
  const auto promised = promised_by_name(context.name);
  if (promised && !keeps_promise(*promised, kind)) {
    // What has no mark at all is read as its name says: that reader says best what is wrong with it.
    const bool weights = *promised == ContentKind::kSafetensors || *promised == ContentKind::kGguf ||
                         *promised == ContentKind::kNpy || *promised == ContentKind::kPython;
    if (kind == ContentKind::kUnknown && weights) {
      kind = *promised;
    } else {
      findings.add(Rule::kFileDisguised, "named as " + std::string(name_of(*promised)) + ", but it is " +
                                             std::string(name_of(kind)));
    }
  }
  report.format = name_of(kind);
  inspect_kind(kind, file, context, findings);
  return report;
}

}  // namespace mlxguard::inspect
