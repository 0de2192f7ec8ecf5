// SPDX-License-Identifier: Apache-2.0
// The names of what lies beside the keys in the key folder.
#pragma once

#include <string>
#include <string_view>

#include "crypto/key_folder.h"
#include "trust/key_records.h"

namespace mlxguard::trust {

inline constexpr std::string_view kRecordSuffix = ".rec";         // NAME.rec: KeyRecord
inline constexpr std::string_view kRotationSuffix = ".rotation";  // OLD.rotation: Rotation
/// The rotation of the key that the first one made lies beside the first key too, and so on:
/// OLD.rotation.2, OLD.rotation.3.
[[nodiscard]] std::string rotation_suffix(std::size_t number);
inline constexpr std::string_view kUsesSuffix = ".uses";  // NAME.uses: UseCount
inline constexpr std::string_view kRevocationsFile = "revocations.json";
/// "VERSION HEAD\n" of the newest revocation list that was looked at here.
inline constexpr std::string_view kSeenFile = "revocations.seen";

[[nodiscard]] crypto::KeyFile seen_file(const RevocationList& list);

}  // namespace mlxguard::trust
