// SPDX-License-Identifier: Apache-2.0
// Reads a statement. Strict where the specification is, lenient only in the forms that known tools
// write: an integral float as the shard size, `sha256-sharded-N` as the algorithm of a shard.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "signature/statement.h"
#include "signature/statement_names.h"

namespace mlxguard::signature {
namespace {

using artifact::FileDigest;
using codec::JsonKind;
using codec::JsonValue;

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

/// A positive whole number of bytes; 3.0 and 1e+09 too, as JSON writers without integers give it.
Result<std::uint64_t> read_shard_size(const JsonValue& serialization) {
  MLXGUARD_TRY_ASSIGN(const JsonValue value, member_of(serialization, "shard_size"));
  std::uint64_t size = 0;
  if (auto whole = value.as_uint64()) {
    size = *whole;
  } else if (auto number = value.as_double();
             number && *number >= 1 && *number <= static_cast<double>(limits::kModelBytesMax) &&
             std::floor(*number) == *number) {
    size = static_cast<std::uint64_t>(*number);
  }
  if (size == 0 || size > limits::kModelBytesMax) {
    return field_error("shard_size", "expected a positive whole number of bytes");
  }
  return size;
}

Result<void> read_ignored(const JsonValue& serialization, Exclusions exclusions,
                          Statement& statement) {
  statement.ignored_paths = default_ignored_paths();
  const auto ignored = serialization.find("ignore_paths");
  if (!ignored) return {};  // model-signing up to 1.0.1 did not record them: the defaults hold
  if (exclusions == Exclusions::kStatedOnly) statement.ignored_paths.clear();
  if (!ignored->is(JsonKind::kArray)) return field_error("ignore_paths", "expected an array");
  if (ignored->size() > limits::kIgnoredPathsMax) {
    return field_error("ignore_paths", "more paths than allowed");
  }
  return ignored->each_element([&](std::size_t, JsonValue item) -> Result<void> {
    auto path = item.as_string();
    if (!path) return field_error("ignore_paths", "expected strings");
    // Paths outside of the model match nothing inside.
    if (is_resource_name(*path) && *path != ".") statement.ignored_paths.emplace_back(*path);
    return {};
  });
}

Result<void> read_serialization(const JsonValue& predicate, Exclusions exclusions,
                                Statement& statement) {
  MLXGUARD_TRY_ASSIGN(const JsonValue serialization, member_of(predicate, "serialization"));
  MLXGUARD_TRY_ASSIGN(const std::string_view method, string_of(serialization, "method"));
  if (method == "shards") {
    MLXGUARD_TRY(only(serialization, "serialization",
                      {"method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths"}));
    MLXGUARD_TRY_ASSIGN(statement.shard_bytes, read_shard_size(serialization));
  } else if (method == "files") {
    MLXGUARD_TRY(only(serialization, "serialization",
                      {"method", "hash_type", "allow_symlinks", "ignore_paths"}));
  } else {
    return make_error(ErrorCode::kMethodUnsupported, "expected the method \"files\" or \"shards\"")
        .about(std::string(method.substr(0, 64)));
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue links, member_of(serialization, "allow_symlinks"));
  auto allowed = links.as_bool();
  if (!allowed) return field_error("allow_symlinks", "expected true or false");
  statement.links = *allowed ? artifact::Links::kFollowedInside : artifact::Links::kRefused;
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(serialization, "hash_type"));
  MLXGUARD_TRY_ASSIGN(statement.algorithm, find_hash(name));
  return read_ignored(serialization, exclusions, statement);
}

/// Decimal as to_string writes it: no sign, no leading zero.
std::optional<std::uint64_t> canonical_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

/// Splits `<path>:<start>:<end>` at its last two colons: a path may have colons of its own.
Result<FileDigest> read_shard_name(std::string_view name) {
  const std::size_t second = name.rfind(':');
  const std::size_t first = second == 0 || second == std::string_view::npos
                                ? std::string_view::npos
                                : name.rfind(':', second - 1);
  if (first != std::string_view::npos) {
    const auto start = canonical_decimal(name.substr(first + 1, second - first - 1));
    const auto end = canonical_decimal(name.substr(second + 1));
    if (start && end && *start <= *end && *end <= limits::kModelBytesMax) {
      return FileDigest{std::string(name.substr(0, first)), *end - *start, {}, *start};
    }
  }
  return make_error(ErrorCode::kShard, "expected a name of the form path:start:end")
      .about(std::string(name.substr(0, 256)));
}

class Resources {
 public:
  explicit Resources(Statement& statement) : statement_(statement) {
    for (const HashName& row : kHashes) {
      if (row.algorithm == statement.algorithm) hash_ = row;
    }
    alias_ = std::string(hash_.name) + "-sharded-" + std::to_string(statement.shard_bytes);
  }

