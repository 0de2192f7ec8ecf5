// SPDX-License-Identifier: Apache-2.0
// LocalMac: recognises texts that this installation wrote itself: receipts, records of the store,
// digests remembered for signing again. The key is made here, never leaves the state folder (0600),
// and means nothing elsewhere. What verifies was written by someone who can read that key; nothing
// else is parsed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace mlxguard::artifact {

class LocalMac {
 public:
  /// Reads the key file of the folder, or makes it. Errors: kKeyPermissions if others may read it
  /// or it is not this user's; kKeyFormat; kIo.
  [[nodiscard]] static Result<LocalMac> open(const std::filesystem::path& keys_folder,
                                             crypto::Random& random);

  /// `context` keeps texts of one kind from passing for another.
  [[nodiscard]] std::string seal(std::string_view context, std::string_view text) const;
  /// The text inside. Errors: kStoreReceipt.
  [[nodiscard]] Result<std::string_view> unseal(std::string_view context,
                                                std::string_view untrusted) const;

 private:
  explicit LocalMac(crypto::Secret key) : key_(std::move(key)) {}
  [[nodiscard]] std::string mac_of(std::string_view context, std::string_view text) const;
  crypto::Secret key_;
};

/// Writes a file so that after a crash the old or the new one is there, whole; mode 0600.
[[nodiscard]] Result<void> replace_file(const std::filesystem::path& path, std::string_view text);
/// Bounded; refuses links. Errors: kNotFound, kTooLarge, kIo.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::size_t bytes_max);

}  // namespace mlxguard::artifact
