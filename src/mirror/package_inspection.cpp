// SPDX-License-Identifier: Apache-2.0
#include "mirror/package_inspection.h"

#include <algorithm>

#include "base/limits.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "inventory/read.h"
#include "inventory/vendored.h"
#include "inventory/zip_file.h"
#include "packaging/name.h"

namespace mlxguard::mirror {
namespace {

using inventory::Inventory;
using inventory::Observation;

std::string_view unknown_name(Unknown unknown) {
  return unknown_rows()[static_cast<std::size_t>(unknown)].name;
}

Finding unknown(Unknown why, std::string text) {
  return {Verdict::kCouldNotTell, std::string(unknown_name(why)), std::move(text)};
}

std::string words_of(const Error& error) {
  return error.subject.empty() ? error.message : error.subject + ": " + error.message;
}

bool is_sdist(std::string_view filename) {
  return filename.ends_with(".tar.gz") || filename.ends_with(".zip");
}

Result<Inventory> read_package(int fd, std::string_view filename) {
  inventory::ReadOptions options;
  options.threads = 1;  // several files are inspected at once
  if (filename.ends_with(".whl")) return inventory::read_wheel(fd, filename, options);
  return inventory::read_sdist(fd, filename, options);
}

/// What an observation means for a file that is about to be installed.
void judge(const Observation& observation, Judgement& judgement) {
  const auto where = [&](std::string_view what) {
    return observation.where + ": " + std::string(what);
  };
  using Kind = Observation::Kind;
  switch (observation.kind) {
    case Kind::kRecordMismatch:
    case Kind::kRecordMissing:
    case Kind::kUnrecorded:
    case Kind::kDuplicate:
      judgement.findings.push_back({Verdict::kQuarantined,
                                    std::string(name_of(observation.error.code)),
                                    where(observation.error.message)});
      return;
    case Kind::kPathCode:
      judgement.findings.push_back(
          unknown(Unknown::kPathCode, where("runs code each time that Python starts")));
      return;
    case Kind::kInstallHook:
      judgement.findings.push_back(
          unknown(Unknown::kInstallHook, where(observation.error.message)));
      return;
    case Kind::kUnreadable:
      judgement.findings.push_back(unknown(Unknown::kNativePart, where(observation.error.message)));
      return;
    case Kind::kMissing:
    case Kind::kIncomplete:
      return;  // a requirement: the installer asks for it next
  }
}

/// A file of one project may not install another.
void check_name(const Inventory& contents, std::string_view project, Judgement& judgement) {
  for (const inventory::Component& component : contents.components) {
    const bool installed =
        std::any_of(component.evidence.begin(), component.evidence.end(),
                    [](const inventory::Evidence& evidence) {
                      return evidence.kind == inventory::Evidence::Kind::kMetadata;
                    });
    if (!installed || inventory::is_vendored(component)) continue;  // a copy is no proof
    if (packaging::normalize_name(component.name) == project) return;
  }
  judgement.findings.push_back({Verdict::kQuarantined, "wheel.invalid",
                                "its metadata is not that of " + std::string(project)});
}

/// The digest of the text that installers get beside the wheel (PEP 658); empty if it has none.
std::string metadata_sha256_in(int fd) {
  const auto zip = inventory::ZipFile::open(fd);
  if (!zip) return {};
  for (const inventory::ZipEntry& entry : zip->entries()) {
    const auto slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash) != "/METADATA") continue;
    if (!std::string_view(entry.name).substr(0, slash).ends_with(".dist-info")) continue;
    const auto text = zip->read(entry, limits::kMirrorMetadataBytesMax);
    return text ? codec::to_hex(crypto::sha256(as_bytes(*text))) : std::string();
  }
  return {};
}

}  // namespace

PackageInspection inspect_package(int fd, std::string_view project, std::string_view filename) {
  PackageInspection out;
  if (!filename.ends_with(".whl") && !is_sdist(filename)) {
    out.judgement.findings.push_back(
        unknown(Unknown::kFormat, "files of this kind are not opened"));
    return out;
  }
  auto contents = read_package(fd, filename);
  if (!contents) {
    const Error& error = contents.error();
    const bool refused = describe(error.code).exit_class == ExitClass::kRefused;
    out.judgement.findings.push_back(
        refused ? Finding{Verdict::kQuarantined, std::string(name_of(error.code)), words_of(error)}
                : unknown(Unknown::kFormat, words_of(error)));
    return out;
  }
  out.contents = *std::move(contents);
  for (const Observation& observation : out.contents.observations)
    judge(observation, out.judgement);
  check_name(out.contents, project, out.judgement);
  if (filename.ends_with(".whl")) out.judgement.metadata_sha256 = metadata_sha256_in(fd);
  return out;
}

}  // namespace mlxguard::mirror
