// SPDX-License-Identifier: Apache-2.0
// requirements.txt as pip reads it: continued lines, comments, options of one line and of the file,
// hashes, other files by -r and -c. What would fetch or run something is observed, not done.
#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "base/limits.h"
#include "codec/text.h"
#include "inventory/archive_name.h"
#include "inventory/files.h"
#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "packaging/name.h"
#include "packaging/requirement.h"
#include "packaging/scan.h"

namespace mlxguard::inventory {
namespace {

using packaging::trim;

constexpr std::size_t kLineBytesMax = 1u << 20;  // joined: hundreds of hashes

struct Line {
  std::string text;
  std::size_t number = 0;
};

/// Takes the first line, without its end, off the text. pip ends lines where Python's splitlines()
/// does: what others take for the rest of a comment can be a requirement of its own.
std::string_view take_line(std::string_view& text) {
  constexpr std::string_view kBeyondAscii[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    std::size_t ends = (byte >= '\n' && byte <= '\r') || (byte >= 0x1c && byte <= 0x1e) ? 1 : 0;
    if (text.substr(at).starts_with("\r\n")) ends = 2;
    if (byte >= 0x80) {
      for (const std::string_view one : kBeyondAscii) {
        if (text.substr(at).starts_with(one)) ends = one.size();
      }
    }
    if (ends == 0) continue;
    const std::string_view line = text.substr(0, at);
    text.remove_prefix(at + ends);
    return line;
  }
  return std::exchange(text, {});
}

/// Without comments, continued lines joined.
Result<std::vector<Line>> split_lines(std::string_view text) {
  std::vector<Line> lines;
  bool goes_on = false;
  std::size_t number = 0;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (++number > limits::kDepsLinesMax) {
      return make_error(ErrorCode::kTooLarge, "more lines than allowed");
    }
    const bool comment = trim(line).starts_with('#');
    const bool continued = line.ends_with('\\') && !comment;
    if (continued) line.remove_suffix(1);
    if (!goes_on) lines.push_back({"", number});
    // As pip does: a comment line among continued ones ends them.
    if (comment) line = {};
    lines.back().text += line;
    if (lines.back().text.size() > kLineBytesMax) {
      return make_error(ErrorCode::kTooLarge, "a line longer than allowed");
    }
    goes_on = continued;
  }
  for (Line& line : lines) {
    // A comment begins at a '#' that white space precedes: URLs have others.
    std::size_t at = 0;
    while ((at = line.text.find('#', at)) != std::string::npos) {
      if (at == 0 || packaging::is_space(line.text[at - 1])) {
        line.text.resize(at);
        break;
      }
      ++at;
    }
    line.text = std::string(trim(line.text));
  }
  std::erase_if(lines, [](const Line& line) { return line.text.empty(); });
  return lines;
}

/// "--name=value" or "--name value" or "-nvalue"; the value, when `text` is this option.
std::optional<std::string> option_value(std::string_view text, std::string_view brief,
                                        std::string_view name) {
  if (text.starts_with(name)) {
    std::string_view rest = text.substr(name.size());
    if (!rest.empty() && rest.front() != '=' && !packaging::is_space(rest.front())) return {};
    rest = trim(rest);
    if (rest.starts_with('=')) rest = trim(rest.substr(1));
    return std::string(rest);
  }
  if (brief.empty() || !text.starts_with(brief) || text.starts_with("--")) return {};
  return std::string(trim(text.substr(brief.size())));
}

class Reader {
 public:
  Reader(const FileReader& read, const std::string& first)
      : read_(read), first_(first), locked_(first) {}

  Result<void> file(const std::string& path, bool constraint, std::size_t depth) {
    constexpr std::size_t kDepthMax = 16;
    // One file twice is ordinary; a circle of them ends here too.
    if (!seen_.insert((constraint ? "-c " : "-r ") + path).second) return {};
    if (depth > kDepthMax || ++files_ > limits::kDepsIncludesMax) {
      return make_error(ErrorCode::kTooLarge, "requirements files that name each other too often")
          .about(path);
    }
    MLXGUARD_TRY_ASSIGN(const std::string text, read_(path, limits::kDepsFileBytesMax));
    std::string_view content = text;
    if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
    if (!codec::is_utf8(content) || content.find('\0') != std::string_view::npos) {
      return make_error(ErrorCode::kUtf8, "expected UTF-8")
          .about(path)
          .hinting("write the file anew in UTF-8; PowerShell's > writes UTF-16");
    }
    // pip-compile and uv say for each package who needs it.
    says_who_needs_ = says_who_needs_ || content.find("# via") != std::string_view::npos;
    MLXGUARD_TRY_ASSIGN(const auto lines, split_lines(content));
    for (const Line& one : lines) {
      auto done = line(one, path, constraint, depth);
      if (!done) {
        Error error = std::move(done).error();
        if (!error.subject.empty()) return error;
        return std::move(error).with("line " + std::to_string(one.number)).about(path);
      }
    }
    return {};
  }

