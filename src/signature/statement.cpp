// SPDX-License-Identifier: Apache-2.0
#include "signature/statement.h"

#include <algorithm>
#include <unordered_set>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"

namespace mlxguard::signature {
namespace {

using codec::JsonKind;
using codec::JsonValue;

constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicateTypeV1 = "https://model_signing/signature/v1.0";

Error field_error(std::string_view member, std::string message) {
  return make_error(ErrorCode::kBundleField, std::move(message)).about(std::string(member));
}

Result<JsonValue> member_of(const JsonValue& object, std::string_view name) {
  auto found = object.member(name);
  if (!found) return field_error(name, found.error().message);
  return found;
}

Result<std::string_view> string_of(const JsonValue& object, std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const JsonValue value, member_of(object, name));
  auto text = value.as_string();
  if (!text) return field_error(name, "expected a string");
  return text;
}

Result<void> only(const JsonValue& object, std::string_view where,
                  std::initializer_list<std::string_view> members) {
  auto checked = object.only_members(members);
  if (checked) return {};
  return field_error(where, checked.error().message + ": " + checked.error().subject.substr(0, 64));
}

struct HashName {
  std::string_view name;
  crypto::HashAlgorithm algorithm;
  std::size_t digest_bytes;
};
constexpr HashName kHashes[] = {
    {"sha256", crypto::HashAlgorithm::kSha256, 32},
    {"blake2b", crypto::HashAlgorithm::kBlake2b512, 64},
};

Result<HashName> hash_of(std::string_view name) {
  for (const HashName& row : kHashes) {
    if (row.name == name) return row;
  }
  return make_error(ErrorCode::kHashUnsupported, "expected a digest of sha256 or blake2b")
      .about(std::string(name.substr(0, 64)));
}

Result<void> read_serialization(const JsonValue& predicate, Statement& statement, HashName& hash) {
  MLXGUARD_TRY_ASSIGN(const JsonValue serialization, member_of(predicate, "serialization"));
  MLXGUARD_TRY_ASSIGN(const std::string_view method, string_of(serialization, "method"));
  if (method != "files") {
    return make_error(ErrorCode::kMethodUnsupported, "expected the method \"files\"")
        .about(std::string(method.substr(0, 64)));
  }
  MLXGUARD_TRY(only(serialization, "serialization",
                    {"method", "hash_type", "allow_symlinks", "ignore_paths"}));
  // Followed links are not accepted, whatever was signed: the enumeration refuses each link by its
  // name.
  MLXGUARD_TRY_ASSIGN(const JsonValue links, member_of(serialization, "allow_symlinks"));
  if (!links.is(JsonKind::kBool)) return field_error("allow_symlinks", "expected true or false");
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(serialization, "hash_type"));
  MLXGUARD_TRY_ASSIGN(hash, hash_of(name));
  statement.algorithm = hash.algorithm;
  statement.ignored_paths = default_ignored_paths();
  const auto ignored = serialization.find("ignore_paths");
  if (!ignored) return {};  // model-signing up to 1.0.1 did not record them: the defaults hold
  if (!ignored->is(JsonKind::kArray)) return field_error("ignore_paths", "expected an array");
  return ignored->each_element([&](std::size_t, JsonValue item) -> Result<void> {
    auto path = item.as_string();
    if (!path) return field_error("ignore_paths", "expected strings");
    // Paths outside of the model match nothing inside.
    if (is_resource_name(*path) && *path != ".") {
      statement.ignored_paths.emplace_back(*path);
    }
    return {};
  });
}

Result<void> read_resources(const JsonValue& predicate, const HashName& hash,
                            Statement& statement) {
  MLXGUARD_TRY_ASSIGN(const JsonValue resources, member_of(predicate, "resources"));
  if (!resources.is(JsonKind::kArray)) return field_error("resources", "expected an array");
  std::unordered_set<std::string> seen;
  const auto read_one = [&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(entry, "name"));
    MLXGUARD_TRY_ASSIGN(const std::string_view algorithm, string_of(entry, "algorithm"));
    MLXGUARD_TRY_ASSIGN(const std::string_view hex, string_of(entry, "digest"));
    if (!is_resource_name(name)) {
      return make_error(ErrorCode::kResourceName, "expected a relative path inside the model")
          .about(std::string(name.substr(0, 256)));
    }
    if (!seen.emplace(name).second) {
      return make_error(ErrorCode::kResourceDuplicate, "a file is listed twice")
          .about(std::string(name));
    }
    if (seen.size() > limits::kModelFilesMax) {
      return make_error(ErrorCode::kArtifactTooMany, "the statement lists more files than allowed");
    }
    if (algorithm != hash.name) {
      return make_error(ErrorCode::kHashUnsupported,
                        "expected the statement's own digest algorithm")
          .about(std::string(name))
          .compared(std::string(hash.name), std::string(algorithm.substr(0, 64)));
    }
    auto digest = codec::from_hex(hex);
    if (!digest || digest->size() != hash.digest_bytes) {
      return field_error("digest", "expected a lowercase hexadecimal digest");
    }
    statement.resources.push_back({std::string(name), 0, *std::move(digest)});
    return {};
  };
  MLXGUARD_TRY(resources.each_element(read_one));
  if (statement.resources.empty()) {
    return make_error(ErrorCode::kNoResources, "expected at least one file");
  }
  if (seen.contains(".") && seen.size() > 1) {
    return make_error(ErrorCode::kResourceName,
                      "a model that is one file has other files beside it")
        .about(".");
  }
  return {};
}

