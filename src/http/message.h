// SPDX-License-Identifier: Apache-2.0
// What HTTP/1.1 and HTTP/2 have in common: header lists, the head of a request, the head of an
// answer, and who the client is. A request's texts were chosen by an untrusted client; they have
// passed the strict rules of this library and nothing more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::http {

struct Header {
  std::string name;
  std::string value;
};

/// Headers in the order in which they came. Names are compared without regard to case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> headers) : list_(headers) {}

  void add(std::string name, std::string value) {
    list_.push_back({std::move(name), std::move(value)});
  }
  /// The value of the first header of this name, or nothing. Of the headers that decide something
  /// (is_single_header) a request has at most one.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  /// As find, with an absent header as empty text.
  [[nodiscard]] std::string_view value_of(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }
  /// All values of this name in one list, as RFC 9110, 5.3 joins them: for headers that are lists.
  [[nodiscard]] std::string joined(std::string_view name) const;

  [[nodiscard]] std::size_t size() const { return list_.size(); }
  [[nodiscard]] auto begin() const { return list_.begin(); }
  [[nodiscard]] auto end() const { return list_.end(); }

 private:
  std::vector<Header> list_;
};

/// Headers that two readers could understand differently when they come twice, so that a request
/// which repeats one is refused: host, lengths and codings, credentials, content type, origin...
[[nodiscard]] bool is_single_header(std::string_view name);

enum class Version : std::uint8_t { kHttp10, kHttp11, kHttp2 };

/// Who is at the other end of a connection.
struct Client {
  /// Of a Unix socket's client, as the kernel says at the time it connected.
  struct Credentials {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int32_t pid = 0;
  };

  std::string address;     ///< IP address, without brackets or zone; empty for a Unix socket
  std::uint16_t port = 0;  ///< 0 for a Unix socket
  std::optional<Credentials> unix_peer;
  bool is_tls = false;
};

/// The head of a request. In HTTP/2 the pseudo headers stand in the members and `headers` has none.
struct RequestHead {
  std::string method;
  std::string target;  ///< as sent, from "/" on, query included; neither decoded nor normalised
  std::string authority;  ///< Host, or :authority; of HTTP/1.0 perhaps empty
  Version version = Version::kHttp11;
  /// Without Connection, Transfer-Encoding and the like that are about the connection alone.
  Headers headers;
  /// The announced length of the body: nothing if there is no body or its length is not known yet.
  std::optional<std::uint64_t> content_length;
  /// A length was announced (it may be 0), the body comes in chunks, or the HTTP/2 stream goes on.
  bool has_body = false;
};

/// The head of an answer. The library adds Date, Connection, and Content-Length or the transfer
/// coding; a handler sets none of them. Names and values must be free of CR, LF and NUL: the
/// library aborts on them, since they would let a client write into another one's answer.
struct ResponseHead {
  int status = 200;
  std::string reason;  ///< of an HTTP/1.1 status line; empty: the usual one. HTTP/2 has none
  Headers headers;
  /// For streamed answers whose length is known before: announced and enforced. Without it an
  /// answer is sent in chunks (HTTP/1.1), or ends with the connection (HTTP/1.0).
  std::optional<std::uint64_t> content_length;
};

/// The client went away, or did not take its answer in time.
[[nodiscard]] Error client_gone();

/// The usual phrase for a status, "Unknown" for one that has none.
[[nodiscard]] std::string_view reason_of(int status);

}  // namespace mlxguard::http
