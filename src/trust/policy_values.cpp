// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_values.h"

#include <algorithm>
#include <set>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::trust {
namespace {

constexpr LegacyForm kLegacyForms[] = {
    {"digests-v0.1", "statements of model-signing 0.2: one digest a file, no root digest"},
    {"pae-v0.2", "envelopes of model-signing 0.2, encoded otherwise than DSSE says"},
    {"media-types", "bundles of media types 0.1 to 0.3 in their older spelling"},
};

bool is_lowercase_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

bool is_word(char c) {
  return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == '-';
}

std::optional<WallTime> time_of(const toml::node& value) {
  using namespace std::chrono;
  const auto day_of = [](const toml::date& date) -> std::optional<sys_days> {
    const year_month_day day{year(date.year), month(date.month), std::chrono::day(date.day)};
    if (!day.ok()) return {};
    return sys_days(day);
  };
  if (const auto date = value.value_exact<toml::date>()) {
    if (const auto day = day_of(*date)) return WallTime(*day);
    return {};
  }
  if (const auto moment = value.value_exact<toml::date_time>(); moment && moment->offset) {
    const auto day = day_of(moment->date);
    if (!day) return {};
    const toml::time& time = moment->time;
    return WallTime(*day) + hours(time.hour) + minutes(time.minute) + seconds(time.second) +
           milliseconds(time.nanosecond / 1'000'000) - minutes(moment->offset->minutes);
  }
  return {};
}

}  // namespace

Error wrong_value(std::string_view expected) {
  return make_error(ErrorCode::kTrustPolicy, "expected " + std::string(expected));
}

Error unknown_key(const toml::node& value, const std::string& full_name) {
  return make_error(ErrorCode::kTrustPolicy, "line " + std::to_string(value.source().begin.line) +
                                                 ": no such key: " + full_name)
      .about(full_name)
      .hinting("trust.toml.example lists every key");
}

Error at_key(Error error, const toml::node& value, const std::string& full_name) {
  if (!error.subject.empty()) return error;  // said already, and more exactly
  return std::move(error)
      .with("line " + std::to_string(value.source().begin.line) + ":", full_name)
      .about(full_name);
}

Result<std::string> read_text(const toml::node& value) {
  auto text = value.value_exact<std::string>();
  const auto bad = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (!text || text->empty() || text->size() > limits::kPolicyTextBytesMax ||
      std::any_of(text->begin(), text->end(), bad)) {
    return wrong_value("a text of one line");
  }
  return *std::move(text);
}

Result<std::vector<std::string>> read_texts(const toml::node& value) {
  std::vector<std::string> texts;
  const toml::array* array = value.as_array();
  if (array == nullptr) {
    MLXGUARD_TRY_ASSIGN(std::string text, read_text(value));
    texts.push_back(std::move(text));
    return texts;
  }
  if (array->size() > limits::kPolicyListMax) return wrong_value("a shorter list");
  std::set<std::string> seen;
  for (const toml::node& item : *array) {
    MLXGUARD_TRY_ASSIGN(std::string text, read_text(item));
    if (!seen.insert(text).second) return wrong_value("each entry of the list once");
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<WallTime> read_time(const toml::node& value) {
  if (const auto time = time_of(value)) return *time;
  if (const auto text = value.value_exact<std::string>()) {
    if (const auto milliseconds = codec::from_rfc3339(*text)) {
      return WallTime(std::chrono::milliseconds(*milliseconds));
    }
  }
  return wrong_value("a date, or a date and time with its offset, such as 2027-01-31T00:00:00Z");
}

Result<std::string> normal_path(std::string_view text, const std::filesystem::path& folder) {
  std::error_code problem;
  const auto whole = std::filesystem::absolute(folder / text, problem).lexically_normal();
  if (problem) return wrong_value("a path");
  std::string path = whole.string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<void> check_hugging_face_pattern(std::string_view text) {
  const auto slash = text.find('/');
  const auto is_pattern = [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(),
                                        [](char c) { return is_word(c) || c == '*' || c == '?'; });
  };
  if (slash == std::string_view::npos || !is_pattern(text.substr(0, slash)) ||
      !is_pattern(text.substr(slash + 1))) {
    return wrong_value("an id ORG/NAME of letters, digits, '.', '_', '-', and * or ? to match");
  }
  return {};
}

Result<void> check_digest(std::string_view text) {
  if (text.size() == 64 && is_lowercase_hex(text)) return {};
  return wrong_value("64 lowercase hexadecimal digits");
}

Result<void> check_finding_pattern(std::string_view text) {
  constexpr std::string_view kSeverities[] = {"severity:info", "severity:low", "severity:medium",
                                              "severity:high", "severity:critical"};
  if (text.starts_with("severity:")) {
    const bool known =
        std::find(std::begin(kSeverities), std::end(kSeverities), text) != std::end(kSeverities);
    return known ? Result<void>{} : wrong_value("severity:info, low, medium, high or critical");
  }
  const std::string_view id = text;
  if (!id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), is_word)) return {};
  return wrong_value("a finding's rule, or severity:LEVEL");
}

