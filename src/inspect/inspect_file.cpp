// SPDX-License-Identifier: Apache-2.0
#include "inspect/inspect_file.h"

#include <set>
#include <string>

#include "format/zip.h"
#include "inspect/content_kind.h"
#include "inspect/pickle_scan.h"
#include "inspect/template_scan.h"
#include "inspect/weights_scan.h"
#include "inspect/zip_scan.h"

namespace mlxguard::inspect {
namespace {

/// Kinds that content cannot settle: text may be an old pickle, which has no mark.
bool may_be_pickle(ContentKind kind) {
  switch (kind) {
    case ContentKind::kText:
    case ContentKind::kJson:
    case ContentKind::kYaml:
    case ContentKind::kPython:
    case ContentKind::kScript:
    case ContentKind::kTemplate:
    case ContentKind::kUnknown:
    case ContentKind::kForeign:
    case ContentKind::kMlxfn:
      return true;
    default:
      return false;
  }
}

ContentKind kind_of(Bytes file, std::string_view name) {
  const ContentKind kind = content_kind_of(file, name);
  return may_be_pickle(kind) && is_pickle(file) ? ContentKind::kPickle : kind;
}

constexpr int kNestingMax = 4;  // archives inside of archives

void inspect_kind(ContentKind kind, Bytes file, const FileContext& context, int nesting,
                  Findings& findings);
/// A file may be two things at once, and a loader does not ask what else it is: a pickle reads from
/// the beginning, an archive from its end.
void look_for_more(ContentKind kind, Bytes file, const FileContext& context, int nesting,
                   Findings& findings);

/// The raw tensors of a PyTorch archive, by their numbers: bytes without a form of their own.
bool is_storage(std::string_view name, const std::set<std::string>& checkpoints) {
  constexpr std::string_view kFolder = "/data/";
  const std::size_t folder = name.rfind(kFolder);
  if (folder == name.npos || !checkpoints.contains(std::string(name.substr(0, folder)))) {
    return false;
  }
  const std::string_view number = name.substr(folder + kFolder.size());
  return !number.empty() && number.find_first_not_of("0123456789") == number.npos;
}

/// Everything that an archive holds, looked at like files of the model.
void inspect_archive(ContentKind kind, Bytes file, const FileContext& context, int nesting,
                     Findings& findings) {
  if (nesting >= kNestingMax) return findings.gap("archives are nested too deep");
  const std::string outer = findings.inside();
  std::set<std::string> checkpoints;
  const EntryVisitor visit = [&](const std::string& name, Bytes content) {
    if (has_extension(name, "/data.pkl")) checkpoints.insert(name.substr(0, name.rfind('/')));
    const bool storage = is_storage(name, checkpoints);
    findings.set_inside(outer.empty() ? name : outer + "!" + name);
    FileContext inner;
    inner.name = kind == ContentKind::kCompressed ? context.name : name;
    const ContentKind inner_kind = kind_of(content, inner.name);
    if (!storage) inspect_kind(inner_kind, content, inner, nesting + 1, findings);
    look_for_more(storage ? ContentKind::kUnknown : inner_kind, content, inner, nesting + 1,
                  findings);
    findings.set_inside(outer);
  };
  if (kind == ContentKind::kZip) return scan_zip(file, findings, visit);
  if (kind == ContentKind::kTar) return scan_tar(file, findings, visit);
  const bool gzip = file.size() > 2 && file[0] == 0x1f && file[1] == 0x8b;
  const bool zlib = file.size() > 2 && file[0] == 0x78;
  if (kind == ContentKind::kCompressed && (gzip || zlib)) {
    return scan_deflated(file, gzip ? format::Wrapper::kGzip : format::Wrapper::kZlib, findings,
                         visit);
  }
  findings.gap("archives of this form are not opened");
}

/// Formats that are archives by design: not a finding of their own.
bool is_archive_by_design(std::string_view name) {
  for (const std::string_view extension : {".npz", ".pt", ".pth", ".bin", ".ckpt", ".keras"}) {
    if (has_extension(name, extension)) return true;
  }
  return false;
}

void inspect_text(ContentKind kind, Bytes file, const FileContext& context, Findings& findings) {
  const std::string_view text = as_text(file);
  switch (kind) {
    case ContentKind::kJson: {
      const bool named =
          has_extension(context.name, ".json") || has_extension(context.name, ".ipynb");
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

void inspect_kind(ContentKind kind, Bytes file, const FileContext& context, int nesting,
                  Findings& findings) {
  switch (kind) {
    case ContentKind::kEmpty:
    case ContentKind::kImage:
    case ContentKind::kDocument:
    case ContentKind::kSentencePiece:
      return;
    case ContentKind::kSafetensors:
      return scan_safetensors(file, findings);
    case ContentKind::kElf:
    case ContentKind::kMachO:
    case ContentKind::kPe:
    case ContentKind::kWasm:
      return findings.add(Rule::kFileExecutable,
                          "machine code of the form " + std::string(name_of(kind)));
    case ContentKind::kByteCode:
      return findings.add(Rule::kPythonByteCode, "byte code of Python 3");
    case ContentKind::kZip:
    case ContentKind::kTar:
    case ContentKind::kCompressed:
    case ContentKind::kOtherArchive:
      if (!is_archive_by_design(context.name)) {
        findings.add(Rule::kFileArchive, "an archive of the form " + std::string(name_of(kind)));
      }
      return inspect_archive(kind, file, context, nesting, findings);
    case ContentKind::kPickle:
      return scan_pickle(file, 0, findings);
    case ContentKind::kForeign:
      findings.add(Rule::kFileForeign, "a format that is not inspected");
      return findings.gap("a format that this inspection does not read");
    case ContentKind::kNpy:
      return scan_npy(file, 0, findings);
    case ContentKind::kGguf:
      return scan_gguf(file, findings);
    case ContentKind::kMlxfn:
      return scan_mlxfn(file, findings);
    case ContentKind::kUnknown:
      return findings.gap("of a kind that this inspection does not know");
    default:
      return inspect_text(kind, file, context, findings);
  }
}

void look_for_more(ContentKind kind, Bytes file, const FileContext& context, int nesting,
                   Findings& findings) {
  if (kind != ContentKind::kPickle && is_pickle(file)) scan_pickle(file, 0, findings);
  if (kind == ContentKind::kZip) return;
  const auto begin = format::zip_behind_other_content(file);
  if (!begin) return;
  findings.add(Rule::kArchiveUnsafe, "an archive behind something else: some readers open it", {},
               {.offset = *begin, .line = {}});
  inspect_archive(ContentKind::kZip, file.subspan(static_cast<std::size_t>(*begin)), context,
                  nesting, findings);
}

}  // namespace

FileReport inspect_file(Bytes file, const FileContext& context) {
  FileReport report;
  Findings findings(report);
  ContentKind kind = kind_of(file, context.name);
  const auto promised = promised_by_name(context.name);
  if (promised && !keeps_promise(*promised, kind)) {
    // What has no mark at all is read as its name says: that reader says best what is wrong with
    // it.
    const bool weights = *promised == ContentKind::kSafetensors ||
                         *promised == ContentKind::kGguf || *promised == ContentKind::kNpy ||
                         *promised == ContentKind::kPython;
    if (kind == ContentKind::kUnknown && weights) {
      kind = *promised;
    } else {
      findings.add(Rule::kFileDisguised, "named as " + std::string(name_of(*promised)) +
                                             ", but it is " + std::string(name_of(kind)));
    }
  }
  report.format = name_of(kind);
  inspect_kind(kind, file, context, 0, findings);
  look_for_more(kind, file, context, 0, findings);
  return report;
}

}  // namespace mlxguard::inspect
