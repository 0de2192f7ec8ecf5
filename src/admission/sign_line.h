// SPDX-License-Identifier: Apache-2.0
// The signing line: open the model and the key -> hash -> sign -> put the bundle in its place. The
// use of a key and the signature are on record before the bundle is on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "artifact/digest_cache.h"
#include "artifact/model_folder.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/key_store.h"
#include "crypto/pkcs11_key.h"
#include "record/event.h"
#include "signature/statement.h"

namespace mlxguard::admission {

/// What is signed, and how it is hashed.
struct SignScope {
  std::vector<std::string> ignored{};
  artifact::HashPlan plan{};
  artifact::Links links = artifact::Links::kRefused;
  /// Of the key, the leaf first: verifiers then trust the authority and not the key. May be empty.
  std::vector<crypto::Certificate> certificates{};
  /// Where digests are remembered, so that signing again hashes only what changed; empty: nowhere.
  std::filesystem::path digests_folder{};
  const artifact::LocalMac* mac = nullptr;  ///< of that folder
  /// Replaces the model's signature, or adds one of a further signer over the same list of files.
  enum class Place : std::uint8_t { kFirst, kFurther } place = Place::kFirst;
  enum class Known : std::uint8_t { kReused, kHashedAgain } known = Known::kReused;
};

struct SignRequest {
  std::filesystem::path path;
  std::string key_name;
  std::function<Result<crypto::Secret>()>
      passphrase;  ///< asked for only if the key's file is in order
  artifact::Progress progress{};
  /// Asked for instead of the passphrase if the key is on a token.
  std::function<Result<crypto::Secret>()> pin{};
  crypto::TokenOptions token{};
  /// Public keys that are trusted besides those of the store: they may have signed revocations.
  std::vector<std::filesystem::path> public_keys{};
  SignScope scope{};
};

struct Signed {
  std::filesystem::path signature_file;
  std::string root_digest;
  std::string signer;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t hashed_bytes = 0;
  signature::RootDigests root_digests;
};

/// Errors: those of ModelFolder and KeyStore (a key that does not open is an event `key.refused`),
/// of sign_model and put_bundle_file (an event `model.signed` that failed), kLogWrite.
[[nodiscard]] Result<Signed> sign(const SignRequest& request, const crypto::KeyStore& keys,
                                  record::Sink& sink, const Clock& clock);

}  // namespace mlxguard::admission
