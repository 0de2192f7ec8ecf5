// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_store.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::crypto {
namespace {

constexpr std::string_view kPrivateSuffix = ".key";
constexpr std::string_view kPublicSuffix = ".pub";
constexpr mode_t kPrivateMode = 0600;
constexpr mode_t kPublicMode = 0644;

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
  const bool valid = !name.empty() && name.size() <= 64 && is_ascii_alphanumeric(name.front()) &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == '-';
                     });
  if (valid) return {};
  return make_error(ErrorCode::kKeyName,
                    "expected a name of up to 64 letters, digits, '.', '_' and '-', beginning with "
                    "a letter or digit");
}

Result<EcPublicKey> KeyStore::create(std::string_view name, Curve curve, const Secret& passphrase,
                                     const WithKey& with) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY_ASSIGN(const KeyFolder folder, KeyFolder::lock(folder_));
  MLXGUARD_TRY_ASSIGN(const EcPrivateKey key, EcPrivateKey::generate(curve));
  return add_locked(folder, name, key, passphrase, with);
}

Result<EcPublicKey> KeyStore::add(std::string_view name, const EcPrivateKey& key,
                                  const Secret& passphrase, const WithKey& with) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY_ASSIGN(const KeyFolder folder, KeyFolder::lock(folder_));
  return add_locked(folder, name, key, passphrase, with);
}

Result<EcPublicKey> KeyStore::add_elsewhere(std::string_view name, const Signer& key,
                                            const WithKey& with) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY_ASSIGN(const KeyFolder folder, KeyFolder::lock(folder_));
  std::vector<KeyFile> files;
  // A private key of this name must not be taken for this one's.
  struct stat status {};
  if (::lstat((folder_ / file_name(name, kPrivateSuffix)).c_str(), &status) == 0) {
    return make_error(ErrorCode::kKeyExists, "a key of this name exists").about(std::string(name));
  }
  files.push_back({file_name(name, kPublicSuffix),
                   Secret::copy_of(as_bytes(key.public_key().pem())), kPublicMode});
  if (with) MLXGUARD_TRY(with(key, files));
  MLXGUARD_TRY(folder.commit(files));
  return key.public_key();
}

Result<EcPublicKey> KeyStore::add_locked(const KeyFolder& folder, std::string_view name,
                                         const EcPrivateKey& key, const Secret& passphrase,
                                         const WithKey& with) const {
  MLXGUARD_TRY_ASSIGN(Secret pem, key.to_encrypted_pem(passphrase));
  std::vector<KeyFile> files;
  files.push_back({file_name(name, kPrivateSuffix), std::move(pem), kPrivateMode});
  files.push_back({file_name(name, kPublicSuffix),
                   Secret::copy_of(as_bytes(key.public_key().pem())), kPublicMode});
  if (with) MLXGUARD_TRY(with(key, files));
  MLXGUARD_TRY(folder.commit(files));
  return key.public_key();
}

Result<void> KeyStore::update(
    const std::function<Result<std::vector<KeyFile>>()>& make_files) const {
  MLXGUARD_TRY_ASSIGN(const KeyFolder folder, KeyFolder::lock(folder_));
  MLXGUARD_TRY_ASSIGN(const std::vector<KeyFile> files, make_files());
  return folder.commit(files);
}

Result<std::optional<std::string>> KeyStore::read_note(std::string_view file,
                                                       std::size_t bytes_max) const {
  MLXGUARD_TRY(KeyFolder::settle(folder_));
  auto text = read_key_file(folder_ / file, KeyFileReaders::kAnyone, bytes_max);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<std::string>{};
  if (!text) return std::move(text).error();
  return std::optional<std::string>(std::string(text->text()));
}

bool KeyStore::has_private_key(std::string_view name) const {
  struct stat status {};
  return check_key_name(name).has_value() &&
         ::lstat((folder_ / file_name(name, kPrivateSuffix)).c_str(), &status) == 0;
}

Result<EcPrivateKey> KeyStore::open(std::string_view name, const Secret& passphrase) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY(KeyFolder::settle(folder_));
  auto pem = read_key_file(folder_ / file_name(name, kPrivateSuffix), KeyFileReaders::kOwnerOnly,
                           limits::kKeyFileBytesMax);
  if (!pem && pem.error().code == ErrorCode::kNotFound) return not_found(name);
  if (!pem) return std::move(pem).error();
  auto key = EcPrivateKey::from_encrypted_pem(pem->text(), passphrase);
  if (!key) return std::move(key).error().about(std::string(name));
  return key;
}

Result<EcPublicKey> KeyStore::public_key(std::string_view name) const {
  MLXGUARD_TRY(check_key_name(name));
  MLXGUARD_TRY(KeyFolder::settle(folder_));
  auto key = read_public_key(folder_ / file_name(name, kPublicSuffix));
  if (!key && key.error().code == ErrorCode::kNotFound) return not_found(name);
  return key;
}

Result<std::vector<std::pair<std::string, EcPublicKey>>> KeyStore::public_keys() const {
  std::vector<std::pair<std::string, EcPublicKey>> keys;
  MLXGUARD_TRY(KeyFolder::settle(folder_));
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
  MLXGUARD_TRY_ASSIGN(const Secret pem,
                      read_key_file(file, KeyFileReaders::kAnyone, limits::kKeyFileBytesMax));
  auto key = EcPublicKey::from_pem(pem.text());
  if (!key) return std::move(key).error().about(file.string());
  return key;
}

}  // namespace mlxguard::crypto
