// SPDX-License-Identifier: Apache-2.0
#include "signature/sign.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os_error.h"
#include "signature/bundle.h"
#include "signature/statement.h"
#include "signature/verify.h"

namespace mlxguard::signature {
namespace {

constexpr mode_t kBundleMode = 0644;

Result<void> write_all(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("write", name);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(fd) != 0) return os_error("write", name);
  return {};
}

/// A file without a name where the file system has them, else one with the temporary name.
Result<UniqueFd> open_temporary(int folder, const std::string& temporary) {
  UniqueFd fd(::openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, kBundleMode));
  if (fd.is_open()) return fd;
  fd = UniqueFd(::openat(folder, temporary.c_str(),
                         O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, kBundleMode));
  if (!fd.is_open()) return os_error("create", temporary);
  return fd;
}

/// Gives the nameless file its temporary name; one that has it already keeps it.
Result<void> name_temporary(int fd, int folder, const std::string& temporary) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, self.c_str(), folder, temporary.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
  if (errno == EEXIST) return {};
  return os_error("create", temporary);
}

}  // namespace

Result<SignedModel> sign_model(const artifact::ModelFolder& folder,
                               const crypto::EcPrivateKey& key,
                               const artifact::Progress& progress) {
  Statement statement;
  statement.subject_name = folder.base_name();
  statement.ignored_paths = default_ignored_paths();
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate(statement.ignored_paths));
  MLXGUARD_TRY_ASSIGN(statement.resources, folder.hash(entries, statement.algorithm, progress));
  statement.root_digest = root_digest_of(statement.resources);

  Bundle bundle;
  const std::string payload = write_statement(statement);
  bundle.key_hint = key.public_key().fingerprint();
  bundle.payload.assign(payload.begin(), payload.end());
  MLXGUARD_TRY_ASSIGN(bundle.signature, key.sign(pre_authentication_encoding(bundle.payload)));

  SignedModel result;
  result.bundle = write_bundle(bundle);
  result.root_digest = statement.root_digest;
  result.files = entries.size();
  for (const auto& entry : entries) result.bytes += entry.size_bytes;
  return result;
}

Result<std::filesystem::path> write_bundle_file(const std::filesystem::path& model,
                                                bool is_single_file, const std::string& bundle) {
  const std::filesystem::path target = bundle_path(model, is_single_file);
  const std::string name = target.filename().string();
  const std::string temporary = name + ".new";
  std::filesystem::path parent = target.parent_path();
  if (parent.empty()) parent = ".";
  const UniqueFd folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return os_error("open", parent.string());
  // What a kill between link and rename may have left; it is ours by its name.
  ::unlinkat(folder.get(), temporary.c_str(), 0);
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_temporary(folder.get(), temporary));
  auto written = write_all(fd.get(), bundle, name);
  if (written) written = name_temporary(fd.get(), folder.get(), temporary);
  if (written && ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) != 0) {
    written = os_error("rename", name);
  }
  if (!written) {
    ::unlinkat(folder.get(), temporary.c_str(), 0);
    return std::move(written).error();
  }
  if (::fsync(folder.get()) != 0) return os_error("write", parent.string());
  return target;
}

}  // namespace mlxguard::signature
