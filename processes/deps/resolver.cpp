// SPDX-License-Identifier: Apache-2.0
#include "resolver.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "inventory/files.h"
#include "packaging/requirement.h"
#include "tool_process.h"

namespace mlxguard::cli {
namespace {

using inventory::LockEntry;

constexpr std::chrono::seconds kTimeMax{900};

/// An index may have a password in its URL, which belongs on no command line.
ToolVariables index_variables(const ResolverOptions& options) {
  if (options.index_url.empty()) return {};
  if (options.tool == "pip") return {{"PIP_INDEX_URL", options.index_url}};
  return {{"UV_DEFAULT_INDEX", options.index_url}, {"UV_INDEX_URL", ""}};
}

Result<std::string> ask(const std::vector<std::string>& arguments, const ResolverOptions& options) {
  return tool_answer(run_tool(arguments, kTimeMax, index_variables(options)), options.tool);
}

/// Whatever its reader says of it: it is the tool's answer that is at fault.
Result<std::vector<LockEntry>> understood(Result<std::vector<LockEntry>> answer,
                                          const ResolverOptions& options) {
  if (answer || answer.error().code == ErrorCode::kResolver) return answer;
  return make_error(ErrorCode::kResolver,
                    options.tool + "'s answer is not understood: " + answer.error().message);
}

/// "name @ URL" of anything but a wheel is built to learn its metadata, which runs its code.
bool is_built(const std::string& requirement) {
  const auto read = packaging::Requirement::parse(requirement);
  if (!read || read->url.empty()) return false;
  const std::string place = read->url.substr(0, read->url.find_first_of("?#"));
  return !place.ends_with(".whl");
}

Result<void> check_asked(const std::vector<std::string>& requirements,
                         const ResolverOptions& options) {
  for (const std::string& one : requirements) {
    if (one.starts_with('-'))
      return make_error(ErrorCode::kUsage, "expected a requirement, found an option");
    const bool control = std::any_of(one.begin(), one.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (control) {
      return make_error(ErrorCode::kRequirement,
                        "a requirement with line ends or other control characters");
    }
    if (!options.source_distributions && is_built(one)) {
      return make_error(ErrorCode::kDepsLock, "is built from source, which runs its code")
          .about(one.substr(0, one.find_first_of(" @")))
          .hinting("--allow-sdist takes it, --skip leaves it out");
    }
  }
  return {};
}

Result<std::vector<LockEntry>> with_pip(const std::vector<std::string>& requirements,
                                        const std::vector<std::string>& files,
                                        const ResolverOptions& options) {
  if (!options.uploaded_before.empty()) {
    return make_error(ErrorCode::kUsage, "a cooldown needs --resolver uv");
  }
  if (!options.platform.empty()) {
    return make_error(ErrorCode::kUsage, "--platform needs --resolver uv")
        .hinting("pip judges markers for the platform that it runs on");
  }
  // -I: nothing of the folder that it is called in is imported.
  std::vector<std::string> arguments{options.python,
                                     "-I",
                                     "-m",
                                     "pip",
                                     "install",
                                     "--dry-run",
                                     "--ignore-installed",
                                     "--quiet",
                                     "--no-input",
                                     "--disable-pip-version-check",
                                     "--report",
                                     "-"};
  if (!options.source_distributions) arguments.insert(arguments.end(), {"--only-binary", ":all:"});
  if (!options.dependencies) arguments.emplace_back("--no-deps");
  for (const std::string& file : files) arguments.insert(arguments.end(), {"--requirement", file});
  arguments.insert(arguments.end(), requirements.begin(), requirements.end());
  MLXGUARD_TRY_ASSIGN(const std::string report, ask(arguments, options));
  return understood(inventory::read_pip_report(report), options);
}

/// A file that is gone with this object.
class Draft {
 public:
  static Result<Draft> create(const std::vector<std::string>& lines) {
    std::error_code problem;
    std::string name = std::filesystem::temp_directory_path(problem) / "mlxguard-XXXXXX";
    const int fd = ::mkstemp(name.data());
    if (fd < 0) return make_error(ErrorCode::kIo, "no temporary file can be made");
    ::close(fd);
    Draft draft(name);
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    MLXGUARD_TRY(inventory::write_file(name, text));
    return draft;
  }
  explicit Draft(std::string name) : name_(std::move(name)) {}
  Draft(Draft&& other) noexcept : name_(std::exchange(other.name_, {})) {}
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

Result<std::vector<LockEntry>> with_uv(const std::vector<std::string>& requirements,
                                       const std::vector<std::string>& files,
                                       const ResolverOptions& options) {
  MLXGUARD_TRY_ASSIGN(const Draft draft, Draft::create(requirements));
  std::vector<std::string> arguments{"uv",          "pip",         "compile",
                                     "--quiet",     "--no-header", "--format",
                                     "pylock.toml", "--python",    options.python};
  if (!options.source_distributions) arguments.insert(arguments.end(), {"--only-binary", ":all:"});
  if (!options.platform.empty()) {
    arguments.insert(arguments.end(), {"--python-platform", options.platform});
  }
  if (!options.dependencies) arguments.emplace_back("--no-deps");
  if (!options.uploaded_before.empty()) {
    arguments.insert(arguments.end(), {"--exclude-newer", options.uploaded_before});
    for (const std::string& name : options.cooled) {
      arguments.insert(arguments.end(), {"--exclude-newer-package", name + "=9999-01-01"});
    }
  }
  // What is asked for as low as it may be; what that brings in new as high as it can be.
  if (options.smallest) arguments.insert(arguments.end(), {"--resolution", "lowest-direct"});
  if (!requirements.empty()) arguments.push_back(draft.name());
  arguments.insert(arguments.end(), files.begin(), files.end());
  MLXGUARD_TRY_ASSIGN(const std::string lock, ask(arguments, options));
  return understood(inventory::read_resolved_pylock(lock), options);
}

}  // namespace

Result<std::vector<LockEntry>> resolve(const std::vector<std::string>& requirements,
                                       const std::vector<std::string>& files,
                                       const ResolverOptions& options) {
  if (requirements.empty() && files.empty()) return std::vector<LockEntry>{};
  MLXGUARD_TRY(check_asked(requirements, options));
  if (options.tool == "pip") return with_pip(requirements, files, options);
  if (options.tool == "uv") return with_uv(requirements, files, options);
  return make_error(ErrorCode::kUsage, "expected pip or uv after --resolver");
}

}  // namespace mlxguard::cli
