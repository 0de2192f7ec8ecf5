// SPDX-License-Identifier: Apache-2.0
// RECORD: the list of files that an installed distribution (or a wheel) says it consists of, with
// their hashes. Input: bytes chosen by an attacker; the paths in it are judged by whoever uses
// them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace mlxguard::inventory {

struct RecordRow {
  std::string path;
  std::string hash;  ///< "sha256=..." as written; empty where the file cannot have one
  std::optional<std::uint64_t> size;
};

/// Errors: kUtf8, kTooLarge, kDepsRecord (no CSV, a row of other than three fields, a path twice).
[[nodiscard]] Result<std::vector<RecordRow>> parse_record(std::string_view text);

struct FileHash {
  crypto::HashAlgorithm algorithm = crypto::HashAlgorithm::kSha256;
  std::vector<std::uint8_t> digest;
};
/// "sha256=<base64url>" (or sha384, sha512); kDepsRecord for weaker or unknown ones.
[[nodiscard]] Result<FileHash> parse_file_hash(std::string_view text);
/// The digest in the same form.
[[nodiscard]] std::string file_hash_text(const FileHash& hash);
/// The digest of `bytes` in the same form.
[[nodiscard]] std::string file_hash(crypto::HashAlgorithm algorithm, Bytes bytes);

/// One digest over what a wheel put there, the same whichever installer did: rows without those
/// that installers add or make (INSTALLER, REQUESTED, direct_url.json, RECORD, scripts, byte code),
/// sorted. A lock can hold it: then a file that was changed together with its RECORD is found too.
[[nodiscard]] std::string content_digest(const std::vector<RecordRow>& rows);

}  // namespace mlxguard::inventory
