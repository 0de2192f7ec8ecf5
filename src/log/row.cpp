// SPDX-License-Identifier: Apache-2.0
#include "log/row.h"

#include <algorithm>
#include <charconv>

#include "codec/json.h"

namespace mlxguard::log {
namespace {

std::string string_member(const codec::JsonValue& object, std::string_view name) {
  const auto member = object.find(name);
  if (!member.has_value()) return {};
  const auto text = member->as_string();
  return text.has_value() ? std::string(*text) : std::string();
}

/// A member of the object that `rest` stands in, behind a comma unless it is the first.
struct Member {
  std::string_view name;
  std::string_view value;  ///< of a text without its quotes, as it stands there
  bool is_text = false;
  bool has_escapes = false;
};

/// Reads one member of ours: a text, a number or a truth value. Nothing at the object's end, or
/// where something else stands.
std::optional<Member> take_member(std::string_view& rest) {
  std::string_view at = rest;
  if (at.starts_with(',')) at.remove_prefix(1);
  if (!at.starts_with('"')) return std::nullopt;
  Member member;
  const std::size_t name_end = at.find('"', 1);
  if (name_end == std::string_view::npos || at.substr(name_end + 1, 1) != ":") return std::nullopt;
  member.name = at.substr(1, name_end - 1);
  at.remove_prefix(name_end + 2);
  std::size_t end = 0;
  if (at.starts_with('"')) {
    member.is_text = true;
    at.remove_prefix(1);
    while ((end = at.find_first_of("\"\\", end)) != std::string_view::npos && at[end] == '\\') {
      member.has_escapes = true;
      end += 2;
    }
    if (end == std::string_view::npos) return std::nullopt;
    rest = at.substr(end + 1);
  } else {
    end = at.find_first_of(",}[{");
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    rest = at.substr(end);
  }
  member.value = at.substr(0, end);
  return member;
}

template <class Integer>
bool read_integer(std::string_view text, Integer& out) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  return bad == std::errc() && end != text.data();
}

/// Puts one member of `unmapped` into its column. False where only the parser can tell.
bool read_member(const Member& member, IndexRow& row) {
  std::string* column = member.name == "kind"      ? &row.kind
                        : member.name == "outcome" ? &row.outcome
                        : member.name == "code"    ? &row.code
                        : member.name == "model"   ? &row.model
                                                   : nullptr;
  if (column != nullptr) {
    *column = member.value;
    return member.is_text && !member.has_escapes;
  }
  const record::AttrRow* attribute = record::find_attribute(member.name);
  if (attribute == nullptr || attribute->indexed == record::Indexed::kPlain) return true;
  if (member.is_text != (attribute->type == record::AttrType::kText) || member.has_escapes) {
    return false;
  }
  if (member.is_text) {
    row.attributes.emplace_back(attribute->id, std::string(member.value));
    return true;
  }
  std::int64_t integer = 0;
  if (!read_integer(member.value, integer)) return false;
  row.attributes.emplace_back(attribute->id, integer);
  return true;
}

/// The columns of a record in the form that ocsf.cpp writes, without parsing all of it. A quote
/// inside a JSON string is always escaped, so what is looked for can only stand where a member
/// begins. False leaves the work to the parser.
bool read_plain_record(std::string_view line, IndexRow& row) {
  constexpr std::string_view kTime = "{\"time\":";
  constexpr std::string_view kSeverity = ",\"severity_id\":";
  constexpr std::string_view kOurs = ",\"unmapped\":{\"kind\":";
  if (!line.starts_with(kTime) || !read_integer(line.substr(kTime.size()), row.time_ms)) {
    return false;
  }
  const std::size_t severity = line.find(kSeverity);
  const std::size_t ours = line.find(kOurs);
  if (severity == std::string_view::npos || ours == std::string_view::npos || severity > ours ||
      !read_integer(line.substr(severity + kSeverity.size()), row.severity)) {
    return false;
  }
  std::string_view rest = line.substr(ours + std::string_view(",\"unmapped\":{").size());
  while (const auto member = take_member(rest)) {
    if (!read_member(*member, row)) return false;
  }
  return !row.kind.empty() && !row.outcome.empty();
}

void read_parsed_record(std::string_view line, IndexRow& row) {
  const auto document = codec::JsonDocument::parse(line);
  if (!document.has_value() || !document->root().is(codec::JsonKind::kObject)) return;
  if (const auto time = document->root().find("time"); time.has_value()) {
    row.time_ms = time->as_int64().value_or(0);
  }
  if (const auto severity = document->root().find("severity_id"); severity.has_value()) {
    row.severity = static_cast<int>(severity->as_int64().value_or(0));
  }
  const auto ours = document->root().find("unmapped");
  if (!ours.has_value() || !ours->is(codec::JsonKind::kObject)) return;
  row.kind = string_member(*ours, "kind");
  row.outcome = string_member(*ours, "outcome");
  row.code = string_member(*ours, "code");
  row.model = string_member(*ours, "model");
  for (const record::AttrRow& attribute : indexed_attributes()) {
    const auto member = ours->find(attribute.name);
    if (!member.has_value()) continue;
    if (attribute.type == record::AttrType::kText) {
      if (const auto text = member->as_string()) {
        row.attributes.emplace_back(attribute.id, std::string(*text));
      }
    } else if (const auto integer = member->as_int64()) {
      row.attributes.emplace_back(attribute.id, *integer);
    }
  }
}

bool matches_words(const Filter& filter, const IndexRow& row) {
  return (!filter.kind.has_value() || row.kind == describe(*filter.kind).name) &&
         (filter.kind_prefix.empty() || row.kind.starts_with(filter.kind_prefix)) &&
         (filter.model.empty() || row.model == filter.model) &&
         (!filter.outcome.has_value() || row.outcome == name_of(*filter.outcome)) &&
         (!filter.code.has_value() || row.code == name_of(*filter.code));
}

}  // namespace

