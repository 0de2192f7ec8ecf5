// SPDX-License-Identifier: Apache-2.0
#include "api_keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <sstream>

#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::supervisor {
namespace {

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::size_t kKeyBytesMin = 16;

Result<ipc::ApiKeyHash> parse_line(const std::string& line, int number, mode_t mode) {
  std::istringstream words(line);
  std::string first, second, extra;
  words >> first >> second >> extra;
  const auto wrong = [&](const char* what) {
    return make_error(ErrorCode::kApiKeyFile, "line " + std::to_string(number) + ": " + what);
  };
  if (!extra.empty()) return wrong("expected `NAME sha256:<hex>` or a key, found more words");
  const std::string& value = second.empty() ? first : second;
  ipc::ApiKeyHash key;
  key.name = second.empty() ? "key" + std::to_string(number) : first;
  if (value.starts_with(kHashPrefix)) {
    auto hash = codec::from_hex(std::string_view(value).substr(kHashPrefix.size()));
    if (!hash || hash->size() != 32) return wrong("expected sha256: and 64 hexadecimal digits");
    key.sha256 = *std::move(hash);
    return key;
  }
  if (value.size() < kKeyBytesMin) return wrong("expected a key of at least 16 characters");
  if ((mode & (S_IRWXG | S_IRWXO)) != 0) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "the API key file holds a key and is accessible to group or others")
        .hinting("chmod 600 the file, or store `NAME sha256:<hex>` lines");
  }
  const auto hash = crypto::sha256(as_bytes(value));
  key.sha256.assign(hash.begin(), hash.end());
  return key;
}

Result<void> write_new(const std::filesystem::path& file, const std::string& text) {
  const UniqueFd fd(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return os_error("create", file.string());
  auto written = write_all(fd.get(), text, file.string());
  if (written && ::fsync(fd.get()) != 0) written = os_error("write", file.string());
  if (!written) ::unlink(file.c_str());
  return written;
}

}  // namespace

Result<ApiKeys> load_api_keys(const std::filesystem::path& file) {
  MLXGUARD_TRY_ASSIGN(const OpenedFile opened, open_for_reading(file));
  MLXGUARD_TRY_ASSIGN(const std::string text,
                      read_to_end(opened.fd.get(), limits::kKeyFileBytesMax, file.string()));
  ApiKeys keys;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    MLXGUARD_TRY_ASSIGN(ipc::ApiKeyHash key, parse_line(line, number, opened.mode));
    keys.hashes.push_back(std::move(key));
  }
  if (keys.hashes.empty()) {
    return make_error(ErrorCode::kApiKeyFile, "the API key file holds no key").about(file.string());
  }
  return keys;
}

Result<ApiKeys> load_or_create_api_keys(const std::filesystem::path& file, crypto::Random& random) {
  auto loaded = load_api_keys(file);
  if (loaded || loaded.error().code != ErrorCode::kNotFound) return loaded;
  std::array<std::uint8_t, 32> raw{};
  random.fill(raw);
  ApiKeys keys;
  keys.created = "mg_" + codec::to_hex(raw);
  const auto hash = crypto::sha256(as_bytes(*keys.created));
  keys.hashes.push_back({"default", {hash.begin(), hash.end()}});
  const std::string text =
      "# API keys: NAME sha256:<hex of the key's SHA-256>. The keys themselves are not stored.\n"
      "default sha256:" +
      codec::to_hex(hash) + "\n";
  MLXGUARD_TRY(write_new(file, text));
  return keys;
}

}  // namespace mlxguard::supervisor
