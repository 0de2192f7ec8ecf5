// SPDX-License-Identifier: Apache-2.0
#include "inspect/folder_rules.h"

#include <sys/stat.h>

#include "base/limits.h"
#include "codec/unicode.h"

namespace mlxguard::inspect {
namespace {

bool deceives(std::string_view name) {
  while (!name.empty()) {
    const codec::CodePoint point = codec::decode_utf8(name);
    if (!point.valid || codec::is_hidden(point.value)) return true;
    name.remove_prefix(point.bytes);
  }
  return false;
}

void judge_link(const Entry& entry, Findings& findings) {
  switch (entry.link_place) {
    case LinkPlace::kInside:
      return findings.add(Rule::kLinkInside, "a link to another place of the model",
                          entry.link_target);
    case LinkPlace::kOutside:
      findings.add(Rule::kLinkOutside, "a link that leaves the model", entry.link_target);
      return findings.gap("a link to what is outside of the model is not followed");
    case LinkPlace::kNowhere:
      return findings.add(Rule::kLinkDangling, "a link that leads nowhere, or in a circle",
                          entry.link_target);
  }
}

}  // namespace

FolderRules::FolderRules(const Folder::Listing& listing) : listing_(listing) {
  for (const Entry& entry : listing.entries) {
    if (entry.kind == EntryKind::kRegular && entry.names > 1) {
      ++names_inside_[{entry.device, entry.inode}];
    }
  }
}

void FolderRules::judge(const Entry& entry, Findings& findings) const {
  if (deceives(entry.name)) {
    findings.add(Rule::kFileName, "control, invisible or malformed characters in its name",
                 entry.name);
  }
  if (entry.kind == EntryKind::kLink) return judge_link(entry, findings);
  if (entry.kind == EntryKind::kSpecial) {
    const char* what = S_ISFIFO(entry.mode)   ? "a fifo"
                       : S_ISSOCK(entry.mode) ? "a socket"
                       : S_ISCHR(entry.mode)  ? "a character device"
                                              : "a block device";
    return findings.add(Rule::kFileSpecial, what);
  }
  if ((entry.mode & (S_ISUID | S_ISGID)) != 0) {
    findings.add(Rule::kFileSetuid,
                 (entry.mode & S_ISUID) != 0 ? "its setuid bit is set" : "its setgid bit is set");
  }
  if ((entry.mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0) {
    findings.add(Rule::kFileMode, "its mode allows to start it");
  }
  if (entry.names > 1) {
    const std::uint64_t inside = names_inside_.at({entry.device, entry.inode});
    if (inside < entry.names) {
      findings.add(Rule::kHardLink, "the same file has a name outside of the model");
    } else {
      findings.add(Rule::kHardLink, Severity::kInfo, "the same file has another name in the model");
    }
  }
}

void FolderRules::judge_whole(Findings& findings) const {
  if (listing_.depth <= limits::kInspectDepthMax) return;
  findings.add(Rule::kFolderDepth,
               "folders are nested " + std::to_string(listing_.depth) + " deep");
}

}  // namespace mlxguard::inspect
