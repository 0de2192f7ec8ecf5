// SPDX-License-Identifier: Apache-2.0
// What the event log reads from its files, which an attacker may have written. The first byte
// chooses: 'c' a checkpoint, 'b' the body of a checkpoint that is then signed, 'k' a verifier key,
// 'j' a journal, 'e' a bundle of entries, 'r' a record for the index. What is accepted keeps its
// promises.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "codec/text.h"
#include "log/checkpoint.h"
#include "log/index.h"
#include "log/journal.h"
#include "log/tiles.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT

namespace {

const crypto::Ed25519Key& key() {
  static const std::vector<std::uint8_t> seed(32, 7);
  static const crypto::Ed25519Key made = *crypto::Ed25519Key::from_seed(Bytes(seed));
  return made;
}

void open_note(const std::string& note) {
  const VerifierKey verifier{"mlxguard/fuzz", key().public_key()};
  const auto checkpoint = open_checkpoint(note, verifier);
  if (!checkpoint.has_value()) {
    MLXGUARD_CHECK(checkpoint.error().code == ErrorCode::kLogCheckpoint);
    return;
  }
  // One reading of a signature: what was accepted is what would be signed.
  const std::string again = sign_checkpoint(*checkpoint, key());
  const std::string body = again.substr(0, again.find("\n\n") + 2);
  MLXGUARD_CHECK(note.starts_with(body));
}

void sign_and_open(Bytes body) {
  const VerifierKey verifier{"mlxguard/fuzz", key().public_key()};
  const auto id = verifier.id();
  const auto signature = key().sign(body);
  std::vector<std::uint8_t> bytes(id.begin(), id.end());
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  open_note(std::string(as_text(body)) + "\n\xe2\x80\x94 mlxguard/fuzz " +
            codec::to_base64(Bytes(bytes)) + "\n");
}

void scan(Bytes bytes) {
  static const JournalKey journal_key(key().seed());
  for (const JournalKey* with : {static_cast<const JournalKey*>(nullptr), &journal_key}) {
    const SegmentScan found = scan_segment(bytes, with, FrameCheck::kMacAndEntries);
    std::uint64_t sum = found.torn_bytes;
    for (const JournalFrame& frame : found.frames) sum += frame.bytes;
    for (const JournalDamage& damage : found.damage) sum += damage.bytes;
    MLXGUARD_CHECK(sum == bytes.size());  // every byte is accounted for, once
    MLXGUARD_CHECK(found.end <= bytes.size());
  }
}

void parse_entries(Bytes bytes) {
  const BundleView view = parse_bundle(bytes, 256);
  std::string again;
  for (const Bytes& entry : view.entries) append_to_bundle(again, entry);
  MLXGUARD_CHECK(as_text(bytes).starts_with(again));
  MLXGUARD_CHECK(view.whole == (again.size() == bytes.size()));
  MLXGUARD_CHECK(view.entries.size() <= 256);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(data + 1, size - 1);
  switch (data[0]) {
    case 'c':
      open_note(std::string(as_text(rest)));
      break;
    case 'b':
      sign_and_open(rest);
      break;
    case 'k':
      if (const auto parsed = VerifierKey::parse(as_text(rest)); parsed.has_value()) {
        MLXGUARD_CHECK(as_text(rest).starts_with(parsed->text()));
      }
      break;
    case 'j':
      scan(rest);
      break;
    case 'e':
      parse_entries(rest);
      break;
    default:
      MLXGUARD_CHECK(row_of(3, rest, 2).bytes == rest.size());
  }
  return 0;
}
