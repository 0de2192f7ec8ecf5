// SPDX-License-Identifier: Apache-2.0
// What an inventory holds: the parts of a Python environment, project or wheel, and of the native
// files inside them, each with the evidence for it. Data only. Everything in it came from files
// that are not trusted: texts are for showing, never for running.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::inventory {

/// How a component was found; where (a path relative to the inventoried root) and what was seen.
struct Evidence {
  enum class Kind : std::uint8_t {
    kMetadata,   ///< dist-info METADATA
    kLockFile,   ///< a requirements or lock file
    kSbom,       ///< an SBOM that the wheel carries
    kNeeded,     ///< ELF NEEDED or Mach-O LC_LOAD_DYLIB
    kFile,       ///< a shared library that is there
    kSymbols,    ///< symbol names
    kStrings,    ///< other bytes of a binary
    kKnowledge,  ///< our table: what the build of this version is known to fetch
  };
  Kind kind = Kind::kMetadata;
  std::string where;
  std::string what;
};

enum class Confidence : std::uint8_t { kLow, kMedium, kHigh };

struct Component {
  enum class Kind : std::uint8_t { kApplication, kPackage, kNative, kModel };
  Kind kind = Kind::kPackage;
  std::string purl;     ///< canonical package URL; the component's identity
  std::string name;     ///< as its ecosystem normalises it (PEP 503 for PyPI)
  std::string version;  ///< as found; empty when it could not be told
  Confidence confidence = Confidence::kHigh;
  std::vector<Evidence> evidence;
  std::vector<std::string> needs;   ///< purls of components that it requires, directly
  /// Of a lock: markers of `needs`, by purl. A need without a marker here holds everywhere.
  std::map<std::string, std::string> need_markers;
  std::vector<std::string> hashes;  ///< "sha256:<hex>"; of the distribution files, where known
  std::string license;              ///< as declared; may be empty
  std::size_t line = 0;             ///< in the lock file that names it; 0: not told
  std::string location;             ///< relative to the inventoried root; may be empty
  /// What else is known, by name: "installer", "source_url", "commit", "extras", "record_digest",
  /// "signer", "root_digest" ... Sorted by name.
  std::vector<std::pair<std::string, std::string>> properties;
  bool direct = false;  ///< asked for by name (REQUESTED, a top-level requirement)
  /// Of a lock that tells by its needs which packages are wanted (uv.lock): wanted where the
  /// project asks for it or a wanted package needs it. Otherwise: wherever its "marker" holds.
  bool wanted_by_need = false;
};

/// Something about an environment that its reader should know, and that is no component.
struct Observation {
  enum class Kind : std::uint8_t {
    kRecordMismatch,  ///< a file differs from RECORD
    kRecordMissing,   ///< a file of RECORD is not there, or there is no RECORD
    kUnrecorded,      ///< a file that no RECORD lists
    kPathCode,        ///< a .pth file with code
    kInstallHook,     ///< setup.py, build hooks, sitecustomize
    kDuplicate,       ///< two dist-infos of one name
    kUnreadable,      ///< skipped: see the error
    kMissing,         ///< a requirement that nothing here provides
    kIncomplete,      ///< a file that does not claim to list everything: see the error
  };
  Kind kind = Kind::kUnreadable;
  std::string component;  ///< purl; may be empty
  std::string where;      ///< relative path
  Error error;            ///< code and words
};

/// What a lock file says about itself.
struct LockTerms {
  std::string requires_python{};            ///< specifiers (PEP 440); empty: it does not say
  std::vector<std::string> environments{};  ///< markers, one of which must hold; none: everywhere
  std::vector<std::string> extras{}, groups{};
  std::vector<std::string> default_groups{};  ///< normalised; installed unless somebody opts out
};

struct Inventory {
  std::string root;    ///< what was inventoried, as the user named it
  std::string source;  ///< "environment", "wheel", "sdist", "requirements", "pylock", "uv",
                       ///< "poetry", "project", "sbom", "self"
  std::vector<Component> components;      ///< sorted by purl
  std::vector<Observation> observations;  ///< sorted by path
  LockTerms terms;                        ///< of a lock file
};

}  // namespace mlxguard::inventory
