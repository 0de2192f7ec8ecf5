// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_edit.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "codec/text.h"

namespace mlxguard::trust {
namespace {

/// What a new file begins with; every key is documented in trust.toml.example.
constexpr std::string_view kNewPolicy =
    "# Trust policy: which models are trusted, and who may sign them.\n"
    "version = 1\n";

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string toml_text(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& text : list) out += (out.size() == 1 ? "" : ", ") + toml_text(text);
  return out + "]";
}

std::string moment(WallTime time) { return codec::to_rfc3339(time.time_since_epoch().count()); }

void write_window(std::string& out, const Window& window) {
  if (window.not_before) out += "not_before = " + moment(*window.not_before) + "\n";
  if (window.not_after) out += "not_after = " + moment(*window.not_after) + "\n";
}

void write_signer(std::string& out, const std::string& header, const SignerRule& signer) {
  out += "\n[[" + header + ".signers]]\n";
  if (signer.is_certificate()) {
    out += "ca = " + toml_text(signer.authority.string()) + "\n";
    if (!signer.authority_digest.empty()) {
      out += "ca_sha256 = " + toml_text(signer.authority_digest) + "\n";
    }
    out += "identity = " + toml_text(signer.identity) + "\n";
  } else {
    out += "key = " + toml_text(signer.key) + "\n";
    if (!signer.public_key.empty()) {
      out += "public_key = " + toml_text(signer.public_key.string()) + "\n";
    }
  }
  write_window(out, signer.window);
}

/// The lines of a text, each with its line break.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_remark(std::string_view line) {
  const std::string_view text = stripped(line);
  return text.empty() || text.front() == '#';
}

/// The parts of a table's header, [a."b.c"] or [[a.b]]; empty if the line is none.
std::vector<std::string> header_parts(std::string_view line) {
  std::string_view text = stripped(line);
  if (text.empty() || text.front() != '[') return {};
  text.remove_prefix(text.starts_with("[[") ? 2 : 1);
  std::vector<std::string> parts(1);
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        parts.back().push_back(c);
      }
    } else if (c == ']') {
      return parts;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '.') {
      parts.emplace_back();
    } else if (c != ' ' && c != '\t') {
      parts.back().push_back(c);
    }
  }
  return {};
}

/// Of the source itself or of its signers.
bool is_header_of(const std::vector<std::string>& parts, std::string_view name) {
  return parts.size() >= 2 && parts[0] == "sources" && parts[1] == name;
}

/// Where what belongs to the header in `line` begins: with the remarks right above it.
std::size_t begin_with_remarks(const std::vector<std::string_view>& lines, std::size_t line) {
  while (line > 0 && stripped(lines[line - 1]).starts_with('#')) --line;
  return line;
}

std::string without_source(std::string_view text, std::string_view name) {
  const auto lines = lines_of(text);
  std::vector<char> removed(lines.size(), 0);
  bool inside = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    removed[i] = inside ? 1 : 0;
    const auto parts = header_parts(lines[i]);
    if (parts.empty()) continue;
    inside = is_header_of(parts, name);
    for (std::size_t j = begin_with_remarks(lines, i); j <= i; ++j) removed[j] = inside ? 1 : 0;
  }
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (removed[i] == 0) out += lines[i];
  }
  return out;
}

/// Sets a key of the policy itself, before the first table; puts it there if it is missing.
std::string with_top_key(std::string_view text, std::string_view key, const std::string& value) {
  const auto lines = lines_of(text);
  std::size_t place = lines.size();  // of the first line that is no remark
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = stripped(lines[i]);
    if (!is_remark(lines[i]) && place == lines.size()) place = i;
    if (!line.empty() && line.front() == '[') break;
    if (!line.starts_with(key)) continue;
    const std::string_view rest = stripped(line.substr(key.size()));
    if (rest.empty() || rest.front() != '=') continue;
    const auto comment = rest.find('#');
    std::string out;
    for (std::size_t j = 0; j < lines.size(); ++j) {
      if (j != i) {
        out += lines[j];
        continue;
      }
      out += std::string(key) + " = " + value;
      if (comment != std::string_view::npos) out += "  " + std::string(rest.substr(comment));
      out += "\n";
    }
    return out;
  }
  // Remarks right above the first table stay with it.
  const bool table = place < lines.size() && stripped(lines[place]).front() == '[';
  if (table) place = begin_with_remarks(lines, place);
  std::string out;
  for (std::size_t j = 0; j <= lines.size(); ++j) {
    if (j == place) out += std::string(key) + " = " + value + "\n";
    if (j < lines.size()) out += lines[j];
  }
  return out;
}

