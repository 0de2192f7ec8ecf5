// SPDX-License-Identifier: Apache-2.0
// For tests of this folder and of admission: models on disk, and bundles that a signer of ours
// would not write, signed all the same.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "artifact/model_folder.h"
#include "base/check.h"
#include "crypto/ec_key.h"
#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/sign.h"
#include "signature/trusted_keys.h"
#include "signature/verify.h"

namespace mlxguard::signature::test {

namespace fs = std::filesystem;

/// A folder with a model in `model`, removed at the end.
class ModelOnDisk {
 public:
  ModelOnDisk() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-signature-XXXXXX").string();
    MLXGUARD_CHECK(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    fs::create_directory(path());
  }
  ModelOnDisk(const ModelOnDisk&) = delete;
  ModelOnDisk& operator=(const ModelOnDisk&) = delete;
  ~ModelOnDisk() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  [[nodiscard]] const fs::path& root() const { return root_; }
  [[nodiscard]] fs::path path() const { return root_ / "model"; }
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories((path() / name).parent_path());
    std::ofstream(path() / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  fs::path root_;
};

inline crypto::EcPrivateKey new_key(crypto::Curve curve = crypto::Curve::kP256) {
  auto key = crypto::EcPrivateKey::generate(curve);
  MLXGUARD_CHECK(key.has_value());
  return *std::move(key);
}

inline TrustedKeys trusting(const crypto::EcPrivateKey& key) {
  TrustedKeys trusted;
  trusted.add("signer", key.public_key());
  return trusted;
}

inline Result<SignedModel> sign_in_place(const fs::path& path, const crypto::EcPrivateKey& key,
                                         const SignOptions& options = {}) {
  MLXGUARD_TRY_ASSIGN(const auto folder, artifact::ModelFolder::open(path));
  MLXGUARD_TRY_ASSIGN(auto model, sign_model(folder, key, options));
  MLXGUARD_TRY(put_bundle_file(folder, path, model.bundle));
  return model;
}

/// What the policy says of a model where there is no trust.toml.
inline Result<trust::Approval> approve(const Verifier& verifier) {
  trust::Claim claim;
  claim.root_digests = {verifier.report().root_digest};
  claim.signers = verifier.report().signers;
  return trust::Policy::implicit().decide(claim, SystemClock().now());
}

/// The last two stations.
inline Result<VerifiedModel> verify_all(Verifier& verifier, std::string name) {
  MLXGUARD_TRY(verifier.check_digests());
  MLXGUARD_TRY_ASSIGN(const trust::Approval approval, approve(verifier));
  return verifier.verify(std::move(name), approval);
}

/// A bundle around any payload, validly signed.
inline std::string sign_payload(const crypto::EcPrivateKey& key, std::string_view payload,
                                std::optional<std::string> hint) {
  Bundle bundle;
  bundle.payload.assign(payload.begin(), payload.end());
  auto signature = key.sign(pre_authentication_encoding(bundle.payload));
  MLXGUARD_CHECK(signature.has_value());
  bundle.signature = *std::move(signature);
  bundle.key_hint = std::move(hint);
  return write_bundle(bundle);
}

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  MLXGUARD_CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace mlxguard::signature::test
