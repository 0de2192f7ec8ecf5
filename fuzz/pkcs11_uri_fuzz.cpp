// SPDX-License-Identifier: Apache-2.0
// Any bytes as a PKCS#11 URI, and as what a token's process answers: what is accepted keeps its
// promises and reads back the same.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "crypto/ec_key.h"
#include "crypto/pkcs11_uri.h"
#include "crypto/pkcs11_wire.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  if (const auto uri = crypto::Pkcs11Uri::parse(as_text(bytes))) {
    MLXGUARD_CHECK(uri->object || uri->id);
    MLXGUARD_CHECK(uri->module_path.starts_with('/') &&
                   uri->module_path.find('\0') == std::string::npos);
    MLXGUARD_CHECK(!uri->pin_file || uri->pin_file->starts_with('/'));
    const std::string text = uri->text();
    if (text.size() <= limits::kTokenUriBytesMax) {
      const auto again = crypto::Pkcs11Uri::parse(text);
      MLXGUARD_CHECK(again.has_value() && again->text() == text);
      MLXGUARD_CHECK(again->object == uri->object && again->id == uri->id &&
                     again->token == uri->token && again->module_path == uri->module_path &&
                     again->pin_file == uri->pin_file);
    }
  } else {
    MLXGUARD_CHECK(uri.error().code == ErrorCode::kTokenUri);
  }
  const Error failure = crypto::read_failure(bytes);
  for (const char c : failure.message) MLXGUARD_CHECK(c >= 0x20 && c < 0x7f);
  if (const auto blocks = crypto::split_blocks(bytes)) {
    MLXGUARD_CHECK(blocks->first.size() + blocks->second.size() + 4 == size);
    const auto key = crypto::EcPublicKey::from_token(blocks->first, blocks->second);
    MLXGUARD_CHECK(!key || key->fingerprint().size() == 64);
  }
  for (const auto curve : {crypto::Curve::kP256, crypto::Curve::kP384, crypto::Curve::kP521}) {
    const auto key = crypto::EcPublicKey::from_token(crypto::parameters_of(curve), bytes);
    MLXGUARD_CHECK(!key || key->curve() == curve);
    static_cast<void>(crypto::der_of_raw_signature(curve, bytes));
  }
  return 0;
}
