// SPDX-License-Identifier: Apache-2.0
#include "mirror/operator_list.h"

#include <algorithm>

#include "base/limits.h"
#include "codec/json.h"
#include "log/files.h"
#include "mirror/page_entries.h"
#include "packaging/version.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kListBytesMax = 64u << 20;
constexpr std::size_t kReasonBytesMax = 1024;

Error broken(std::string message) {
  return make_error(ErrorCode::kConfig, std::move(message))
      .hinting(
          "the operator's list of the mirror is damaged: restore it, or move it away knowing "
          "that every quarantine in it ends");
}

Result<OperatorEntry> read_entry(codec::JsonValue value) {
  OperatorEntry entry;
  const auto text = [&](std::string_view key) -> Result<std::string> {
    MLXGUARD_TRY_ASSIGN(const codec::JsonValue member, value.member(key));
    MLXGUARD_TRY_ASSIGN(const std::string_view found, member.as_string(key));
    return std::string(found);
  };
  MLXGUARD_TRY_ASSIGN(const std::string action, text("action"));
  if (action != "quarantine" && action != "release") return broken("an action that is not known");
  entry.action = action == "release" ? OperatorAction::kRelease : OperatorAction::kQuarantine;
  MLXGUARD_TRY_ASSIGN(const std::string selector, text("selector"));
  MLXGUARD_TRY_ASSIGN(entry.selector, Selector::parse(selector));
  MLXGUARD_TRY_ASSIGN(entry.reason, text("reason"));
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue time, value.member("time_ms"));
  MLXGUARD_TRY_ASSIGN(entry.time_ms, time.as_int64("time_ms"));
  return entry;
}

std::string to_json(const std::vector<OperatorEntry>& entries) {
  codec::JsonWriter json;
  json.begin_object().key("entries").begin_array();
  for (const OperatorEntry& entry : entries) {
    json.begin_object().field("action", name_of(entry.action));
    json.field("selector", entry.selector.text()).field("reason", entry.reason);
    json.field("time_ms", entry.time_ms).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

/// As "==" of PEP 440 has it: 1.0 is 1.0.0 and 1.0+cpu. What is no version is compared as text.
bool is_version(std::string_view wanted, std::string_view found) {
  const auto left = packaging::Version::parse(wanted);
  const auto right = packaging::Version::parse(found);
  if (!left || !right) return wanted == found;
  return *left == (left->local().empty() ? right->without_local() : *right);
}

}  // namespace

std::string_view name_of(OperatorAction action) {
  return action == OperatorAction::kRelease ? "release" : "quarantine";
}

Result<Selector> Selector::parse(std::string_view text) {
  const auto refused = [&] {
    return make_error(ErrorCode::kUsage, "expected NAME, NAME==VERSION or sha256:HEX")
        .about(std::string(text.substr(0, 200)))
        .hinting("mlxguard deps mirror list shows what there is");
  };
  Selector selector;
  if (text.starts_with("sha256:")) {
    selector.sha256 = text.substr(7);
    if (!is_sha256(selector.sha256)) return refused();
    return selector;
  }
  const auto equals = text.find("==");
  const std::string_view name = text.substr(0, equals);
  if (!is_project_name(name)) return refused();
  selector.project = normalize_name(name);
  if (equals != std::string_view::npos) {
    selector.version = text.substr(equals + 2);
    const bool plain = !selector.version.empty() && selector.version.size() <= 128 &&
                       selector.version.find_first_of(" \t\r\n/\\\"'=<>") == std::string::npos;
    if (!plain) return refused();
  }
  return selector;
}

std::string Selector::text() const {
  if (!sha256.empty()) return "sha256:" + sha256;
  return version.empty() ? project : project + "==" + version;
}

bool Selector::matches(std::string_view of_project, const ProjectFile& file) const {
  if (!sha256.empty()) {
    return sha256 == (file.sha256.empty() ? file.content_sha256 : file.sha256);
  }
  return project == of_project && (version.empty() || is_version(version, file.version));
}

std::filesystem::path OperatorList::file_in(const std::filesystem::path& mirror_folder) {
  return mirror_folder / "operator.json";
}

Result<OperatorList> OperatorList::load(const std::filesystem::path& mirror_folder) {
  OperatorList list;
  auto text = log::read_file(file_in(mirror_folder).string(), kListBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return list;
  if (!text) return std::move(text).error();
  auto document = codec::JsonDocument::parse(*text);
  if (!document) return broken("a list that is not JSON: " + document.error().message);
  const auto entries = document->root().find("entries");
  if (!entries || entries->size() > limits::kMirrorOperatorEntriesMax) {
    return broken("expected a list of entries");
  }
  MLXGUARD_TRY(entries->each_element([&](std::size_t, codec::JsonValue item) -> Result<void> {
    auto entry = read_entry(item);
    if (!entry) return broken(entry.error().message);
    list.entries_.push_back(*std::move(entry));
    return {};
  }));
  return list;
}

Result<void> OperatorList::add(const std::filesystem::path& mirror_folder, OperatorEntry entry) {
  if (entry.reason.size() > kReasonBytesMax) {
    return make_error(ErrorCode::kUsage, "expected a reason of at most 1024 bytes");
  }
  MLXGUARD_TRY(log::make_folders(mirror_folder.string()));
  MLXGUARD_TRY_ASSIGN(log::FileLock lock,
                      log::FileLock::open((mirror_folder / "operator.lock").string()));
  MLXGUARD_TRY_ASSIGN(const auto guard,
                      log::LockGuard::take(lock, log::FileLock::Mode::kExclusive));
  MLXGUARD_TRY_ASSIGN(OperatorList list, load(mirror_folder));
  std::erase_if(list.entries_, [&](const OperatorEntry& known) {
    return known.selector.text() == entry.selector.text();
  });
  if (list.entries_.size() >= limits::kMirrorOperatorEntriesMax) {
    return make_error(ErrorCode::kTooLarge, "the operator's list is full");
  }
  list.entries_.push_back(std::move(entry));
  return log::replace_file(file_in(mirror_folder).string(), to_json(list.entries_));
}

const OperatorEntry* OperatorList::find(std::string_view project, const ProjectFile& file) const {
  const auto found = std::find_if(
      entries_.rbegin(), entries_.rend(),
      [&](const OperatorEntry& entry) { return entry.selector.matches(project, file); });
  return found == entries_.rend() ? nullptr : &*found;
}

}  // namespace mlxguard::mirror
