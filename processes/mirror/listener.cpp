// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <sstream>

#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "crypto/secret.h"

namespace mlxguard::mirror {
namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kKeyBytesMin = 16;

Error cannot_listen(const config::ListenAddress& address) {
  Error error = os_error("listen on", address.host + ":" + std::to_string(address.port));
  error.code = ErrorCode::kListen;
  error.hint = "another program may use the port; choose one with --listen ADDRESS:PORT";
  return error;
}

}  // namespace

Result<Listener> listen_on(const config::ListenAddress& address) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&storage, &v4, size = sizeof(v4));
  } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    std::memcpy(&storage, &v6, size = sizeof(v6));
  } else {
    return cannot_listen(address);
  }
  Listener listener;
  listener.socket = UniqueFd(
      ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!listener.socket.is_open()) return cannot_listen(address);
  const int on = 1;
  ::setsockopt(listener.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  if (::bind(listener.socket.get(), raw, size) != 0 ||
      ::listen(listener.socket.get(), kBacklog) != 0 ||
      ::getsockname(listener.socket.get(), raw, &size) != 0) {
    return cannot_listen(address);
  }
  // The port stands in one place for both families.
  listener.port = ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  return listener;
}

Result<std::optional<http::TlsContext>> load_tls(const std::filesystem::path& certificate,
                                                 const std::filesystem::path& private_key) {
  if (certificate.empty() && private_key.empty()) return std::optional<http::TlsContext>();
  const auto text_of = [](const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  std::string key = text_of(private_key);
  auto context = http::TlsContext::create(text_of(certificate), key);
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
