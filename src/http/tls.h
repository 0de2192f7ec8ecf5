// SPDX-License-Identifier: Apache-2.0
// The TLS side of a listener: version 1.2 or newer, the certificate and key that the caller
// read.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

namespace boost::asio::ssl {
class context;
}

namespace mlxguard::http {

class TlsContext {
 public:
  /// Both in PEM; the chain with the leaf first. Errors: kTlsMaterial.
  [[nodiscard]] static Result<TlsContext> create(std::string_view certificate_pem,
                                                 std::string_view private_key_pem);
  [[nodiscard]] boost::asio::ssl::context& get() { return *context_; }

 private:
  explicit TlsContext(std::shared_ptr<boost::asio::ssl::context> context)
      : context_(std::move(context)) {}
  std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace mlxguard::http