  Result<Inventory> finish(const std::string& shown_root) && {
    for (auto& [name, package] : packages_) {
      const auto found = constraints_.find(name);
      if (found == constraints_.end() || !package.version.empty()) continue;
      // Of several, or under a marker, nobody can tell here which one holds.
      if (found->second.size() == 1) package.version = *found->second.begin();
    }
    const bool hashed =
        std::all_of(packages_.begin(), packages_.end(),
                    [](const auto& one) { return !one.second.hashes.empty(); });
    if (!packages_.empty() && !hashed && !says_who_needs_) {
      locked_.builder().observe(
          Observation::Kind::kIncomplete, "", first_,
          make_error(ErrorCode::kDepsFile,
                     "only what it names was looked at, not what that needs: it does not say that "
                     "it lists everything")
              .hinting("a lock does, and so do requirements with hashes: mlxguard deps lock"));
    }
    for (auto& [name, package] : packages_) MLXGUARD_TRY(locked_.add(std::move(package), 0));
    return std::move(locked_).build(shown_root, "requirements", LockedPackages::Roots::kGuessed);
  }

 private:
  Result<void> line(const Line& one, const std::string& path, bool constraint, std::size_t depth) {
    const std::string_view text = one.text;
    if (text.starts_with('-')) {
      for (const auto& [brief, name, is_constraint] :
           {std::tuple{"-r", "--requirement", false}, {"-c", "--constraint", true}}) {
        const auto other = option_value(text, brief, name);
        if (!other) continue;
        if (other->find("://") != std::string::npos) {
          observe(path, one.number, "a requirements file from a URL, which is not fetched");
          return {};
        }
        const std::string next = join_inside(folder_name(path), *other);
        if (next.empty()) {
          return make_error(ErrorCode::kDepsFile, "a requirements file outside of this folder");
        }
        return file(next, constraint || is_constraint, depth + 1);
      }
      if (const auto editable = option_value(text, "-e", "--editable")) {
        return place(*editable, path, one.number, "editable");
      }
      return file_option(text);
    }
    return requirement(text, path, one.number, constraint);
  }

  /// Options that only installers use; an unknown one is an error, since it may change the meaning,
  /// and so is a second one in the line: `--pre -r more.txt` asks for more.
  static Result<void> file_option(std::string_view text) {
    constexpr std::string_view kAlone[] = {"--no-index", "--pre", "--prefer-binary",
                                           "--require-hashes"};
    constexpr std::string_view kValued[] = {
        "-i",          "--index-url",   "--extra-index-url", "-f",           "--find-links",
        "--no-binary", "--only-binary", "--trusted-host",    "--use-feature"};
    const std::string_view name = text.substr(0, text.find_first_of("= \t"));
    std::string_view rest = trim(text.substr(name.size()));
    const auto is_in = [&](std::span<const std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is_in(kValued)) {
      if (rest.starts_with('=')) rest = trim(rest.substr(1));
      rest = trim(rest.substr(std::min(rest.find_first_of(" \t"), rest.size())));
    } else if (!is_in(kAlone)) {
      return make_error(ErrorCode::kRequirement, "an option that is not understood");
    }
    if (rest.empty()) return {};
    return make_error(ErrorCode::kRequirement, "expected one option in a line, found more");
  }

  void observe(const std::string& path, std::size_t number, std::string words) {
    locked_.builder().observe(Observation::Kind::kUnreadable, "", path,
                              make_error(ErrorCode::kDepsFile, "line " + std::to_string(number) +
                                                                   ": " + std::move(words)));
  }

  /// A path or URL without a name in front: "./folder", "git+https://host/x@commit#egg=name".
  Result<void> place(std::string_view where, const std::string& path, std::size_t number,
                     const char* source) {
    const auto egg = where.find("#egg=");
    std::string name;
    if (egg != std::string_view::npos) {
      name = where.substr(egg + 5);
      name.resize(std::min(name.find_first_of("[&; "), name.size()));
    }
    const ArchiveName archive = archive_name(where);
    if (name.empty()) name = archive.name;
    if (!packaging::is_name(name)) {
      observe(path, number, "a package by its place, whose name cannot be told");
      return {};
    }
    LockedPackage package;
    package.file = path;
    package.line = number;
    package.name = name;
    package.version = archive.version;
    package.direct = true;
    package.properties = {{"source", source},
                          {"source_url", without_credentials(std::string(where.substr(0, egg)))}};
    packages_.emplace(packaging::normalize_name(name), std::move(package));
    return {};
  }

