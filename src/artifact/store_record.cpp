// SPDX-License-Identifier: Apache-2.0
#include "artifact/store_record.h"

#include "codec/json.h"

namespace mlxguard::artifact {
namespace {

using codec::JsonKind;
using codec::JsonValue;

Error malformed() {
  return make_error(ErrorCode::kStoreReceipt, "a record of another version of this program")
      .hinting("remove the model from the store and add it again");
}

Result<std::string> text_of(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return malformed();
  auto text = value->as_string();
  if (!text) return malformed();
  return std::string(*text);
}

Result<std::int64_t> number_of(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return malformed();
  auto number = value->as_int64();
  if (!number) return malformed();
  return *number;
}

Result<std::uint64_t> unsigned_of(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return malformed();
  auto number = value->as_uint64();
  if (!number) return malformed();
  return *number;
}

Result<std::pair<std::string, FileIdentity>> read_file_entry(const JsonValue& entry) {
  std::pair<std::string, FileIdentity> file;
  MLXGUARD_TRY_ASSIGN(file.first, text_of(entry, "name"));
  MLXGUARD_TRY_ASSIGN(file.second.device, unsigned_of(entry, "device"));
  MLXGUARD_TRY_ASSIGN(file.second.inode, unsigned_of(entry, "inode"));
  MLXGUARD_TRY_ASSIGN(file.second.size_bytes, unsigned_of(entry, "size"));
  MLXGUARD_TRY_ASSIGN(file.second.modified_ns, number_of(entry, "modified_ns"));
  MLXGUARD_TRY_ASSIGN(file.second.changed_ns, number_of(entry, "changed_ns"));
  return file;
}

}  // namespace

std::string write_record_text(const StoredModel& model) {
  codec::JsonWriter json;
  json.begin_object().field("version", std::int64_t{1}).field("name", model.name);
  json.field("root_digest", model.root_digest).field("manifest_digest", model.manifest_digest);
  json.field("bundle_digest", model.bundle_digest).field("policy", model.policy);
  json.field("signer", model.signer).field("signer_name", model.signer_name);
  json.field("origin", model.origin).field("hugging_face", model.hugging_face);
  json.field("single_file", model.single_file).field("admitted_ms", model.admitted_ms);
  json.key("bytes").unsigned_integer(model.bytes).key("files").begin_array();
  for (const auto& [name, identity] : model.files) {
    json.begin_object().field("name", name).key("device").unsigned_integer(identity.device);
    json.key("inode").unsigned_integer(identity.inode);
    json.key("size").unsigned_integer(identity.size_bytes);
    json.field("modified_ns", identity.modified_ns).field("changed_ns", identity.changed_ns);
    json.end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

Result<StoredModel> read_record_text(std::string_view text) {
  const auto parsed = codec::JsonDocument::parse(text, {.bytes_max = limits::kReceiptBytesMax});
  if (!parsed) return malformed();
  const JsonValue root = parsed->root();
  MLXGUARD_TRY_ASSIGN(const std::int64_t version, number_of(root, "version"));
  if (version != 1) return malformed();
  StoredModel model;
  MLXGUARD_TRY_ASSIGN(model.name, text_of(root, "name"));
  MLXGUARD_TRY_ASSIGN(model.root_digest, text_of(root, "root_digest"));
  MLXGUARD_TRY_ASSIGN(model.manifest_digest, text_of(root, "manifest_digest"));
  MLXGUARD_TRY_ASSIGN(model.bundle_digest, text_of(root, "bundle_digest"));
  MLXGUARD_TRY_ASSIGN(model.policy, text_of(root, "policy"));
  MLXGUARD_TRY_ASSIGN(model.signer, text_of(root, "signer"));
  MLXGUARD_TRY_ASSIGN(model.signer_name, text_of(root, "signer_name"));
  MLXGUARD_TRY_ASSIGN(model.origin, text_of(root, "origin"));
  MLXGUARD_TRY_ASSIGN(model.hugging_face, text_of(root, "hugging_face"));
  MLXGUARD_TRY_ASSIGN(model.single_file, text_of(root, "single_file"));
  MLXGUARD_TRY_ASSIGN(model.admitted_ms, number_of(root, "admitted_ms"));
  MLXGUARD_TRY_ASSIGN(model.bytes, unsigned_of(root, "bytes"));
  const auto files = root.find("files");
  if (!files || !files->is(JsonKind::kArray)) return malformed();
  MLXGUARD_TRY(files->each_element([&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(auto file, read_file_entry(entry));
    model.files.push_back(std::move(file));
    return {};
  }));
  return model;
}

}  // namespace mlxguard::artifact
