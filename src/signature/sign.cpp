// SPDX-License-Identifier: Apache-2.0
#include "signature/sign.h"

#include <time.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>

#include "base/limits.h"
#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/statement.h"

namespace mlxguard::signature {
namespace {

Result<std::vector<std::string>> ignored_paths(const SignOptions& options) {
  std::vector<std::string> ignored;
  if (options.exclusions == Exclusions::kDefaultAndStated) ignored = default_ignored_paths();
  for (const std::string& path : options.ignored) {
    // The specification knows no patterns: an asterisk would silently ignore nothing.
    if (path == "." || !is_resource_name(path) || path.find_first_of("*?[") != std::string::npos) {
      return make_error(ErrorCode::kUsage, "expected a relative path inside the model to ignore")
          .about(path);
    }
    if (std::find(ignored.begin(), ignored.end(), path) == ignored.end()) ignored.push_back(path);
  }
  return ignored;
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);  // the clock that file times are taken from
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Hashed {
  std::vector<artifact::FileDigest> digests;
  std::uint64_t hashed_bytes = 0;
};

/// The files whose digests nobody knows.
struct Unknown {
  std::vector<artifact::FileEntry> files{};
  std::vector<artifact::Writers> writers{};  ///< before they were hashed
  std::uint64_t bytes = 0;
};

/// Takes what the cache knows.
Result<Unknown> take_known(const artifact::ModelFolder& folder,
                           const std::vector<artifact::FileEntry>& entries,
                           artifact::DigestCache* cache, Hashed& hashed) {
  Unknown unknown;
  for (const artifact::FileEntry& entry : entries) {
    const std::vector<artifact::FileDigest>* known = nullptr;
    if (cache != nullptr) {
      MLXGUARD_TRY_ASSIGN(const auto identity, folder.identify(entry.name));
      if (identity.size_bytes == entry.size_bytes) known = cache->find(entry.name, identity);
    }
    if (known != nullptr) {
      hashed.digests.insert(hashed.digests.end(), known->begin(), known->end());
      continue;
    }
    auto writers = artifact::Writers::kUnknown;
    if (cache != nullptr) {
      MLXGUARD_TRY_ASSIGN(writers, folder.writers(entry.name));
    }
    unknown.files.push_back(entry);
    unknown.writers.push_back(writers);
    unknown.bytes += entry.size_bytes;
  }
  return unknown;
}

/// Remembers the digests of the files that were hashed now, but for those that somebody may write
/// to without a record. Where the kernel does not say, the times alone have to do: the worst that
/// could come of it is a signature over bytes that this installation signed before.
void remember(artifact::DigestCache& cache, const Unknown& hashed,
              const std::vector<artifact::FileDigest>& digests,
              const std::vector<std::optional<artifact::FileIdentity>>& identities,
              std::int64_t started_ns) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < hashed.files.size(); ++i) {
    const std::string& name = hashed.files[i].name;
    std::vector<artifact::FileDigest> own;
    while (next < digests.size() && digests[next].name == name) own.push_back(digests[next++]);
    if (identities[i] && hashed.writers[i] != artifact::Writers::kSome) {
      cache.put(name, *identities[i], std::move(own), started_ns);
    }
  }
}

/// Half of the old bytes and half of the new ones are no file that anybody could vouch for.
Result<void> check_unchanged(const std::vector<artifact::FileEntry>& files,
                             const std::vector<std::optional<artifact::FileIdentity>>& identities) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (identities[i]) continue;
    return make_error(ErrorCode::kArtifactChanged, "a file changed while it was read")
        .about(files[i].name)
        .hinting("sign again when nothing writes to the model any more");
  }
  return {};
}