  /// Takes --hash and other options off the end of a requirement.
  static Result<std::vector<std::string>> take_hashes(std::string_view& text) {
    std::vector<std::string> hashes;
    std::size_t start = text.find(" --");
    if (const auto tab = text.find("\t--"); tab < start) start = tab;
    if (start == std::string_view::npos) return hashes;
    std::string_view options = trim(text.substr(start));
    text = trim(text.substr(0, start));
    while (!options.empty()) {
      std::size_t end = options.find(" --", 1);
      if (const auto tab = options.find("\t--", 1); tab < end) end = tab;
      const std::string_view one = trim(options.substr(0, end));
      options = end == std::string_view::npos ? std::string_view{} : trim(options.substr(end));
      const auto value = option_value(one, "", "--hash");
      if (!value) {
        const bool known = option_value(one, "", "--config-settings") ||
                           option_value(one, "", "--global-option") ||
                           option_value(one, "", "--no-binary") ||
                           option_value(one, "", "--only-binary");
        if (known) continue;
        return make_error(ErrorCode::kRequirement, "an option that is not understood");
      }
      const auto colon = value->find(':');
      if (colon == std::string::npos) {
        return make_error(ErrorCode::kRequirement, "expected --hash=algorithm:digest");
      }
      std::string known =
          hash_of(value->substr(0, colon), ascii_lower(value->substr(colon + 1)));
      if (known.empty()) {
        return make_error(ErrorCode::kRequirement,
                          "expected sha256, sha384 or sha512 in hexadecimal");
      }
      hashes.push_back(std::move(known));
    }
    return hashes;
  }

  Result<void> requirement(std::string_view text, const std::string& path, std::size_t number,
                           bool constraint) {
    MLXGUARD_TRY_ASSIGN(auto hashes, take_hashes(text));
    const bool by_place =
        text.starts_with('.') || text.starts_with('/') ||
        (text.find("://") != std::string_view::npos && text.find('@') > text.find("://")) ||
        text.ends_with(".whl") || text.ends_with(".tar.gz");
    if (by_place && text.find(" @ ") == std::string_view::npos) {
      return place(text, path, number, "archive");
    }
    auto parsed = packaging::Requirement::parse(text);
    if (!parsed) {
      Error error = std::move(parsed).error();
      error.subject = without_credentials(std::move(error.subject));
      return std::move(error).with("line " + std::to_string(number) + " of " + path);
    }
    const packaging::Requirement read = *std::move(parsed);
    const std::string name = packaging::normalize_name(read.name);
    const auto pinned = read.url.empty() ? read.specifiers.pinned() : std::nullopt;
    if (constraint) {
      if (pinned) {
        constraints_[name].insert(*pinned);
        if (read.marker) constraints_[name].insert("");
      }
      return {};
    }
    LockedPackage package;
    package.file = path;
    package.line = number;
    package.name = read.name;
    package.version = pinned.value_or("");
    package.hashes = std::move(hashes);
    package.marker = read.marker ? read.marker->text() : "";
    if (!pinned && !read.specifiers.specifiers().empty()) {
      package.properties.emplace_back("specifier", read.specifiers.text());
    }
    for (const std::string& extra : read.extras) {
      package.properties.emplace_back("extra", packaging::normalize_name(extra));
    }
    if (!read.url.empty()) {
      const std::string shown = without_credentials(read.url);
      const bool vcs = shown.starts_with("git+") || shown.starts_with("hg+");
      package.qualifiers.emplace_back(vcs ? "vcs_url" : "download_url", shown);
      if (!vcs) package.version = archive_name(read.url).version;
      package.properties.emplace_back("source", vcs ? "vcs" : "archive");
      package.properties.emplace_back("source_url", shown);
    }
    return keep(name, std::move(package));
  }

  /// The same package on several lines: for several platforms, by their markers.
  Result<void> keep(const std::string& name, LockedPackage package) {
    const auto range = packages_.equal_range(name);
    for (auto at = range.first; at != range.second; ++at) {
      if (at->second.marker != package.marker) continue;
      if (join(at->second, package)) return {};
      return make_error(ErrorCode::kDepsFile, "asked for twice, and differently: " + name);
    }
    packages_.emplace(name, std::move(package));
    return {};
  }

  /// One package that several lines ask for: all of what they ask. False: two versions or places.
  static bool join(LockedPackage& package, const LockedPackage& other) {
    const bool told = !package.version.empty() && !other.version.empty();
    if ((told && package.version != other.version) || package.qualifiers != other.qualifiers) {
      return false;
    }
    if (package.version.empty()) package.version = other.version;
    package.hashes.insert(package.hashes.end(), other.hashes.begin(), other.hashes.end());
    for (const auto& one : other.properties) {
      if (std::find(package.properties.begin(), package.properties.end(), one) ==
          package.properties.end()) {
        package.properties.push_back(one);
      }
    }
    return true;
  }

  const FileReader& read_;
  std::string first_;
  bool says_who_needs_ = false;
  LockedPackages locked_;
  std::multimap<std::string, LockedPackage> packages_;
  std::map<std::string, std::set<std::string>> constraints_;  // name, pinned; "": by a marker
  std::set<std::string> seen_;
  std::size_t files_ = 0;
};

}  // namespace

Result<Inventory> read_requirements(const std::string& file_name, const FileReader& read,
                                    const std::string& shown_root) {
  Reader reader(read, file_name);
  MLXGUARD_TRY(reader.file(file_name, false, 0));
  return std::move(reader).finish(shown_root);
}

}  // namespace mlxguard::inventory
