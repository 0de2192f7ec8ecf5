// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/limits.h"
#include "base/os_error.h"
#include "codec/json.h"
#include "trust/state_file.h"

namespace mlxguard::trust {
namespace {

constexpr const char* kSeenFile = "seen.json";

using codec::JsonValue;

Result<SeenModel> read_model(const JsonValue& value) {
  MLXGUARD_TRY(value.only_members({"version", "name"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue version, value.member("version"));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, version.as_string("version"));
  MLXGUARD_TRY(ModelVersion::parse(text));
  MLXGUARD_TRY_ASSIGN(const JsonValue name, value.member("name"));
  MLXGUARD_TRY_ASSIGN(const std::string_view name_text, name.as_string("name"));
  return SeenModel{std::string(text), std::string(name_text)};
}

Result<void> read_revocations(const JsonValue& value, SeenVersions& seen) {
  MLXGUARD_TRY(value.only_members({"version", "head"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue version, value.member("version"));
  MLXGUARD_TRY_ASSIGN(seen.revocations, version.as_uint64("version"));
  MLXGUARD_TRY_ASSIGN(const JsonValue head, value.member("head"));
  MLXGUARD_TRY_ASSIGN(seen.revocations_head, head.as_string("head"));
  return {};
}

Result<SeenVersions> read_seen(const JsonValue& root) {
  SeenVersions seen;
  MLXGUARD_TRY(root.only_members({"policies", "models", "revocations"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue policies, root.member("policies"));
  MLXGUARD_TRY_ASSIGN(const JsonValue models, root.member("models"));
  if (!policies.is(codec::JsonKind::kObject) || !models.is(codec::JsonKind::kObject)) {
    return make_error(ErrorCode::kJsonType, "expected two objects");
  }
  const auto add_policy = [&](std::string_view key, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(seen.policies[std::string(key)], value.as_uint64(key));
    return {};
  };
  MLXGUARD_TRY(policies.each_member(add_policy));
  const auto add_model = [&](std::string_view key, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(seen.models[std::string(key)], read_model(value));
    return {};
  };
  MLXGUARD_TRY(models.each_member(add_model));
  if (const auto revocations = root.find("revocations")) {
    MLXGUARD_TRY(read_revocations(*revocations, seen));
  }
  return seen;
}

}  // namespace

Result<SeenVersions> SeenVersions::parse(std::string_view text) {
  auto document = codec::JsonDocument::parse(text, {.bytes_max = limits::kPolicyMemoryBytesMax});
  auto seen = document ? read_seen(document->root()) : Result<SeenVersions>(document.error());
  if (seen) return seen;
  return make_error(ErrorCode::kTrustPolicyRollback,
                    "the memory of versions is malformed: " + seen.error().message)
      .about(kSeenFile)
      .hinting("restore it from a backup; removing it forgets which versions were seen");
}

std::string SeenVersions::text() const {
  codec::JsonWriter json;
  json.begin_object().key("policies").begin_object();
  for (const auto& [key, version] : policies) json.key(key).unsigned_integer(version);
  json.end_object().key("models").begin_object();
  for (const auto& [key, model] : models) {
    json.key(key).begin_object().field("version", model.version).field("name", model.name);
    json.end_object();
  }
  json.end_object();
  if (revocations > 0) {
    json.key("revocations").begin_object().key("version").unsigned_integer(revocations);
    json.field("head", revocations_head).end_object();
  }
  json.end_object();
  return std::move(json).take() + "\n";
}

Result<SeenVersions> PolicyMemory::read() const {
  // The folder first: it comes to be with the file in it.
  struct stat status {};
  if (::lstat(folder_.c_str(), &status) != 0 && errno == ENOENT) return SeenVersions{};
  const auto file = folder_ / kSeenFile;
  auto text = read_trusted_file(file, limits::kPolicyMemoryBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kTrustPolicyRollback,
                      "the memory of versions was here before, and is gone")
        .about(file.string())
        .hinting("restore it from a backup; removing its folder forgets which versions were seen");
  }
  if (!text) return std::move(text).error();
  return SeenVersions::parse(*text);
}

/// The folder with an empty memory in it, whole or not at all.
Result<void> PolicyMemory::create() const {
  std::error_code ignored;  // the calls below report what matters
  std::filesystem::create_directories(folder_.parent_path(), ignored);
  std::string unfinished = folder_.string() + ".new-XXXXXX";
  if (::mkdtemp(unfinished.data()) == nullptr) return os_error("create", unfinished);
  auto made =
      replace_trusted_file(std::filesystem::path(unfinished) / kSeenFile, SeenVersions{}.text());
  if (made && ::rename(unfinished.c_str(), folder_.c_str()) == 0) {
    const UniqueFd parent(
        ::open(folder_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.is_open() && ::fsync(parent.get()) == 0) return {};
    return os_error("sync the folder of", folder_.string());
  }
  const int problem = errno;
  std::filesystem::remove_all(unfinished, ignored);
  if (!made) return made;
  // Somebody else made it meanwhile.
  if (problem == EEXIST || problem == ENOTEMPTY) return {};
  return os_error("create", folder_.string(), problem);
}

Result<UniqueFd> PolicyMemory::take_lock() const {
  struct stat status {};
  if (::lstat(folder_.c_str(), &status) != 0) MLXGUARD_TRY(create());
  return folder_lock(folder_);
}

Result<void> PolicyMemory::write(const SeenVersions& seen) const {
  if (seen.models.size() > limits::kPolicyMemoryModelsMax) {
    return make_error(ErrorCode::kTooLarge, "more models remembered than allowed")
        .about((folder_ / kSeenFile).string());
  }
  return replace_trusted_file(folder_ / kSeenFile, seen.text());
}

}  // namespace mlxguard::trust
