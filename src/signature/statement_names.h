// SPDX-License-Identifier: Apache-2.0
// Fixed texts of statements, shared by the reader and the writer; nobody else needs them.
#pragma once

#include <cstddef>
#include <string_view>

#include "crypto/digest.h"

namespace mlxguard::signature {

inline constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
inline constexpr std::string_view kPredicateTypeV1 = "https://model_signing/signature/v1.0";
inline constexpr std::string_view kPredicateTypeLegacy = "https://model_signing/Digests/v0.1";

struct HashName {
  std::string_view name;
  crypto::HashAlgorithm algorithm;
  std::size_t digest_bytes;
};
inline constexpr HashName kHashes[] = {
    {"sha256", crypto::HashAlgorithm::kSha256, 32},
    {"blake2b", crypto::HashAlgorithm::kBlake2b512, 64},
    {"blake3", crypto::HashAlgorithm::kBlake3, 32},
};

}  // namespace mlxguard::signature
