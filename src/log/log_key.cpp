// SPDX-License-Identifier: Apache-2.0
#include "log/log_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/os_error.h"
#include "codec/text.h"
#include "log/files.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

constexpr std::size_t kSeedBytes = 32;
constexpr std::size_t kFileBytes = 2 * kSeedBytes + 1;  // lowercase hexadecimal and a newline

Result<void> check_private(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("fstat", path);
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kKeyPermissions, "expected a regular file").about(path);
  }
  if (status.st_uid != ::geteuid()) {
    return make_error(ErrorCode::kKeyPermissions, "the key file belongs to another user")
        .about(path);
  }
  if ((status.st_mode & 077) != 0) {
    return make_error(ErrorCode::kKeyPermissions, "the key file is accessible to group or others")
        .about(path)
        .hinting("chmod 600 the file, if nobody else can have read it; else make a new log");
  }
  return {};
}

Error bad_format(const std::string& path) {
  return make_error(ErrorCode::kKeyFormat, "expected 64 hexadecimal digits").about(path);
}

Result<void> create_key(const std::string& path, crypto::Random& random) {
  // Written under a name of its own and linked into place: a second process that does the same at
  // this moment loses, and reads the winner's key.
  std::array<std::uint8_t, 8> suffix{};
  random.fill(suffix);
  const std::string temporary = path + "." + codec::to_hex(Bytes(suffix));
  const crypto::Ed25519Key key = crypto::Ed25519Key::generate(random);
  std::string text = codec::to_hex(key.seed().bytes()) + "\n";
  UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return os_error("open", temporary);
  Result<void> done = write_at(fd.get(), 0, as_bytes(text));
  crypto::wipe_memory(text.data(), text.size());
  if (done.has_value() && ::fsync(fd.get()) != 0) done = os_error("fsync", temporary);
  if (done.has_value() && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    done = os_error("link", path);
  }
  ::unlink(temporary.c_str());
  MLXGUARD_TRY(std::move(done));
  return sync_folder(path.substr(0, path.find_last_of('/')));
}

}  // namespace

Result<crypto::Ed25519Key> load_log_key(const std::filesystem::path& keys_dir) {
  const std::string path = (keys_dir / layout::kLogKey).string();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.is_open()) {
    if (errno == ELOOP) {
      return make_error(ErrorCode::kKeyPermissions, "the key file is a symbolic link").about(path);
    }
    return os_error("open", path);
  }
  MLXGUARD_TRY(check_private(fd.get(), path));
  MLXGUARD_TRY_ASSIGN(const std::uint64_t size, size_of(fd.get()));
  if (size != kFileBytes) return bad_format(path);
  MLXGUARD_TRY_ASSIGN(std::string text, read_at(fd.get(), 0, kFileBytes));
  auto seed = codec::from_hex(std::string_view(text).substr(0, 2 * kSeedBytes));
  const bool ended = text.back() == '\n';
  crypto::wipe_memory(text.data(), text.size());
  if (!seed.has_value() || !ended) return bad_format(path);
  Result<crypto::Ed25519Key> key = crypto::Ed25519Key::from_seed(Bytes(*seed));
  crypto::wipe_memory(seed->data(), seed->size());
  return key;
}

Result<crypto::Ed25519Key> load_or_create_log_key(const std::filesystem::path& keys_dir,
                                                  crypto::Random& random) {
  Result<crypto::Ed25519Key> key = load_log_key(keys_dir);
  if (key.has_value() || key.error().code != ErrorCode::kNotFound) return key;
  MLXGUARD_TRY(make_folders(keys_dir.string()));
  MLXGUARD_TRY(create_key((keys_dir / layout::kLogKey).string(), random));
  return load_log_key(keys_dir);
}

}  // namespace mlxguard::log
