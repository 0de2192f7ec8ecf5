// SPDX-License-Identifier: Apache-2.0
#include "artifact/local_mac.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKeyFile = "receipts.hmac";
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMacHexBytes = 64;

/// Complete before it has its name: another process never reads half a key, and the first one wins.
Result<void> make_key(const fs::path& path, crypto::Random& random) {
  crypto::Secret key(kKeyBytes);
  random.fill(key.writable());
  const std::string unfinished = path.string() + ".new" + std::to_string(::getpid());
  ::unlink(unfinished.c_str());
  {
    const UniqueFd fd(
        ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.is_open()) return os_error("create", unfinished);
    auto written = write_all(fd.get(), as_text(key.bytes()), unfinished);
    if (written && ::fsync(fd.get()) != 0) written = os_error("sync", unfinished);
    if (!written) {
      ::unlink(unfinished.c_str());
      return written;
    }
  }
  const bool placed = ::link(unfinished.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int problem = errno;
  ::unlink(unfinished.c_str());
  errno = problem;
  return placed ? Result<void>() : Result<void>(os_error("create", path.string()));
}

Result<crypto::Secret> read_key(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", path.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", path.string());
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0) {
    return make_error(ErrorCode::kKeyPermissions, "expected a file of this user with mode 0600")
        .about(path.string());
  }
  crypto::Secret key(kKeyBytes + 1);
  std::size_t have = 0;
  while (have < key.size()) {
    const ssize_t count = ::read(fd.get(), key.writable().data() + have, key.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", path.string());
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  if (have != kKeyBytes) {
    return make_error(ErrorCode::kKeyFormat, "expected a key of 32 bytes").about(path.string());
  }
  key.shrink(kKeyBytes);
  return key;
}

}  // namespace

Result<LocalMac> LocalMac::open(const fs::path& keys_folder, crypto::Random& random) {
  const fs::path path = keys_folder / kKeyFile;
  auto key = read_key(path);
  if (!key && key.error().code == ErrorCode::kNotFound) {
    if (::mkdir(keys_folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return os_error("create", keys_folder.string());
    }
    MLXGUARD_TRY(make_key(path, random));
    key = read_key(path);
  }
  if (!key) return std::move(key).error();
  return LocalMac(*std::move(key));
}

std::string LocalMac::mac_of(std::string_view context, std::string_view text) const {
  // The context is a fixed text of ours without a line break: no text can reach into it.
  const std::string message = std::string(context) + "\n" + std::string(text);
  return codec::to_hex(crypto::hmac_sha256(key_.bytes(), as_bytes(message)));
}

std::string LocalMac::seal(std::string_view context, std::string_view text) const {
  return mac_of(context, text) + "\n" + std::string(text);
}

Result<std::string_view> LocalMac::unseal(std::string_view context,
                                          std::string_view untrusted) const {
  const auto refused = [] {
    return make_error(ErrorCode::kStoreReceipt,
                      "not written by this installation, or changed since");
  };
  if (untrusted.size() <= kMacHexBytes || untrusted[kMacHexBytes] != '\n') return refused();
  const std::string_view text = untrusted.substr(kMacHexBytes + 1);
  const std::string mac = mac_of(context, text);
  if (!crypto::equal_constant_time(as_bytes(mac), as_bytes(untrusted.substr(0, kMacHexBytes)))) {
    return refused();
  }
  return text;
}

Result<void> replace_file(const fs::path& path, std::string_view text) {
  const UniqueFd folder(
      ::open((path.parent_path() / ".").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return os_error("open", path.parent_path().string());
  const std::string name = path.filename().string();
  const std::string unfinished = "." + name + ".new" + std::to_string(::getpid());
  ::unlinkat(folder.get(), unfinished.c_str(), 0);
  auto written = [&]() -> Result<void> {
    const UniqueFd fd(::openat(folder.get(), unfinished.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.is_open()) return os_error("create", unfinished);
    MLXGUARD_TRY(write_all(fd.get(), text, unfinished));
    if (::fsync(fd.get()) != 0) return os_error("sync", unfinished);
    if (::renameat(folder.get(), unfinished.c_str(), folder.get(), name.c_str()) != 0) {
      return os_error("rename", name);
    }
    return {};
  }();
  if (!written) {
    ::unlinkat(folder.get(), unfinished.c_str(), 0);
    return written;
  }
  if (::fsync(folder.get()) != 0) return os_error("sync the folder of", name);
  return {};
}

Result<std::string> read_file(const fs::path& path, std::size_t bytes_max) {
  return mlxguard::read_file(path, bytes_max, FileKind::kRegular, Links::kRefuse);
}

}  // namespace mlxguard::artifact
