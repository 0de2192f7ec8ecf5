// SPDX-License-Identifier: Apache-2.0
#include "artifact/digest_cache.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/limits.h"
#include "base/os_error.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {
namespace {

namespace fs = std::filesystem;
using codec::JsonValue;

constexpr std::string_view kContext = "mlxguard digests 1";

/// Nothing if any member is missing or of another type: then the file is hashed.
std::optional<FileIdentity> identity_of_json(const JsonValue& entry) {
  std::vector<std::int64_t> numbers;
  const auto listed = entry.find("identity");
  if (!listed || !listed->flatten_int64s(numbers, 5) || numbers.size() != 5) return std::nullopt;
  return FileIdentity{static_cast<std::uint64_t>(numbers[0]),
                      static_cast<std::uint64_t>(numbers[1]),
                      static_cast<std::uint64_t>(numbers[2]), numbers[3], numbers[4]};
}

}  // namespace

DigestCache DigestCache::load(const fs::path& folder, const LocalMac& mac, const fs::path& model,
                              HashPlan plan) {
  DigestCache cache;
  const std::string of = model.string() + "\n" + std::to_string(static_cast<int>(plan.algorithm)) +
                         "\n" + std::to_string(plan.shard_bytes);
  const std::string named = codec::to_hex(crypto::sha256(as_bytes(of)));
  cache.file_ = folder / named;
  cache.context_ = std::string(kContext) + " " + named;
  const auto text = read_file(cache.file_, limits::kReceiptBytesMax);
  if (!text) return cache;
  if (const auto inside = mac.unseal(cache.context_, *text)) cache.read(*inside);
  return cache;
}

void DigestCache::read(std::string_view text) {
  const auto parsed = codec::JsonDocument::parse(text, {.bytes_max = limits::kReceiptBytesMax});
  if (!parsed) return;
  // Written by us, and recognised by its key: what does not read is only not remembered.
  const auto read_one = [&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const JsonValue name_value, entry.member("name"));
    MLXGUARD_TRY_ASSIGN(const std::string_view name, name_value.as_string());
    const auto identity = identity_of_json(entry);
    if (!identity) return make_error(ErrorCode::kJsonType, "expected an identity");
    Entry remembered{*identity, {}, false};
    MLXGUARD_TRY_ASSIGN(const JsonValue digests, entry.member("digests"));
    MLXGUARD_TRY(digests.each_element([&](std::size_t, JsonValue one) -> Result<void> {
      MLXGUARD_TRY_ASSIGN(const JsonValue hex, one.member("digest"));
      MLXGUARD_TRY_ASSIGN(const JsonValue start, one.member("start"));
      MLXGUARD_TRY_ASSIGN(const JsonValue size, one.member("size"));
      FileDigest digest;
      digest.name = name;
      MLXGUARD_TRY_ASSIGN(digest.start_bytes, start.as_uint64());
      MLXGUARD_TRY_ASSIGN(digest.size_bytes, size.as_uint64());
      MLXGUARD_TRY_ASSIGN(const std::string_view text_of, hex.as_string());
      MLXGUARD_TRY_ASSIGN(digest.digest, codec::from_hex(text_of));
      remembered.digests.push_back(std::move(digest));
      return {};
    }));
    entries_.emplace(name, std::move(remembered));
    return {};
  };
  if (!parsed->root().each_element(read_one)) entries_.clear();
}

const std::vector<FileDigest>* DigestCache::find(const std::string& name,
                                                 const FileIdentity& identity) const {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.identity != identity) return nullptr;
  found->second.used = true;
  return &found->second.digests;
}

void DigestCache::put(const std::string& name, const FileIdentity& identity,
                      std::vector<FileDigest> digests, std::int64_t hashed_at_ns) {
  entries_.erase(name);
  if (!is_settled(identity, hashed_at_ns)) return;
  entries_.emplace(name, Entry{identity, std::move(digests), true});
}

Result<void> DigestCache::save(const LocalMac& mac) {
  if (::mkdir(file_.parent_path().c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", file_.parent_path().string());
  }
  codec::JsonWriter json;
  json.begin_array();
  for (const auto& [name, entry] : entries_) {
    if (!entry.used) continue;
    json.begin_object().field("name", name).key("identity").begin_array();
    json.integer(static_cast<std::int64_t>(entry.identity.device));
    json.integer(static_cast<std::int64_t>(entry.identity.inode));
    json.integer(static_cast<std::int64_t>(entry.identity.size_bytes));
    json.integer(entry.identity.modified_ns).integer(entry.identity.changed_ns).end_array();
    json.key("digests").begin_array();
    for (const FileDigest& digest : entry.digests) {
      json.begin_object().field("digest", codec::to_hex(digest.digest));
      json.key("start").unsigned_integer(digest.start_bytes);
      json.key("size").unsigned_integer(digest.size_bytes).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
  if (json.text().size() > limits::kReceiptBytesMax / 2) return {};  // would not be read again
  return replace_file(file_, mac.seal(context_, json.text()));
}

}  // namespace mlxguard::artifact
