// SPDX-License-Identifier: Apache-2.0
// `mlxguard compat`: the command lines of other model signing tools, so that scripts written for
// them run unchanged. What a flag means is theirs; what is good enough to be signed or verified is
// ours. Nothing here loads a model, and the trust policy is not asked: the caller names the one key
// to believe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "passphrase_options.h"
#include "session.h"

namespace mlxguard::cli {

/// How a signature is made or checked, as those tools name it.
enum class CompatMethod : std::uint8_t {
  kKey,
  kCertificate,
  kPkcs11Key,
  kPkcs11Certificate,
  kSigstore
};

struct CompatOptions {
  CompatMethod method = CompatMethod::kKey;
  std::string model;
  std::string signature;
  std::vector<std::string> ignore_paths;
  bool ignore_git_paths = true;
  bool ignore_unsigned_files = false;
  bool allow_symlinks = false;
  std::string private_key;
  std::string password;  ///< on the command line, as the Python tool takes it
  std::string public_key;
  std::string pkcs11_uri;
  std::string signing_certificate;
  std::vector<std::string> certificate_chain;
  bool log_fingerprints = false;
  std::vector<std::string> crls;
  std::string identity;  ///< that the certificate has to name
  /// sha256, blake2b, blake3; `shard_size` in bytes or 0. The Python command has no such flags.
  std::string hash = "sha256";
  std::uint64_t shard_size = 0;
  PassphraseOptions passphrase;
};

/// Each prints how it ended as the Python tool does; 0 or 1.
[[nodiscard]] Result<int> compat_sign(Session& session, const CompatOptions& options);
[[nodiscard]] Result<int> compat_verify(Session& session, const CompatOptions& options);
[[nodiscard]] Result<int> compat_digest(Session& session, const CompatOptions& options);

/// Where the model is: a link that names the whole model is followed if links are allowed at all.
[[nodiscard]] std::string compat_model_path(const CompatOptions& options);
/// Paths to leave out, relative to the model; those outside of it match nothing. kUsage for the
/// model itself.
[[nodiscard]] Result<std::vector<std::string>> compat_ignored(const CompatOptions& options);
/// The same for one path.
[[nodiscard]] std::optional<std::string> path_below(const std::string& model,
                                                    const std::string& path);

/// "Signing failed with error: ...", or JSON, with everything that was found; 1, whatever the
/// error's own exit status.
[[nodiscard]] int compat_failed(const Session& session, std::string_view what, const Error& error,
                                const std::vector<Error>& findings = {});
/// What is not offered: keyless signatures.
[[nodiscard]] Error not_offered(CompatMethod method);

}  // namespace mlxguard::cli
