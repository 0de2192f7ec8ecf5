// SPDX-License-Identifier: Apache-2.0
// Frame: magic (8), first index (8), count (4), payload bytes (4), check of these 24 bytes (8),
// then count times {length (4), leaf hash (32)}, HMAC of all before it (32), payload. Little
// endian.
#include "log/journal.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"

namespace mlxguard::log {
namespace {

constexpr std::string_view kMagic = "MLXGJRN1";
constexpr std::size_t kPlainHeaderBytes = 24;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kRowBytes = 4 + sizeof(Hash);
constexpr std::size_t kProbesMax = 4096;
// A group is cut before it passes its bound, so a frame holds at most one event beyond it.
constexpr std::size_t kPayloadBytesMax = limits::kLogGroupBytesMax + limits::kEventBytesMax;

struct FrameHeader {
  std::uint64_t first_index;
  std::uint32_t count;
  std::uint32_t payload_bytes;

  [[nodiscard]] std::size_t table_end() const { return kHeaderBytes + count * kRowBytes; }
  [[nodiscard]] std::size_t frame_bytes() const {
    return table_end() + sizeof(Hash) + payload_bytes;
  }
};

Error damaged(std::string what) { return make_error(ErrorCode::kLogJournal, std::move(what)); }
Error incomplete() {
  return make_error(ErrorCode::kTruncated, "expected a whole frame, found the end of the journal");
}

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_hash(std::string& out, const Hash& hash) { out.append(as_text(Bytes(hash))); }

Result<FrameHeader> parse_header(Bytes untrusted) {
  const std::size_t shown = std::min(untrusted.size(), kMagic.size());
  if (as_text(untrusted.first(shown)) != kMagic.substr(0, shown)) {
    return damaged("expected the start of a frame");
  }
  if (untrusted.size() < kHeaderBytes) return incomplete();
  const Hash check = crypto::sha256(untrusted.first(kPlainHeaderBytes));
  if (!std::equal(check.begin(), check.begin() + 8, untrusted.begin() + kPlainHeaderBytes)) {
    return damaged("a frame's header does not match its check");
  }
  ByteReader reader(untrusted.subspan(kMagic.size()));
  FrameHeader header{};
  MLXGUARD_TRY_ASSIGN(header.first_index, reader.read<std::uint64_t>());
  MLXGUARD_TRY_ASSIGN(header.count, reader.read<std::uint32_t>());
  MLXGUARD_TRY_ASSIGN(header.payload_bytes, reader.read<std::uint32_t>());
  if (header.count > limits::kLogGroupEventsMax || header.payload_bytes > kPayloadBytesMax ||
      header.first_index > UINT64_MAX - header.count) {
    return damaged("a frame announces more than a group may hold");
  }
  return header;
}

bool all_zero(Bytes bytes) {
  // Each byte is equal to the one before, and the first is zero.
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// Whether `rest`, behind the last intact frame of a file, is what a write that never ended leaves:
/// a frame of which the end or a sector did not reach the zeros that were there before. Whoever can
/// make a frame look so can as well cut it off, which only a checkpoint reveals.
bool is_torn(Bytes rest) {
  constexpr std::size_t kSectorBytes = 512;
  const auto header = parse_header(rest);
  if (!header.has_value()) {
    return header.error().code == ErrorCode::kTruncated ||
           all_zero(rest.first(std::min(rest.size(), kMagic.size()))) ||
           all_zero(rest.subspan(std::min(rest.size(), kHeaderBytes)));
  }
  if (rest.size() < header->frame_bytes()) return true;
  if (!all_zero(rest.subspan(header->frame_bytes()))) return false;
  const Bytes frame = rest.first(header->frame_bytes());
  if (frame.back() == 0) return true;
  for (std::size_t at = 0; at + kSectorBytes <= frame.size(); at += kSectorBytes / 2) {
    if (all_zero(frame.subspan(at, kSectorBytes / 2))) return true;
  }
  return false;
}

/// Position of the next intact frame behind `from`, or the end.
std::size_t find_intact(Bytes bytes, std::size_t from, const JournalKey* key, FrameCheck check) {
  const std::string_view text = as_text(bytes);
  std::size_t position = text.find(kMagic, from);
  for (std::size_t probe = 0; position != std::string_view::npos && probe < kProbesMax; ++probe) {
    if (parse_frame(bytes.subspan(position), key, check).has_value()) return position;
    position = text.find(kMagic, position + 1);
  }
  return bytes.size();
}

}  // namespace

JournalKey::JournalKey(const crypto::Secret& log_seed) {
  const Hash derived = crypto::hmac_sha256(log_seed.bytes(), as_bytes("mlxguard journal v1"));
  key_ = crypto::Secret::copy_of(Bytes(derived));
}

Hash JournalKey::mac(Bytes message) const { return crypto::hmac_sha256(key_.bytes(), message); }

std::string encode_frame(std::uint64_t first_index, std::span<const JournalRecord> records,
                         const JournalKey& key) {
  std::size_t payload_bytes = 0;
  for (const JournalRecord& record : records) payload_bytes += record.entry.size();
  MLXGUARD_CHECK(records.size() <= limits::kLogGroupEventsMax && payload_bytes <= kPayloadBytesMax);
  std::string frame;
  frame.reserve(kHeaderBytes + records.size() * kRowBytes + sizeof(Hash) + payload_bytes);
  frame += kMagic;
  put(frame, first_index);
  put(frame, static_cast<std::uint32_t>(records.size()));
  put(frame, static_cast<std::uint32_t>(payload_bytes));
  const Hash check = crypto::sha256(as_bytes(frame));
  frame.append(as_text(Bytes(check).first(8)));
  for (const JournalRecord& record : records) {
    put(frame, static_cast<std::uint32_t>(record.entry.size()));
    put_hash(frame, record.leaf);
  }
  put_hash(frame, key.mac(as_bytes(frame)));
  for (const JournalRecord& record : records) frame.append(as_text(record.entry));
  return frame;
}

Result<JournalFrame> parse_frame(Bytes untrusted, const JournalKey* key, FrameCheck check) {
  MLXGUARD_TRY_ASSIGN(const FrameHeader header, parse_header(untrusted));
  if (untrusted.size() < header.frame_bytes()) return incomplete();
  const Bytes authenticated = untrusted.first(header.table_end());
  const Bytes mac = untrusted.subspan(header.table_end(), sizeof(Hash));
  if (key != nullptr && !crypto::equal_constant_time(Bytes(key->mac(authenticated)), mac)) {
    return damaged("a frame does not match its authentication code");
  }
  ByteReader table(authenticated.subspan(kHeaderBytes));
  ByteReader payload(untrusted.subspan(header.table_end() + sizeof(Hash), header.payload_bytes));
  JournalFrame frame{header.first_index, {}, header.frame_bytes()};
  frame.records.reserve(header.count);
  for (std::uint32_t i = 0; i < header.count; ++i) {
    MLXGUARD_TRY_ASSIGN(const std::uint32_t length, table.read<std::uint32_t>());
    MLXGUARD_TRY_ASSIGN(const Bytes leaf, table.take(sizeof(Hash)));
    if (length > limits::kEventBytesMax || length > payload.remaining()) {
      return damaged("a frame's lengths do not add up");
    }
    JournalRecord record{};
    MLXGUARD_TRY_ASSIGN(record.entry, payload.take(length));
    std::copy(leaf.begin(), leaf.end(), record.leaf.begin());
    if (check == FrameCheck::kMacAndEntries && leaf_hash(record.entry) != record.leaf) {
      return damaged("an event in the journal does not hash to its leaf");
    }
    frame.records.push_back(record);
  }
  if (!payload.at_end()) return damaged("a frame's lengths do not add up");
  return frame;
}

SegmentScan scan_segment(Bytes untrusted, const JournalKey* key, FrameCheck check) {
  SegmentScan scan;
  std::size_t position = 0;
  while (position < untrusted.size()) {
    const Bytes rest = untrusted.subspan(position);
    Result<JournalFrame> frame = parse_frame(rest, key, check);
    // The last frame may have been written in part, over zeros: its entries show it.
    if (frame.has_value() && check == FrameCheck::kMac && all_zero(rest.subspan(frame->bytes))) {
      frame = parse_frame(rest, key, FrameCheck::kMacAndEntries);
    }
    if (frame.has_value()) {
      position += frame->bytes;
      scan.end = position;
      scan.frames.push_back(*std::move(frame));
      continue;
    }
    const std::size_t next = find_intact(untrusted, position + 1, key, check);
    const bool at_end = next == untrusted.size();
    if (all_zero(rest)) break;
    if (at_end && is_torn(rest)) {
      scan.torn_bytes = rest.size();
      break;
    }
    JournalDamage damage{0, position, next - position, 0, 0};
    if (const auto header = parse_header(rest); header.has_value()) {
      damage.first_index = header->first_index;
      damage.events = header->count;
    }
    scan.damage.push_back(damage);
    position = next;
  }
  return scan;
}

}  // namespace mlxguard::log
