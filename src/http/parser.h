// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 request from bytes, by Beast's parser with our own strictness on top: one Host, one
// Content-Length, no Content-Length beside Transfer-Encoding, no coding but "chunked", no trailers,
// no header of is_single_header twice. Two readers of one request must never disagree on where it
// ends. Input: bytes from the network.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace mlxguard::http {

struct RequestLimits {
  std::size_t header_bytes_max = 16u << 10;
  std::uint64_t body_bytes_max = 64u << 20;  ///< 0: no bodies are taken
};

/// More headers than this in one request are refused: each costs more memory than its bytes.
inline constexpr std::size_t kHeadersMax = 128;

class RequestParser {
 public:
  explicit RequestParser(RequestLimits limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Takes bytes and says how many it used. It stops after the head; call read_body() to go on.
  /// Errors: kRequestSyntax, kHeadersTooLarge, kRequestTooLarge. Every later call returns the same
  /// error: the rest of the connection cannot be understood.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  [[nodiscard]] bool has_head() const;
  void read_body();
  [[nodiscard]] bool done() const;
  /// Whether the client lets the connection serve a further request; false until done().
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool expects_continue() const;
  /// "TE: trailers".
  [[nodiscard]] bool takes_trailers() const;

  /// Whole after has_head(); after an error what was understood before it.
  [[nodiscard]] const RequestHead& head() const;
  [[nodiscard]] const std::string& body() const;
  /// Frees the memory of the body.
  void drop_body();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::http
