// SPDX-License-Identifier: Apache-2.0
// Receipt: proof that this installation hashed these very files when it admitted them to its store,
// and that nobody but the operator could have written them since. It exists only if its text
// verified under the key of the installation and the files' permissions were checked
// (artifact/store.h makes it). It stands for hashing alone: the signature and the trust policy are
// asked every time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "artifact/file_identity.h"
#include "artifact/model_folder.h"
#include "base/result.h"

namespace mlxguard::artifact {

class Receipt {
 public:
  /// The receipt is of this list of files. Errors: kStoreReceipt.
  [[nodiscard]] Result<void> check_model(const std::string& root_digest,
                                         const std::string& manifest_digest,
                                         std::span<const FileEntry> entries) const;
  /// The files that were read are the files that were hashed, untouched. Errors: kStoreReceipt.
  [[nodiscard]] Result<void> check_files(
      std::span<const FileEntry> entries,
      std::span<const std::optional<FileIdentity>> identities) const;

 private:
  friend class Store;
  Receipt() = default;
  std::string root_digest_;
  std::string manifest_digest_;
  std::vector<std::pair<std::string, FileIdentity>> files_;  ///< sorted by name
};

}  // namespace mlxguard::artifact
