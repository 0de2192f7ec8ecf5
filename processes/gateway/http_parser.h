// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 request from bytes, by Beast's parser with our own strictness on top: one Host, one
// Content-Length, no Content-Length beside Transfer-Encoding, no coding but "chunked", no trailers,
// no repeated credentials. Two readers of one request must never disagree on where it ends. Input:
// bytes from the network.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::gateway {

struct HttpLimits {
  std::size_t header_bytes_max = 16u << 10;
  std::uint64_t body_bytes_max = 64u << 20;
};

/// What the request line wants to know of a request's head.
struct RequestHead {
  std::string method;
  std::string target;
  std::string authorization;
  std::string x_api_key;
  std::string content_type;
  bool has_content_encoding = false;
  bool has_origin = false;          ///< a browser sends it for another site's page
  bool has_binary_tensors = false;  ///< Inference-Header-Content-Length
  bool expects_continue = false;
  bool has_length = false;           ///< a Content-Length, or chunked
  std::uint64_t content_length = 0;  ///< 0 when chunked
};

class HttpParser {
 public:
  explicit HttpParser(HttpLimits limits);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  /// Takes bytes and says how many it used. It stops after the head; call read_body() to go on.
  /// Errors: kRequestSyntax, kHeadersTooLarge, kRequestTooLarge. It stays with
  /// the parser: the connection is of no use any more.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  [[nodiscard]] bool has_head() const;
  void read_body();
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool keep_alive() const;

  [[nodiscard]] const RequestHead& head() const;
  [[nodiscard]] const std::string& body() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::gateway
