// SPDX-License-Identifier: Apache-2.0
// What a statement is made of: names, orders, root digests, and how one is written. Reading is
// statement_parse.cpp.
#include "signature/statement.h"

#include <algorithm>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "signature/statement_names.h"

namespace mlxguard::signature {
namespace {

/// "a/b" before "a-b": parts compare before what is inside of them.
bool less_by_component(const artifact::FileDigest& left, const artifact::FileDigest& right) {
  const auto key = [](char c) { return c == '/' ? 0 : 1 + static_cast<unsigned char>(c); };
  const auto compared = std::lexicographical_compare_three_way(
      left.name.begin(), left.name.end(), right.name.begin(), right.name.end(),
      [&](char a, char b) { return key(a) <=> key(b); });
  return compared < 0 || (compared == 0 && left.start_bytes < right.start_bytes);
}

}  // namespace

Result<crypto::HashAlgorithm> find_hash(std::string_view name) {
  for (const HashName& row : kHashes) {
    if (row.name == name) return row.algorithm;
  }
  return make_error(ErrorCode::kHashUnsupported, "expected a digest of sha256, blake2b or blake3")
      .about(std::string(name.substr(0, 64)));
}

std::string_view name_of_hash(crypto::HashAlgorithm algorithm) {
  const auto found = std::find_if(std::begin(kHashes), std::end(kHashes),
                                  [&](const HashName& row) { return row.algorithm == algorithm; });
  MLXGUARD_CHECK(found != std::end(kHashes));
  return found->name;
}

const std::vector<std::string>& default_ignored_paths() {
  static const std::vector<std::string> kPaths{".git", ".gitignore", ".gitattributes", ".github"};
  return kPaths;
}

bool is_resource_name(std::string_view name) {
  if (name == ".") return true;
  if (name.empty() || name.size() > limits::kModelPathBytesMax || !codec::is_utf8(name))
    return false;
  if (std::any_of(name.begin(), name.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
    return false;
  }
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return true;
}

std::string resource_name(const artifact::FileDigest& resource, std::uint64_t shard_bytes) {
  if (shard_bytes == 0) return resource.name;
  return resource.name + ":" + std::to_string(resource.start_bytes) + ":" +
         std::to_string(resource.start_bytes + resource.size_bytes);
}

std::string root_digest_of(const std::vector<artifact::FileDigest>& resources) {
  crypto::Hasher hasher(crypto::HashAlgorithm::kSha256);
  for (const artifact::FileDigest& resource : resources) hasher.update(resource.digest);
  return codec::to_hex(hasher.finish());
}

void sort_by_resource_name(std::vector<artifact::FileDigest>& resources,
                           std::uint64_t shard_bytes) {
  std::vector<std::pair<std::string, std::size_t>> names;
  names.reserve(resources.size());
  for (std::size_t i = 0; i < resources.size(); ++i) {
    names.emplace_back(resource_name(resources[i], shard_bytes), i);
  }
  std::sort(names.begin(), names.end());
  std::vector<artifact::FileDigest> sorted;
  sorted.reserve(resources.size());
  for (const auto& [name, index] : names) sorted.push_back(std::move(resources[index]));
  resources = std::move(sorted);
}

RootDigests root_digests_of(std::vector<artifact::FileDigest> resources,
                            std::uint64_t shard_bytes) {
  RootDigests digests;
  sort_by_resource_name(resources, shard_bytes);
  digests.by_name = root_digest_of(resources);
  std::sort(resources.begin(), resources.end(), less_by_component);
  digests.by_component = root_digest_of(resources);
  return digests;
}

std::string write_statement(const Statement& statement) {
  const std::string_view hash = name_of_hash(statement.algorithm);
  const bool shards = statement.shard_bytes > 0;
  codec::JsonWriter json;
  json.begin_object().field("_type", kStatementType);
  json.key("subject").begin_array().begin_object().field("name", statement.subject_name);
  json.key("digest").begin_object().field("sha256", statement.root_digest).end_object();
  json.end_object().end_array();
  json.field("predicateType", kPredicateTypeV1);
  json.key("predicate").begin_object();
  json.key("serialization").begin_object().field("method", shards ? "shards" : "files");
  json.field("hash_type", hash);
  if (shards) json.key("shard_size").unsigned_integer(statement.shard_bytes);
  json.key("allow_symlinks").boolean(statement.links == artifact::Links::kFollowedInside);
  json.key("ignore_paths").begin_array();
  for (const std::string& path : statement.ignored_paths) json.string(path);
  json.end_array().end_object();
  json.key("resources").begin_array();
  for (const artifact::FileDigest& resource : statement.resources) {
    json.begin_object().field("name", resource_name(resource, statement.shard_bytes));
    json.field("algorithm", hash);
    json.field("digest", codec::to_hex(resource.digest)).end_object();
  }
  json.end_array().end_object().end_object();
  return std::move(json).take();
}

bool says_the_same(const Statement& left, const Statement& right) {
  const auto sorted = [](Statement statement) {
    sort_by_resource_name(statement.resources, statement.shard_bytes);
    auto& ignored = statement.ignored_paths;  // a parsed one has the default paths twice
    // The Python tool lists the bundle that it writes; no bundle is a file of the model here.
    std::erase_if(ignored, [](const std::string& path) {
      return path == artifact::kSignatureFile || path == artifact::kMoreSignaturesFolder;
    });
    std::sort(ignored.begin(), ignored.end());
    ignored.erase(std::unique(ignored.begin(), ignored.end()), ignored.end());
    return statement;
  };
  const Statement a = sorted(left);
  const Statement b = sorted(right);
  const bool shards = a.shard_bytes != 0;  // else the size is no part of a statement
  const auto same_file = [&](const artifact::FileDigest& one, const artifact::FileDigest& other) {
    return one.name == other.name && one.digest == other.digest &&
           (!shards ||
            (one.start_bytes == other.start_bytes && one.size_bytes == other.size_bytes));
  };
  return a.algorithm == b.algorithm && a.shard_bytes == b.shard_bytes && a.links == b.links &&
         a.ignored_paths == b.ignored_paths &&
         std::equal(a.resources.begin(), a.resources.end(), b.resources.begin(), b.resources.end(),
                    same_file);
}

}  // namespace mlxguard::signature
