// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::crypto {
namespace {

constexpr std::string_view kPrivateSuffix = ".key";
constexpr std::string_view kPublicSuffix = ".pub";
constexpr mode_t kPrivateMode = 0600;
constexpr mode_t kPublicMode = 0644;

/// Which bits of group and others make a file unusable.
struct Access {
  mode_t forbidden;
  std::string_view meaning;
};
constexpr Access kNobodyElse{S_IRWXG | S_IRWXO, "readable or writable by group or others"};
constexpr Access kNobodyElseWrites{S_IWGRP | S_IWOTH, "writable by group or others"};

Error unsafe(const std::filesystem::path& file, std::string what) {
  return make_error(ErrorCode::kKeyPermissions, "refusing a key file that is " + std::move(what))
      .about(file.string())
      .hinting("make it yours alone: chmod 600 " + file.filename().string());
}

/// Reads a key file whose type, owner and mode are asked of the opened descriptor, not of the name.
Result<Secret> read_key_file(const std::filesystem::path& file, const Access& access) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd.is_open()) {
    if (errno == ELOOP) return unsafe(file, "a symbolic link");
    return os_error("open", file.string());
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string());
  if (!S_ISREG(status.st_mode)) return unsafe(file, "not a regular file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) return unsafe(file, "owned by someone else");
  if ((status.st_mode & access.forbidden) != 0) return unsafe(file, std::string(access.meaning));
  Secret text(limits::kKeyFileBytesMax + 1);
  std::size_t used = 0;
  while (used < text.size()) {
    const ssize_t count = ::read(fd.get(), text.writable().data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", file.string());
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  if (used > limits::kKeyFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a key file may be").about(file.string());
  }
  text.shrink(used);
  return text;
}

Result<void> write_all(int fd, Bytes bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("write", name);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (::fsync(fd) != 0) return os_error("write", name);
  return {};
}

/// A new file, whole and durable under its name or not there at all; never over an existing one. The
/// folder is locked: nobody else is writing the temporary file, so what lies there was left by a crash.
Result<void> write_new_file(int folder, const std::string& name, Bytes bytes, mode_t mode) {
  const std::string temporary = "." + name + ".new";
  ::unlinkat(folder, temporary.c_str(), 0);
  const UniqueFd fd(::openat(folder, temporary.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd.is_open()) return os_error("create", name);
  auto written = write_all(fd.get(), bytes, name);
  if (written &&
      ::renameat2(folder, temporary.c_str(), folder, name.c_str(), RENAME_NOREPLACE) != 0) {
    written = errno == EEXIST ? Result<void>(make_error(ErrorCode::kKeyExists,
                                                        "a key of this name exists").about(name))
                              : Result<void>(os_error("rename", name));
  }
  if (!written) ::unlinkat(folder, temporary.c_str(), 0);
  return written;
}

/// The key folder, made if it is missing, and locked as long as the descriptor lives.
Result<UniqueFd> make_folder(const std::filesystem::path& folder) {
  std::error_code ignored;  // mkdir below reports what matters
  std::filesystem::create_directories(folder.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", folder.string());
  }
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) return os_error("open", folder.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", folder.string());
  // Who can write to the folder can exchange keys.
  if ((status.st_mode & kNobodyElseWrites.forbidden) != 0 || status.st_uid != ::geteuid()) {
    return unsafe(folder, "in a folder that others can write to");
  }
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock", folder.string());
  }
  return fd;
}

std::string file_name(std::string_view name, std::string_view suffix) {
  return std::string(name) + std::string(suffix);
}

Error not_found(std::string_view name) {
  return make_error(ErrorCode::kKeyNotFound, "no key of this name")
      .about(std::string(name))
      .hinting("`mlxguard key list` shows the keys there are");
}

}  // namespace

Result<void> check_key_name(std::string_view name) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool valid = !name.empty() && name.size() <= 64 && alphanumeric(name.front()) &&
                     std::all_of(name.begin(), name.end(), [&](char c) {
                       return alphanumeric(c) || c == '.' || c == '_' || c == '-';
                     });
  if (valid) return {};
  return make_error(ErrorCode::kKeyName,
                    "expected a name of up to 64 letters, digits, '.', '_' and '-', beginning with "
                    "a letter or digit");
}

Result<EcPublicKey> KeyStore::create(std::string_view name, Curve curve,
                                     const Secret& passphrase) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY_ASSIGN(const UniqueFd folder, make_folder(folder_));
  MLXGUARD_TRY_ASSIGN(const EcPrivateKey key, EcPrivateKey::generate(curve));
  MLXGUARD_TRY_ASSIGN(const Secret pem, key.to_encrypted_pem(passphrase));
  MLXGUARD_TRY(write_new_file(folder.get(), file_name(name, kPrivateSuffix), pem.bytes(),
                              kPrivateMode));
  if (auto written = write_new_file(folder.get(), file_name(name, kPublicSuffix),
                                    as_bytes(key.public_key().pem()), kPublicMode);
      !written) {
    ::unlinkat(folder.get(), file_name(name, kPrivateSuffix).c_str(), 0);
    return std::move(written).error();
  }
  if (::fsync(folder.get()) != 0) return os_error("write", folder_.string());
  return key.public_key();
}

Result<EcPrivateKey> KeyStore::open(std::string_view name, const Secret& passphrase) const {
  MLXGUARD_TRY(check_key_name(name));
  auto pem = read_key_file(folder_ / file_name(name, kPrivateSuffix), kNobodyElse);
  if (!pem && pem.error().code == ErrorCode::kNotFound) return not_found(name);
  if (!pem) return std::move(pem).error();
  auto key = EcPrivateKey::from_encrypted_pem(pem->text(), passphrase);
  if (!key) return std::move(key).error().about(std::string(name));
  return key;
}

Result<EcPublicKey> KeyStore::public_key(std::string_view name) const {
  MLXGUARD_TRY(check_key_name(name));
  auto key = read_public_key(folder_ / file_name(name, kPublicSuffix));
  if (!key && key.error().code == ErrorCode::kNotFound) return not_found(name);
  return key;
}

Result<std::vector<std::pair<std::string, EcPublicKey>>> KeyStore::public_keys() const {
  std::vector<std::pair<std::string, EcPublicKey>> keys;
  std::error_code problem;
  std::filesystem::directory_iterator entries(folder_, problem);
  if (problem == std::errc::no_such_file_or_directory) return keys;
  if (problem) return os_error("read", folder_.string(), problem.value());
  std::vector<std::string> names;
  for (const auto& entry : entries) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(kPublicSuffix)) continue;
    std::string name = file.substr(0, file.size() - kPublicSuffix.size());
    if (check_key_name(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  for (std::string& name : names) {
    MLXGUARD_TRY_ASSIGN(EcPublicKey key, public_key(name));
    keys.emplace_back(std::move(name), std::move(key));
  }
  return keys;
}

Result<EcPublicKey> read_public_key(const std::filesystem::path& file) {
  MLXGUARD_TRY_ASSIGN(const Secret pem, read_key_file(file, kNobodyElseWrites));
  auto key = EcPublicKey::from_pem(pem.text());
  if (!key) return std::move(key).error().about(file.string());
  return key;
}

}  // namespace mlxguard::crypto