Result<void> check_window(const Window& window) {
  if (window.not_before && window.not_after && *window.not_before > *window.not_after) {
    return wrong_value("not_before to be before not_after");
  }
  return {};
}

Result<std::string> normal_identity(std::string_view text) {
  constexpr std::string_view kPrefixes[] = {"email:", "uri:", "dns:", "subject:"};
  for (const std::string_view prefix : kPrefixes) {
    if (text.starts_with(prefix) && text.size() > prefix.size()) return std::string(text);
  }
  if (text.find("://") != std::string_view::npos) return "uri:" + std::string(text);
  if (text.find('@') != std::string_view::npos) return "email:" + std::string(text);
  if (text.find('.') != std::string_view::npos && std::all_of(text.begin(), text.end(), is_word)) {
    return "dns:" + std::string(text);
  }
  return wrong_value("an identity such as email:ci@example.org, uri:.., dns:.. or subject:CN=..");
}

Result<void> check_source_name(std::string_view name) {
  if (!name.empty() && name.size() <= limits::kModelNameBytesMax && name.front() != '.' &&
      name.front() != '-' && std::all_of(name.begin(), name.end(), is_word)) {
    return {};
  }
  return wrong_value("a source's name of letters, digits, '.', '_' and '-'")
      .about(std::string(name.substr(0, 64)));
}

Result<std::string> normal_serial(std::string_view text) {
  std::string serial;
  for (const char c : text) {
    if (c != ':') serial.push_back(ascii_lower(c));
  }
  if (!is_lowercase_hex(serial) || serial.size() > 64) {
    return wrong_value("a certificate's serial number in hexadecimal");
  }
  const auto digit = serial.find_first_not_of('0');
  return digit == std::string::npos ? std::string("0") : serial.substr(digit);
}

std::span<const LegacyForm> legacy_forms() { return kLegacyForms; }

std::string_view name_of(Mode mode) { return mode == Mode::kEnforce ? "enforce" : "warn"; }

std::string_view name_of(MatchKind kind) {
  switch (kind) {
    case MatchKind::kDigest:
      return "digest";
    case MatchKind::kPath:
      return "path";
    case MatchKind::kHuggingFace:
      return "hugging_face";
  }
  return "";
}

bool Window::holds(WallTime now) const {
  return (!not_before || now >= *not_before) && (!not_after || now <= *not_after);
}

std::string Window::text() const {
  const auto moment = [](const std::optional<WallTime>& time) {
    return time ? codec::to_rfc3339(time->time_since_epoch().count()) : std::string("any time");
  };
  return moment(not_before) + " to " + moment(not_after);
}

const SourceRule* PolicyFile::find(std::string_view name) const {
  const auto found = std::find_if(sources.begin(), sources.end(),
                                  [&](const SourceRule& source) { return source.name == name; });
  return found == sources.end() ? nullptr : &*found;
}

}  // namespace mlxguard::trust
