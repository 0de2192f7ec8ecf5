// SPDX-License-Identifier: Apache-2.0
// Verifies a log: every entry against the tiles, every tile against the signed root, the root
// against heads that were seen before, the journal, and the index. Believes nothing in the log's
// folder but what the key's signature covers. Memory does not grow with the log.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/secret.h"
#include "log/checkpoint.h"

namespace mlxguard::log {

struct Finding {
  ErrorCode code;
  std::string subject;                       ///< file in the log's folder, or "entry N"
  std::optional<std::uint64_t> first_entry;  ///< the entries that it is about
  std::optional<std::uint64_t> last_entry;
  std::string message;
};

struct VerifyOptions {
  /// A copy of a log, taken elsewhere, has no head beside it; where the log lives, a missing head
  /// is a finding.
  enum class Head : std::uint8_t { kRequired, kIfThere };

  /// The key that must have signed. Absent: the one that DIR/log.vkey names, which an attacker who
  /// writes to the folder can replace; give the key where it is known.
  std::optional<crypto::Ed25519PublicKey> public_key;
  /// To check the journal's authentication codes as well: the log's private key.
  const crypto::Ed25519Key* log_key = nullptr;
  /// Copy of the last checkpoint; empty: log.head beside the folder.
  std::filesystem::path head_path;
  Head head = Head::kRequired;
  /// Text of a checkpoint that was seen before (collector, witness); the log must extend it.
  std::optional<std::string> previous_checkpoint;
  std::size_t findings_max = 1000;
};

struct VerifyReport {
  std::string origin;
  std::uint64_t size = 0;            ///< entries that the checkpoint covers
  std::string root;                  ///< base64, as in the checkpoint
  std::uint64_t journal_events = 0;  ///< durable, not yet in the tree
  std::vector<Finding> findings;
  std::uint64_t findings_left_out = 0;

  [[nodiscard]] bool ok() const { return findings.empty(); }
};

/// Errors only where nothing could be looked at: kLogNotFound, kPermission, kIo. What is wrong with
/// the log is in the findings. Works beside a running writer.
[[nodiscard]] Result<VerifyReport> verify_log(const std::filesystem::path& dir,
                                              const VerifyOptions& options = {});

}  // namespace mlxguard::log
