// SPDX-License-Identifier: Apache-2.0
#include "log/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::log {
namespace {

constexpr std::uint8_t kAlgorithmEd25519 = 0x01;
constexpr std::string_view kSignatureStart = "\xe2\x80\x94 ";  // an em dash and a space
constexpr std::size_t kKeyIdBytes = 4;
constexpr std::size_t kSignaturesMax = 100;

Error malformed(std::string what) { return make_error(ErrorCode::kLogCheckpoint, std::move(what)); }

std::vector<std::uint8_t> tagged(const crypto::Ed25519PublicKey& key) {
  std::vector<std::uint8_t> bytes{kAlgorithmEd25519};
  bytes.insert(bytes.end(), key.begin(), key.end());
  return bytes;
}

/// Takes one line off the front of `rest`; the line must end in a newline.
Result<std::string_view> take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    return malformed("expected a line end, found the end of the checkpoint");
  }
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  const bool canonical = text == "0" || (!text.empty() && text[0] != '0');
  if (error != std::errc() || end != text.data() + text.size() || !canonical) {
    return malformed("expected a decimal tree size on the second line");
  }
  return size;
}

Result<Checkpoint> parse_body(std::string_view body) {
  Checkpoint checkpoint;
  MLXGUARD_TRY_ASSIGN(const std::string_view origin, take_line(body));
  checkpoint.origin = std::string(origin);
  if (origin.empty()) return malformed("expected an origin on the first line, found none");
  MLXGUARD_TRY_ASSIGN(const std::string_view size, take_line(body));
  MLXGUARD_TRY_ASSIGN(checkpoint.size, parse_size(size));
  MLXGUARD_TRY_ASSIGN(const std::string_view root, take_line(body));
  const auto bytes = codec::from_base64(root);
  if (!bytes.has_value() || bytes->size() != checkpoint.root.size()) {
    return malformed("expected a base64 root hash of 32 bytes on the third line");
  }
  std::copy(bytes->begin(), bytes->end(), checkpoint.root.begin());
  // Ours never has extension lines; another form would be another reading of the same signature.
  if (!body.empty()) return malformed("expected three lines, found more");
  return checkpoint;
}

/// True if the line is a signature under this key's name and id that verifies; false if it is of
/// another key; an error if it claims to be of this key and does not verify.
Result<bool> check_signature(std::string_view line, std::string_view text, const VerifierKey& key) {
  if (!line.starts_with(kSignatureStart)) {
    return malformed("expected a signature line, found another line");
  }
  line.remove_prefix(kSignatureStart.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return malformed("expected a name and a signature");
  const std::string_view name = line.substr(0, space);
  const auto bytes = codec::from_base64(line.substr(space + 1));
  if (!bytes.has_value() || bytes->size() <= kKeyIdBytes || !is_origin(name)) {
    return malformed("expected a name and a base64 signature");
  }
  const auto id = key.id();
  if (name != key.name || !std::equal(id.begin(), id.end(), bytes->begin())) return false;
  const Bytes signature = Bytes(*bytes).subspan(kKeyIdBytes);
  if (!crypto::ed25519_verify(key.key, as_bytes(text), signature)) {
    return malformed("the signature does not verify under the log's key");
  }
  return true;
}

}  // namespace

bool is_origin(std::string_view text) {
  const auto plain = [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != '+' && c != 0x7f;
  };
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), plain) &&
         codec::is_utf8(text);
}

std::array<std::uint8_t, 4> VerifierKey::id() const {
  const auto bytes = tagged(key);
  const Hash digest = crypto::sha256({as_bytes(name), as_bytes("\n"), Bytes(bytes)});
  return {digest[0], digest[1], digest[2], digest[3]};
}

std::string VerifierKey::text() const {
  return name + "+" + codec::to_hex(Bytes(id())) + "+" + codec::to_base64(Bytes(tagged(key)));
}

Result<VerifierKey> VerifierKey::parse(std::string_view untrusted_text) {
  while (untrusted_text.ends_with('\n')) untrusted_text.remove_suffix(1);
  const std::size_t first = untrusted_text.find('+');
  const std::size_t second =
      first == std::string_view::npos ? first : untrusted_text.find('+', first + 1);
  if (second == std::string_view::npos) return malformed("expected a key of the form name+id+key");
  VerifierKey key;
  key.name = std::string(untrusted_text.substr(0, first));
  const std::string_view id = untrusted_text.substr(first + 1, second - first - 1);
  const auto bytes = codec::from_base64(untrusted_text.substr(second + 1));
  if (!is_origin(key.name) || !bytes.has_value() || bytes->size() != key.key.size() + 1 ||
      (*bytes)[0] != kAlgorithmEd25519) {
    return malformed("expected an Ed25519 verifier key");
  }
  std::copy(bytes->begin() + 1, bytes->end(), key.key.begin());
  if (codec::to_hex(Bytes(key.id())) != id) {
    return malformed("the verifier key's id is not that of its name and key");
  }
  return key;
}

std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::Ed25519Key& key) {
  MLXGUARD_CHECK(is_origin(checkpoint.origin));
  const VerifierKey verifier{checkpoint.origin, key.public_key()};
  std::string note = checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" +
                     codec::to_base64(Bytes(checkpoint.root)) + "\n";
  const auto id = verifier.id();
  const crypto::Ed25519Signature signature = key.sign(as_bytes(note));
  std::vector<std::uint8_t> bytes(id.begin(), id.end());
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  note += "\n";
  note += kSignatureStart;
  note += checkpoint.origin + " " + codec::to_base64(Bytes(bytes)) + "\n";
  return note;
}

Result<Checkpoint> open_checkpoint(std::string_view untrusted_note, const VerifierKey& key) {
  if (untrusted_note.size() > limits::kCheckpointBytesMax) {
    return malformed("expected a checkpoint of at most " +
                     std::to_string(limits::kCheckpointBytesMax) + " bytes");
  }
  // The text may hold blank lines; signatures may not: the last blank line divides them.
  const std::size_t blank = untrusted_note.rfind("\n\n");
  if (blank == std::string_view::npos) return malformed("expected a blank line before signatures");
  const std::string_view text = untrusted_note.substr(0, blank + 1);
  std::string_view rest = untrusted_note.substr(blank + 2);
  bool signed_by_key = false;
  for (std::size_t count = 0; !rest.empty(); ++count) {
    if (count == kSignaturesMax) return malformed("expected fewer signatures");
    MLXGUARD_TRY_ASSIGN(const std::string_view line, take_line(rest));
    MLXGUARD_TRY_ASSIGN(const bool ours, check_signature(line, text, key));
    signed_by_key = signed_by_key || ours;
  }
  if (!signed_by_key) return malformed("expected a signature by the log's key, found none");
  MLXGUARD_TRY_ASSIGN(Checkpoint checkpoint, parse_body(text));
  if (checkpoint.origin != key.name) {
    return malformed("expected the checkpoint of this log, found another log's");
  }
  return checkpoint;
}

}  // namespace mlxguard::log
