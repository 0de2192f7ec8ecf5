// SPDX-License-Identifier: Apache-2.0
#include "secrets.h"

#include <sys/stat.h>

#include <sstream>

#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "crypto/secret.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kKeyBytesMin = 16;

}  // namespace

Result<std::optional<http::TlsContext>> load_tls(const std::filesystem::path& certificate,
                                                 const std::filesystem::path& private_key) {
  if (certificate.empty() && private_key.empty()) return std::optional<http::TlsContext>();
  MLXGUARD_TRY_ASSIGN(std::string key, read_file(private_key, limits::kKeyFileBytesMax));
  MLXGUARD_TRY_ASSIGN(const std::string chain, read_file(certificate, limits::kKeyFileBytesMax));
  auto context = http::TlsContext::create(chain, key);
  crypto::wipe_memory(key.data(), key.size());
  if (!context) return std::move(context).error().about(certificate.string());
  return std::optional<http::TlsContext>(std::move(*context));
}

Result<std::vector<crypto::Sha256Digest>> load_api_keys(const std::filesystem::path& file) {
  std::vector<crypto::Sha256Digest> keys;
  if (file.empty()) return keys;
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return os_error("read", file.string());
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return make_error(ErrorCode::kApiKeyFile, "others may read or write the API keys")
        .about(file.string())
        .hinting("chmod 600 it");
  }
  MLXGUARD_TRY_ASSIGN(const std::string text, read_file(file, limits::kKeyFileBytesMax));
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    if (line.size() < kKeyBytesMin) {
      return make_error(ErrorCode::kApiKeyFile, "expected keys of at least 16 characters")
          .about(file.string());
    }
    keys.push_back(crypto::sha256(as_bytes(line)));
  }
  if (keys.empty()) {
    return make_error(ErrorCode::kApiKeyFile, "expected at least one API key").about(file.string());
  }
  return keys;
}

}  // namespace mlxguard::mirror