/// The enumeration never sees what is ignored, so a signed file there could never be checked.
Result<void> check_not_ignored(const Statement& statement) {
  const std::unordered_set<std::string_view> ignored(statement.ignored_paths.begin(),
                                                     statement.ignored_paths.end());
  for (const artifact::FileDigest& resource : statement.resources) {
    const std::string_view name = resource.name;
    for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
      if (ignored.contains(name.substr(0, end))) {
        return make_error(ErrorCode::kIgnoredRead, "a signed file lies under an ignored path")
            .about(resource.name);
      }
      if (end == std::string_view::npos) break;
    }
  }
  return {};
}

Result<void> read_subject(const JsonValue& root, Statement& statement) {
  MLXGUARD_TRY_ASSIGN(const JsonValue subject, member_of(root, "subject"));
  if (!subject.is(JsonKind::kArray) || subject.size() != 1) {
    return field_error("subject", "expected exactly one subject");
  }
  return subject.each_element([&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(entry, "name"));
    MLXGUARD_TRY_ASSIGN(const JsonValue digest, member_of(entry, "digest"));
    MLXGUARD_TRY_ASSIGN(const std::string_view root_digest, string_of(digest, "sha256"));
    statement.subject_name = name;
    statement.root_digest = root_digest;
    return {};
  });
}

}  // namespace

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

std::string root_digest_of(const std::vector<artifact::FileDigest>& resources) {
  crypto::Hasher hasher(crypto::HashAlgorithm::kSha256);
  for (const artifact::FileDigest& resource : resources) hasher.update(resource.digest);
  return codec::to_hex(hasher.finish());
}

Result<Statement> parse_statement(std::string_view text) {
  auto parsed = codec::JsonDocument::parse(text, {.bytes_max = limits::kBundleBytesMax});
  if (!parsed) {
    return field_error("payload",
                       std::string(name_of(parsed.error().code)) + ": " + parsed.error().message);
  }
  const JsonValue root = parsed->root();
  MLXGUARD_TRY_ASSIGN(const std::string_view type, string_of(root, "_type"));
  if (type != kStatementType) {
    return field_error("_type", "expected an in-toto statement v1");
  }
  MLXGUARD_TRY_ASSIGN(const std::string_view predicate_type, string_of(root, "predicateType"));
  if (predicate_type != kPredicateTypeV1) {
    return make_error(ErrorCode::kPredicateType, "expected a model signature v1.0")
        .compared(std::string(kPredicateTypeV1), std::string(predicate_type.substr(0, 128)));
  }
  if (auto known = root.only_members({"_type", "subject", "predicateType", "predicate"}); !known) {
    return field_error(known.error().subject, known.error().message);
  }
  Statement statement;
  MLXGUARD_TRY(read_subject(root, statement));
  MLXGUARD_TRY_ASSIGN(const JsonValue predicate, member_of(root, "predicate"));
  MLXGUARD_TRY(only(predicate, "predicate", {"resources", "serialization"}));
  HashName hash{};
  MLXGUARD_TRY(read_serialization(predicate, statement, hash));
  MLXGUARD_TRY(read_resources(predicate, hash, statement));
  MLXGUARD_TRY(check_not_ignored(statement));
  const std::string computed = root_digest_of(statement.resources);
  if (computed != statement.root_digest) {
    return make_error(ErrorCode::kRootDigest,
                      "the subject's digest is not that of the listed files")
        .compared(computed, statement.root_digest.substr(0, 128));
  }
  return statement;
}

std::string write_statement(const Statement& statement) {
  const auto hash = std::find_if(std::begin(kHashes), std::end(kHashes), [&](const HashName& row) {
    return row.algorithm == statement.algorithm;
  });
  MLXGUARD_CHECK(hash != std::end(kHashes));
  codec::JsonWriter json;
  json.begin_object().field("_type", kStatementType);
  json.key("subject").begin_array().begin_object().field("name", statement.subject_name);
  json.key("digest").begin_object().field("sha256", statement.root_digest).end_object();
  json.end_object().end_array();
  json.field("predicateType", kPredicateTypeV1);
  json.key("predicate").begin_object();
  json.key("serialization").begin_object().field("method", "files").field("hash_type", hash->name);
  json.key("allow_symlinks").boolean(false);
  json.key("ignore_paths").begin_array();
  for (const std::string& path : statement.ignored_paths) json.string(path);
  json.end_array().end_object();
  json.key("resources").begin_array();
  for (const artifact::FileDigest& resource : statement.resources) {
    json.begin_object().field("name", resource.name).field("algorithm", hash->name);
    json.field("digest", codec::to_hex(resource.digest)).end_object();
  }
  json.end_array().end_object().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::signature
