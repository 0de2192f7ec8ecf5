// SPDX-License-Identifier: Apache-2.0
#include "resolver.h"

#include <unistd.h>

#include <filesystem>

#include "inventory/files.h"
#include "tool_process.h"

namespace mlxguard::cli {
namespace {

using inventory::LockEntry;

constexpr std::chrono::seconds kTimeMax{900};

Result<std::vector<LockEntry>> with_pip(const std::vector<std::string>& requirements,
                                        const std::vector<std::string>& files,
                                        const ResolverOptions& options) {
  if (!options.uploaded_before.empty()) {
    return make_error(ErrorCode::kUsage, "a cooldown needs --resolver uv");
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
  if (!options.index_url.empty())
    arguments.insert(arguments.end(), {"--index-url", options.index_url});
  for (const std::string& file : files) arguments.insert(arguments.end(), {"--requirement", file});
  arguments.insert(arguments.end(), requirements.begin(), requirements.end());
  MLXGUARD_TRY_ASSIGN(const std::string report, tool_answer(run_tool(arguments, kTimeMax), "pip"));
  return inventory::read_pip_report(report);
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
  if (!options.dependencies) arguments.emplace_back("--no-deps");
  if (!options.index_url.empty())
    arguments.insert(arguments.end(), {"--default-index", options.index_url});
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
  MLXGUARD_TRY_ASSIGN(const std::string lock, tool_answer(run_tool(arguments, kTimeMax), "uv"));
  return inventory::read_resolved_pylock(lock);
}

}  // namespace

Result<std::vector<LockEntry>> resolve(const std::vector<std::string>& requirements,
                                       const std::vector<std::string>& files,
                                       const ResolverOptions& options) {
  if (requirements.empty() && files.empty()) return std::vector<LockEntry>{};
  for (const std::string& one : requirements) {
    if (one.starts_with('-'))
      return make_error(ErrorCode::kUsage, "expected a requirement, found an option");
  }
  if (options.tool == "pip") return with_pip(requirements, files, options);
  if (options.tool == "uv") return with_uv(requirements, files, options);
  return make_error(ErrorCode::kUsage, "expected pip or uv after --resolver");
}

}  // namespace mlxguard::cli
