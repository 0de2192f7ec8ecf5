// SPDX-License-Identifier: Apache-2.0
#include "artifact/receipt.h"

namespace mlxguard::artifact {

Result<void> Receipt::check_model(const std::string& root_digest,
                                  const std::string& manifest_digest,
                                  std::span<const FileEntry> entries) const {
  if (root_digest != root_digest_ || manifest_digest != manifest_digest_ ||
      entries.size() != files_.size()) {
    return make_error(ErrorCode::kStoreReceipt, "the receipt is of another model")
        .compared(root_digest_, root_digest);
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].name != files_[i].first) {
      return make_error(ErrorCode::kStoreReceipt, "the receipt is of other files")
          .about(entries[i].name);
    }
  }
  return {};
}

Result<void> Receipt::check_files(std::span<const FileEntry> entries,
                                  std::span<const std::optional<FileIdentity>> identities) const {
  MLXGUARD_CHECK(entries.size() == identities.size() && entries.size() == files_.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!identities[i] || *identities[i] != files_[i].second) {
      return make_error(ErrorCode::kStoreReceipt, "the file was touched since it was admitted")
          .about(entries[i].name);
    }
  }
  return {};
}

}  // namespace mlxguard::artifact