Result<Hashed> hash_all(const artifact::ModelFolder& folder,
                        const std::vector<artifact::FileEntry>& entries,
                        const SignOptions& options) {
  const std::int64_t started_ns = now_ns();
  Hashed hashed;
  MLXGUARD_TRY_ASSIGN(const Unknown unknown, take_known(folder, entries, options.cache, hashed));
  hashed.hashed_bytes = unknown.bytes;
  std::vector<std::optional<artifact::FileIdentity>> identities;
  MLXGUARD_TRY_ASSIGN(auto fresh,
                      folder.hash(unknown.files, options.plan, options.progress, &identities));
  MLXGUARD_TRY(check_unchanged(unknown.files, identities));
  if (options.cache != nullptr) remember(*options.cache, unknown, fresh, identities, started_ns);
  hashed.digests.insert(hashed.digests.end(), std::make_move_iterator(fresh.begin()),
                        std::make_move_iterator(fresh.end()));
  return hashed;
}

}  // namespace

Result<SignedModel> sign_model(const artifact::ModelFolder& folder, const crypto::Signer& key,
                               const SignOptions& options) {
  Statement statement;
  statement.algorithm = options.plan.algorithm;
  statement.shard_bytes = options.plan.shard_bytes;
  statement.links = folder.links();
  statement.subject_name = folder.base_name();
  MLXGUARD_TRY_ASSIGN(statement.ignored_paths, ignored_paths(options));
  std::vector<std::string> skipped = statement.ignored_paths;
  skipped.push_back(unfinished_file_of(options.bundle_file));
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate(skipped));
  SignedModel model;
  for (const artifact::FileEntry& entry : entries) {
    if (!is_resource_name(entry.name)) {
      return make_error(ErrorCode::kArtifactName, "expected a file name without control characters")
          .about(entry.name);
    }
    model.bytes += entry.size_bytes;
  }
  MLXGUARD_TRY_ASSIGN(Hashed hashed, hash_all(folder, entries, options));
  model.hashed_bytes = hashed.hashed_bytes;
  statement.resources = std::move(hashed.digests);
  sort_by_resource_name(statement.resources, statement.shard_bytes);
  statement.root_digest = root_digest_of(statement.resources);

  if (options.same_as != nullptr && !says_the_same(statement, *options.same_as)) {
    return make_error(ErrorCode::kRootDigest, "the files are not what the first signature lists")
        .compared(options.same_as->root_digest, statement.root_digest)
        .hinting("verify the model; to replace its signature, sign without --add");
  }
  const std::string payload = write_statement(statement);
  Bundle bundle;
  bundle.certificates = options.certificates;
  if (bundle.certificates.empty()) bundle.key_hint = key.public_key().fingerprint();
  bundle.payload.assign(payload.begin(), payload.end());
  MLXGUARD_TRY_ASSIGN(bundle.signature, key.sign(pre_authentication_encoding(bundle.payload)));
  model.bundle = write_bundle(bundle);
  if (model.bundle.size() > limits::kBundleBytesMax) {
    return make_error(ErrorCode::kTooLarge,
                      "the list of files is larger than a verifier would read")
        .hinting("take larger shards");
  }
  model.root_digest = statement.root_digest;
  model.root_digests = root_digests_of(std::move(statement.resources), statement.shard_bytes);
  model.files = entries.size();
  return model;
}

Result<std::vector<std::vector<std::uint8_t>>> certificates_for(
    std::span<const crypto::Certificate> chain, const crypto::EcPublicKey& key, WallTime now) {
  std::vector<std::vector<std::uint8_t>> ders;
  if (chain.empty()) return ders;
  MLXGUARD_TRY(chain.front().check_may_sign(now));
  MLXGUARD_TRY_ASSIGN(const crypto::EcPublicKey certified, chain.front().public_key());
  if (certified.fingerprint() != key.fingerprint()) {
    return make_error(ErrorCode::kCertificateInvalid,
                      "the certificate is of another key than the one that signs")
        .about(chain.front().subject())
        .compared(key.fingerprint(), certified.fingerprint());
  }
  for (const crypto::Certificate& one : chain) ders.push_back(one.der());
  return ders;
}

}  // namespace mlxguard::signature