Error exists(const std::string& name) {
  return make_error(ErrorCode::kTrustSourceExists, "the policy has a source of this name")
      .about(name)
      .hinting("mlxguard trust remove " + name + ", or choose another name");
}

}  // namespace

std::string write_source(const SourceRule& source, std::string_view remark) {
  const bool plain = source.name.find('.') == std::string::npos;
  const std::string header = "sources." + (plain ? source.name : toml_text(source.name));
  std::string out;
  if (!remark.empty()) out += "# " + std::string(remark) + "\n";
  out += "[" + header + "]\n";
  out += std::string(name_of(source.match)) + " = " + toml_text(source.patterns) + "\n";
  out += "mode = " + toml_text(name_of(source.mode)) + "\n";
  out += "threshold = " + std::to_string(source.threshold) + "\n";
  if (!source.formats.empty()) out += "formats = " + toml_text(source.formats) + "\n";
  write_window(out, source.window);
  if (source.min_version) out += "min_version = " + toml_text(source.min_version->text()) + "\n";
  if (source.rollback == Rollback::kRefuse) out += "rollback = \"refuse\"\n";
  if (!source.refuse_findings.empty()) {
    out += "refuse_findings = " + toml_text(source.refuse_findings) + "\n";
  }
  if (source.receipts == Receipts::kAllow) out += "receipts = true\n";
  if (!source.legacy.empty()) out += "legacy = " + toml_text(source.legacy) + "\n";
  if (!source.crls.empty()) {
    std::vector<std::string> files;
    for (const auto& file : source.crls) files.push_back(file.string());
    out += "crls = " + toml_text(files) + "\n";
  }
  for (const SignerRule& signer : source.signers) write_signer(out, header, signer);
  return out;
}

Result<std::string> edit_policy(std::string_view text, const std::filesystem::path& folder,
                                const PolicyEdit& edit) {
  MLXGUARD_TRY_ASSIGN(PolicyFile wanted, parse_policy(text, folder));
  std::string out(text.empty() ? kNewPolicy : text);
  if (!out.empty() && out.back() != '\n') out += "\n";
  if (edit.remove) {
    if (wanted.find(*edit.remove) == nullptr) {
      return make_error(ErrorCode::kTrustSourceUnknown, "the policy has no source of this name")
          .about(*edit.remove)
          .hinting("mlxguard trust list shows the names");
    }
    std::erase_if(wanted.sources,
                  [&](const SourceRule& source) { return source.name == *edit.remove; });
    out = without_source(out, *edit.remove);
  }
  if (edit.add) {
    if (wanted.find(edit.add->name) != nullptr) return exists(edit.add->name);
    wanted.sources.push_back(*edit.add);
    std::sort(wanted.sources.begin(), wanted.sources.end(),
              [](const SourceRule& a, const SourceRule& b) { return a.name < b.name; });
    out += (out.empty() ? "" : "\n") + write_source(*edit.add, edit.remark);
  }
  if (edit.expires) {
    wanted.expires = edit.expires;
    out = with_top_key(out, "expires", moment(*edit.expires));
  }
  ++wanted.version;
  out = with_top_key(out, "version", std::to_string(wanted.version));
  auto result = parse_policy(out, folder);
  if (!result)
    return std::move(result).error().with("with this change the policy would not be valid");
  std::sort(result->sources.begin(), result->sources.end(),
            [](const SourceRule& a, const SourceRule& b) { return a.name < b.name; });
  if (*result == wanted) return out;
  return make_error(ErrorCode::kTrustPolicy,
                    "the file is written in a way that cannot be edited without changing more")
      .hinting("edit it by hand, and give it the next version");
}

}  // namespace mlxguard::trust
