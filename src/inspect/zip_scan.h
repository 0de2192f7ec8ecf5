// SPDX-License-Identifier: Apache-2.0
// What archives hold, and how they attack whoever unpacks them: entries that leave the folder,
// links, sizes that lie, bombs, two directories that disagree. ZIP by format/zip, tar by its
// headers, gzip and zlib as one entry. Nothing is written anywhere; entries are
// unpacked into bounded memory. Input: bytes chosen by an attacker.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/byte_reader.h"
#include "format/inflate.h"
#include "inspect/finding.h"

namespace mlxguard::inspect {

/// Called with each entry's content.
using EntryVisitor = std::function<void(const std::string& name, Bytes content)>;

void scan_zip(Bytes file, Findings& findings, const EntryVisitor& visit);
void scan_tar(Bytes file, Findings& findings, const EntryVisitor& visit);
/// gzip (every stream of it) or zlib.
void scan_deflated(Bytes file, format::Wrapper wrapper, Findings& findings,
                   const EntryVisitor& visit);

}  // namespace mlxguard::inspect