  Result<void> add(const JsonValue& entry) {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(entry, "name"));
    MLXGUARD_TRY_ASSIGN(const std::string_view algorithm, string_of(entry, "algorithm"));
    MLXGUARD_TRY_ASSIGN(const std::string_view hex, string_of(entry, "digest"));
    if (algorithm != hash_.name && (statement_.shard_bytes == 0 || algorithm != alias_)) {
      return make_error(ErrorCode::kHashUnsupported,
                        "expected the statement's own digest algorithm")
          .about(std::string(name.substr(0, 256)))
          .compared(std::string(hash_.name), std::string(algorithm.substr(0, 64)));
    }
    return add(name, hex);
  }

  Result<void> add(std::string_view name, std::string_view hex) {
    if (!seen_.emplace(name).second) {
      return make_error(ErrorCode::kResourceDuplicate, "a file is listed twice")
          .about(std::string(name.substr(0, 256)));
    }
    if (seen_.size() > limits::kModelResourcesMax) {
      return make_error(ErrorCode::kArtifactTooMany, "the statement lists more files than allowed");
    }
    FileDigest resource{std::string(name), 0, {}, 0};
    if (statement_.shard_bytes > 0) {
      MLXGUARD_TRY_ASSIGN(resource, read_shard_name(name));
    }
    if (!is_resource_name(resource.name)) {
      return make_error(ErrorCode::kResourceName, "expected a relative path inside the model")
          .about(std::string(name.substr(0, 256)));
    }
    auto digest = codec::from_hex(hex);
    if (!digest || digest->size() != hash_.digest_bytes) {
      return field_error("digest", "expected a lowercase hexadecimal digest");
    }
    resource.digest = *std::move(digest);
    statement_.resources.push_back(std::move(resource));
    return {};
  }

  /// After the last one.
  [[nodiscard]] Result<void> finish() const {
    if (statement_.resources.empty()) {
      return make_error(ErrorCode::kNoResources, "expected at least one file");
    }
    const auto is_whole_model = [](const FileDigest& resource) { return resource.name == "."; };
    const auto& all = statement_.resources;
    if (std::any_of(all.begin(), all.end(), is_whole_model) &&
        !std::all_of(all.begin(), all.end(), is_whole_model)) {
      return make_error(ErrorCode::kResourceName,
                        "a model that is one file has other files beside it")
          .about(".");
    }
    return statement_.shard_bytes > 0 ? check_shards() : Result<void>();
  }

 private:
  /// Every file is covered from its first byte on, without gaps, by shards of the announced size;
  /// only the last may be shorter. Its end is the file's, which is compared with the file itself.
  [[nodiscard]] Result<void> check_shards() const {
    std::vector<const FileDigest*> sorted;
    for (const FileDigest& resource : statement_.resources) sorted.push_back(&resource);
    std::sort(sorted.begin(), sorted.end(), [](const FileDigest* left, const FileDigest* right) {
      return std::tie(left->name, left->start_bytes) < std::tie(right->name, right->start_bytes);
    });
    const std::uint64_t whole = statement_.shard_bytes;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const FileDigest& shard = *sorted[i];
      const bool first = i == 0 || sorted[i - 1]->name != shard.name;
      const bool last = i + 1 == sorted.size() || sorted[i + 1]->name != shard.name;
      const std::uint64_t expected =
          first ? 0 : sorted[i - 1]->start_bytes + sorted[i - 1]->size_bytes;
      const bool empty_file = shard.size_bytes == 0 && first && last;
      if (shard.start_bytes != expected || shard.size_bytes > whole ||
          (!last && shard.size_bytes != whole) || (shard.size_bytes == 0 && !empty_file)) {
        return make_error(ErrorCode::kShard, "expected shards of the announced size without gaps")
            .about(resource_name(shard, whole).substr(0, 256));
      }
    }
    return {};
  }

  Statement& statement_;
  HashName hash_{};
  std::string alias_;
  std::unordered_set<std::string> seen_;
};

