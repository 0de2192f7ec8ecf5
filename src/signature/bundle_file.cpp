// SPDX-License-Identifier: Apache-2.0
#include "signature/bundle_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::signature {
namespace {

namespace fs = std::filesystem;

/// model.sig.d beside model.sig, FILE.sig.d beside FILE.sig.
constexpr std::string_view kFurtherSuffix = ".d";

/// "x/" names the folder x: its last component is empty otherwise.
fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

/// "x/." rather than "x": the folder around a model may be a link, unlike the model itself.
fs::path folder_around(const fs::path& file) { return file.parent_path() / "."; }

/// Removes the unfinished file again unless it was put in place.
class Unfinished {
 public:
  Unfinished(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (!placed_) ::unlinkat(folder_, name_.c_str(), 0);
  }
  void set_placed() { placed_ = true; }

 private:
  int folder_;
  std::string name_;
  bool placed_ = false;
};

/// A device or a pipe is not replaced by a file: who names one, or a link to one, made a mistake.
Result<void> check_replaceable(int folder, const std::string& name) {
  struct stat status {};
  if (::fstatat(folder, name.c_str(), &status, 0) != 0 || S_ISREG(status.st_mode)) return {};
  return make_error(ErrorCode::kUsage, "expected a file to write the signature to").about(name);
}

Result<void> replace(int folder, const std::string& name, std::string_view text) {
  MLXGUARD_TRY(check_replaceable(folder, name));
  const std::string unfinished_name = unfinished_file_of(name);
  // Left by a signer that was killed: the lock on the folder says that none is at work.
  if (::unlinkat(folder, unfinished_name.c_str(), 0) != 0 && errno != ENOENT) {
    return os_error("remove", unfinished_name);
  }
  const UniqueFd file(::openat(folder, unfinished_name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.is_open()) return os_error("create", unfinished_name);
  Unfinished unfinished(folder, unfinished_name);
  MLXGUARD_TRY(write_all(file.get(), text, unfinished_name));
  if (::fsync(file.get()) != 0) return os_error("sync", unfinished_name);
  if (::renameat(folder, unfinished_name.c_str(), folder, name.c_str()) != 0) {
    return os_error("rename", name);
  }
  unfinished.set_placed();
  if (::fsync(folder) != 0) return os_error("sync the folder of", name);
  return {};
}

/// One signer after the other.
Result<void> put_in(const fs::path& folder, const std::string& name, std::string_view text) {
  const UniqueFd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened.is_open()) return os_error("open", folder.string());
  while (::flock(opened.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock", folder.string());
  }
  return replace(opened.get(), name, text);
}

}  // namespace

std::string unfinished_file_of(std::string_view bundle_file) {
  const std::size_t slash = bundle_file.rfind('/');
  const std::size_t name_at = slash == bundle_file.npos ? 0 : slash + 1;
  return std::string(bundle_file.substr(0, name_at)) + "." +
         std::string(bundle_file.substr(name_at)) + ".new";
}

fs::path bundle_path(const artifact::ModelFolder& folder, const fs::path& model_path) {
  const fs::path path = without_trailing_slash(model_path);
  if (folder.is_single_file()) return path.parent_path() / (path.filename().string() + ".sig");
  return path / artifact::kSignatureFile;
}

Result<std::string> read_bundle_file(const artifact::ModelFolder& folder,
                                     const fs::path& model_path) {
  const fs::path path = bundle_path(folder, model_path);
  const auto read = [&]() -> Result<std::string> {
    if (!folder.is_single_file()) {
      return folder.read_small(artifact::kSignatureFile, limits::kBundleBytesMax);
    }
    MLXGUARD_TRY_ASSIGN(const auto beside, artifact::ModelFolder::open(folder_around(path)));
    return beside.read_small(path.filename().string(), limits::kBundleBytesMax);
  };
  auto text = read();
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kSignatureMissing, "expected a signature bundle, found none")
        .about(path.filename().string())
        .hinting("sign the model with: mlxguard sign MODEL --key NAME");
  }
  return text;
}

Result<std::vector<FurtherBundle>> read_further_bundles(const artifact::ModelFolder& folder,
                                                        const fs::path& model_path) {
  const fs::path path = bundle_path(folder, model_path);
  const std::string inside = path.filename().string() + std::string(kFurtherSuffix);
  std::optional<artifact::ModelFolder> beside;
  if (folder.is_single_file()) {
    MLXGUARD_TRY_ASSIGN(beside, artifact::ModelFolder::open(folder_around(path)));
  }
  const artifact::ModelFolder& around = beside ? *beside : folder;
  std::vector<FurtherBundle> bundles;
  MLXGUARD_TRY_ASSIGN(const auto names, around.list_small(inside, limits::kModelFilesMax));
  for (const std::string& name : names) {
    if (!name.ends_with(".sig") || name.front() == '.') continue;
    if (bundles.size() + 1 == limits::kModelBundlesMax) {
      return make_error(ErrorCode::kSignatureCount, "more bundles than a model may have")
          .about(inside)
          .compared("at most " + std::to_string(limits::kModelBundlesMax), "more");
    }
    const std::string whole = inside + "/" + name;
    bundles.push_back({whole, around.read_small(whole, limits::kBundleBytesMax)});
  }
  return bundles;
}

Result<fs::path> put_further_bundle(const artifact::ModelFolder& folder, const fs::path& model_path,
                                    const std::string& signer, std::string_view text) {
  const fs::path path = bundle_path(folder, model_path);
  const fs::path parent = path.string() + std::string(kFurtherSuffix);
  if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
    return os_error("create", parent.string());
  }
  const UniqueFd opened(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened.is_open()) return os_error("open", parent.string());
  while (::flock(opened.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock", parent.string());
  }
  MLXGUARD_TRY(replace(opened.get(), signer + ".sig", text));
  return parent / (signer + ".sig");
}

Result<std::string> read_bundle_at(const fs::path& file) {
  const auto missing = [&] {
    return make_error(ErrorCode::kSignatureMissing, "expected a signature bundle, found none")
        .about(file.string());
  };
  std::error_code problem;
  // Who names the file may name it by a link; what it is a link to is read like any other bundle.
  const fs::path whole = fs::canonical(file, problem);
  if (problem) return missing();
  MLXGUARD_TRY_ASSIGN(const auto around, artifact::ModelFolder::open(whole.parent_path()));
  auto text = around.read_small(whole.filename().string(), limits::kBundleBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return missing();
  return text;
}

Result<void> put_bundle_at(const fs::path& file, std::string_view text) {
  return put_in(folder_around(file), file.filename().string(), text);
}

Result<fs::path> put_bundle_file(const artifact::ModelFolder& folder, const fs::path& model_path,
                                 std::string_view text) {
  const fs::path path = bundle_path(folder, model_path);
  const fs::path parent = folder.is_single_file() ? folder_around(path) : path.parent_path();
  MLXGUARD_TRY(put_in(parent, path.filename().string(), text));
  return path;
}

}  // namespace mlxguard::signature
