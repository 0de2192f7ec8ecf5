// SPDX-License-Identifier: Apache-2.0
// Store: verified models by digest below $STATE/store, read-only files of the operator (0400,
// folders 0500), each with a keyed record of what was admitted. A model appears whole or not at
// all; a kill leaves at most an unfinished folder, which the next one removes. Layout:
// models/DIGEST/..., records/DIGEST.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/file_identity.h"
#include "artifact/local_mac.h"
#include "artifact/model_folder.h"
#include "artifact/receipt.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::artifact {

/// A path that names a model of the store: "store:NAME" or "store:DIGEST".
inline constexpr std::string_view kStorePrefix = "store:";

struct StoredModel {
  std::string name;
  std::string root_digest;      ///< lowercase hex: the model's identity and its folder's name
  std::string manifest_digest;  ///< over names, ranges and signed digests
  std::string bundle_digest;    ///< SHA-256 of the bundle's text
  std::string policy;           ///< version of the trust policy that admitted it
  std::string signer;
  std::string signer_name;
  std::string origin;        ///< where it was admitted from: the trust policy judges it by this
  std::string hugging_face;  ///< ORG/NAME, if it was admitted as that
  std::string single_file;   ///< its name, if the model is one file
  std::int64_t admitted_ms = 0;
  std::uint64_t bytes = 0;
  std::vector<std::pair<std::string, FileIdentity>> files;  ///< sorted by name
};

/// A model on its way into the store; removed again unless it is finished.
class IncomingModel {
 public:
  IncomingModel(IncomingModel&&) noexcept = default;
  IncomingModel& operator=(IncomingModel&&) = delete;
  ~IncomingModel();
  [[nodiscard]] const UniqueFd& folder() const { return folder_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  friend class Store;
  IncomingModel(std::filesystem::path path, UniqueFd folder, UniqueFd lock)
      : path_(std::move(path)), folder_(std::move(folder)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  UniqueFd folder_;
  UniqueFd lock_;  ///< of the whole store
};

class Store {
 public:
  /// Makes the folders (0700) if they are not there. Errors: kUnsafePermissions if others may write
  /// them; those of LocalMac.
  [[nodiscard]] static Result<Store> open(const std::filesystem::path& state,
                                          crypto::Random& random);

  /// Every model, sorted by name. A record that does not verify is an Error in its place.
  struct Listed {
    std::string digest;
    Result<StoredModel> model;
  };
  [[nodiscard]] Result<std::vector<Listed>> list() const;
  /// By name, digest, or the first 8 or more characters of one; each with or without "store:".
  /// Errors: kStoreMissing, kStoreReceipt.
  [[nodiscard]] Result<StoredModel> find(std::string_view name_or_digest) const;
  /// Where it can be opened as a model.
  [[nodiscard]] std::filesystem::path path_of(const StoredModel& model) const;

  /// kAlreadyExists if this model, or another of this name, is there.
  [[nodiscard]] Result<void> check_free(const std::string& name, const std::string& digest) const;
  /// An empty folder of ours, to copy a model and its bundle into. Waits for others that add.
  [[nodiscard]] Result<IncomingModel> begin() const;
  /// Writes a bundle (0400) into an incoming model; `name` may have one folder.
  [[nodiscard]] Result<void> put_bundle(const IncomingModel& incoming, const std::string& name,
                                        std::string_view text) const;
  /// Makes it read-only and durable and gives it its name. `model.files` is filled in.
  /// Errors: kAlreadyExists if it or another model of that name is there.
  [[nodiscard]] Result<StoredModel> finish(IncomingModel incoming, StoredModel model) const;
  /// Errors: kStoreMissing, kStoreInUse.
  [[nodiscard]] Result<StoredModel> remove(std::string_view name_or_digest) const;
  /// Writes the record anew after everything was hashed again; `model.files` are the files as they
  /// were hashed. kArtifactChanged if one of them is missing there: it was touched meanwhile.
  [[nodiscard]] Result<void> renew(const StoredModel& model) const;

  /// Held as long as the model's files are read: it cannot be removed meanwhile.
  [[nodiscard]] Result<UniqueFd> hold(const StoredModel& model) const;
  /// Proof that hashing may be left out. Errors: kStoreReceipt if the bundle or the policy is
  /// another one, or if anybody but this user could have written the files.
  [[nodiscard]] Result<Receipt> receipt(const StoredModel& model, std::string_view policy) const;

 private:
  Store(std::filesystem::path root, LocalMac mac) : root_(std::move(root)), mac_(std::move(mac)) {}
  [[nodiscard]] Result<StoredModel> read_record(const std::string& digest) const;
  [[nodiscard]] Result<void> write_record(const StoredModel& model) const;
  [[nodiscard]] std::filesystem::path folder_of(const std::string& digest) const;
  [[nodiscard]] std::filesystem::path record_of(const std::string& digest) const;
  [[nodiscard]] Result<UniqueFd> lock() const;
  void clean_up() const;
  std::filesystem::path root_;
  LocalMac mac_;
};

}  // namespace mlxguard::artifact
