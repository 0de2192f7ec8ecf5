// SPDX-License-Identifier: Apache-2.0
// Any bytes as a key's record, a rotation, a use count or a revocation list. None is accepted
// unless its signatures verify, so the second half signs what the input says and looks past that
// gate.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "base/check.h"
#include "crypto/ec_key.h"
#include "trust/key_records.h"
#include "trust/signed_record.h"

using namespace mlxguard;

namespace {

const crypto::EcPrivateKey& signing_key() {
  static const crypto::EcPrivateKey key = [] {
    auto made = crypto::EcPrivateKey::generate(crypto::Curve::kP256);
    MLXGUARD_CHECK(made.has_value());
    return *std::move(made);
  }();
  return key;
}

std::optional<crypto::EcPublicKey> find_signing_key(std::string_view fingerprint) {
  const crypto::EcPublicKey& key = signing_key().public_key();
  return fingerprint == key.fingerprint() ? std::optional(key) : std::nullopt;
}

void check_list(std::string_view text) {
  const auto list = trust::RevocationList::parse(text, find_signing_key);
  if (!list) {
    MLXGUARD_CHECK(list.error().code == ErrorCode::kKeyRecord ||
                   list.error().code == ErrorCode::kTooLarge);
    return;
  }
  std::set<std::string> seen;
  for (const trust::Revocation& one : list->revocations()) {
    MLXGUARD_CHECK(one.fingerprint.size() == 64 && seen.insert(one.fingerprint).second);
  }
  MLXGUARD_CHECK(list->version() == list->revocations().size() && list->version() > 0);
  const auto again = trust::RevocationList::parse(list->text(), find_signing_key);
  MLXGUARD_CHECK(again.has_value() && again->head() == list->head());
  MLXGUARD_CHECK(again->continues(list->version(), list->head()));
}

void check_records(std::string_view text) {
  if (const auto record = trust::parse_key_record(text)) {
    MLXGUARD_CHECK(!record->not_after || *record->not_after >= record->not_before);
    MLXGUARD_CHECK((record->kind == trust::KeyKind::kToken) == !record->token_uri.empty() ||
                   record->kind == trust::KeyKind::kToken);
  }
  if (const auto rotation = trust::parse_rotation(text)) {
    MLXGUARD_CHECK(rotation->old_key.fingerprint() != rotation->new_key.fingerprint());
  }
  static_cast<void>(trust::parse_use_count(text, signing_key().public_key()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_list(text);
  check_records(text);
  // The same bytes as what a trusted key signed: PEM blocks and fingerprints stand for themselves.
  std::string said(text);
  for (const auto& [mark, value] :
       {std::pair<std::string_view, std::string>{"@F", signing_key().public_key().fingerprint()}}) {
    for (std::size_t at = said.find(mark); at != said.npos && said.size() < 4096;
         at = said.find(mark, at + value.size())) {
      said.replace(at, mark.size(), value);
    }
  }
  for (const std::string_view kind : {"key-record", "key-rotation", "key-uses"}) {
    const std::string type = "application/vnd.mlxguard." + std::string(kind) + ".v1+json";
    const auto envelope = trust::write_signed(type, said, {&signing_key()});
    MLXGUARD_CHECK(envelope.has_value());
    check_records(*envelope);
  }
  return 0;
}