const record::AttrValue* IndexRow::find(record::AttrId id) const {
  for (const auto& [own, value] : attributes) {
    if (own == id) return &value;
  }
  return nullptr;
}

const std::vector<record::AttrRow>& indexed_attributes() {
  static const std::vector<record::AttrRow> rows = [] {
    std::vector<record::AttrRow> indexed;
    for (const record::AttrRow& row : record::all_attributes()) {
      if (row.indexed == record::Indexed::kIndexed) indexed.push_back(row);
    }
    return indexed;
  }();
  return rows;
}

IndexRow row_of(std::uint64_t index, Bytes entry, std::uint64_t bundle_offset) {
  IndexRow row;
  if (!read_plain_record(as_text(entry), row)) {
    row = IndexRow();
    read_parsed_record(as_text(entry), row);
  }
  row.index = index;
  row.bundle_offset = bundle_offset;
  row.bytes = entry.size();
  std::sort(row.attributes.begin(), row.attributes.end(),
            [](const auto& left, const auto& right) { return left.first < right.first; });
  return row;
}

bool matches(const Filter& filter, const IndexRow& row) {
  const WallTime time{std::chrono::milliseconds(row.time_ms)};
  if (filter.since.has_value() && time < *filter.since) return false;
  if (filter.until.has_value() && time >= *filter.until) return false;
  if (row.severity < filter.severity_min) return false;
  if (filter.after_index.has_value() && row.index <= *filter.after_index) return false;
  if (filter.before_index.has_value() && row.index >= *filter.before_index) return false;
  return matches_words(filter, row) &&
         std::all_of(filter.attributes.begin(), filter.attributes.end(), [&](const auto& wanted) {
           const record::AttrValue* value = row.find(wanted.first);
           return value != nullptr && *value == wanted.second;
         });
}

}  // namespace mlxguard::log