/// The enumeration never sees what is ignored, so a signed file there could never be checked.
Result<void> check_not_ignored(const Statement& statement) {
  const std::unordered_set<std::string_view> ignored(statement.ignored_paths.begin(),
                                                     statement.ignored_paths.end());
  for (const FileDigest& resource : statement.resources) {
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

Result<JsonValue> subjects_of(const JsonValue& root) {
  MLXGUARD_TRY_ASSIGN(const JsonValue subject, member_of(root, "subject"));
  if (!subject.is(JsonKind::kArray)) return field_error("subject", "expected an array");
  return subject;
}

Result<void> read_subject(const JsonValue& root, Statement& statement) {
  MLXGUARD_TRY_ASSIGN(const JsonValue subject, subjects_of(root));
  if (subject.size() != 1) return field_error("subject", "expected exactly one subject");
  return subject.each_element([&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(entry, "name"));
    MLXGUARD_TRY_ASSIGN(const JsonValue digest, member_of(entry, "digest"));
    MLXGUARD_TRY_ASSIGN(const std::string_view root_digest, string_of(digest, "sha256"));
    statement.subject_name = name;
    statement.root_digest = root_digest;
    return {};
  });
}

Result<Statement> read_v1(const JsonValue& root, Exclusions exclusions) {
  Statement statement;
  MLXGUARD_TRY(read_subject(root, statement));
  MLXGUARD_TRY_ASSIGN(const JsonValue predicate, member_of(root, "predicate"));
  MLXGUARD_TRY(only(predicate, "predicate", {"resources", "serialization"}));
  MLXGUARD_TRY(read_serialization(predicate, exclusions, statement));
  MLXGUARD_TRY_ASSIGN(const JsonValue listed, member_of(predicate, "resources"));
  if (!listed.is(JsonKind::kArray)) return field_error("resources", "expected an array");
  Resources resources(statement);
  MLXGUARD_TRY(
      listed.each_element([&](std::size_t, JsonValue entry) { return resources.add(entry); }));
  MLXGUARD_TRY(resources.finish());
  MLXGUARD_TRY(check_not_ignored(statement));
  const std::string computed = root_digest_of(statement.resources);
  if (computed != statement.root_digest) {
    return make_error(ErrorCode::kRootDigest,
                      "the subject's digest is not that of the listed files")
        .compared(computed, statement.root_digest.substr(0, 128));
  }
  return statement;
}

/// Each subject is a file; there is nothing else in it.
Result<Statement> read_legacy(const JsonValue& root) {
  Statement statement;
  statement.form = StatementForm::kLegacy;
  statement.ignored_paths = default_ignored_paths();
  MLXGUARD_TRY_ASSIGN(const JsonValue predicate, member_of(root, "predicate"));
  MLXGUARD_TRY(only(predicate, "predicate", {"unused"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue subjects, subjects_of(root));
  Resources resources(statement);
  MLXGUARD_TRY(subjects.each_element([&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(entry, "name"));
    MLXGUARD_TRY_ASSIGN(const JsonValue digest, member_of(entry, "digest"));
    MLXGUARD_TRY_ASSIGN(const std::string_view hex, string_of(digest, "sha256"));
    return resources.add(name, hex);
  }));
  MLXGUARD_TRY(resources.finish());
  MLXGUARD_TRY(check_not_ignored(statement));
  statement.root_digest = root_digest_of(statement.resources);
  return statement;
}

}  // namespace

Result<Statement> parse_statement(std::string_view text, const StatementOptions& options) {
  auto parsed = codec::JsonDocument::parse(text, {.bytes_max = limits::kBundleBytesMax});
  if (!parsed) {
    return field_error("payload",
                       std::string(name_of(parsed.error().code)) + ": " + parsed.error().message);
  }
  const JsonValue root = parsed->root();
  MLXGUARD_TRY_ASSIGN(const std::string_view type, string_of(root, "_type"));
  if (type != kStatementType) return field_error("_type", "expected an in-toto statement v1");
  MLXGUARD_TRY_ASSIGN(const std::string_view predicate_type, string_of(root, "predicateType"));
  const bool legacy = predicate_type == kPredicateTypeLegacy;
  if (legacy && options.legacy == LegacyStatements::kRefused) {
    return make_error(ErrorCode::kLegacyFormat, "a statement of the form before 1.0")
        .compared(std::string(kPredicateTypeV1), std::string(predicate_type))
        .hinting("sign the model again, or let the trust policy allow old forms");
  }
  if (!legacy && predicate_type != kPredicateTypeV1) {
    return make_error(ErrorCode::kPredicateType, "expected a model signature v1.0")
        .compared(std::string(kPredicateTypeV1), std::string(predicate_type.substr(0, 128)));
  }
  if (auto known = root.only_members({"_type", "subject", "predicateType", "predicate"}); !known) {
    return field_error(known.error().subject, known.error().message);
  }
  return legacy ? read_legacy(root) : read_v1(root, options.exclusions);
}

}  // namespace mlxguard::signature
