// SPDX-License-Identifier: Apache-2.0
#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>

namespace mlxguard::http {

namespace asio = boost::asio;

Result<TlsContext> TlsContext::create(std::string_view certificate_pem,
                                      std::string_view private_key_pem) {
  const auto unusable = [](const char* what) {
    ERR_clear_error();
    return make_error(ErrorCode::kTlsMaterial, what);
  };
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1) {
    return unusable("TLS 1.2 is not available");
  }
  // No compression (it leaks lengths), no renegotiation (it costs the server more than the client).
  SSL_CTX_set_options(
      native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  boost::system::error_code error;
  context->use_certificate_chain(asio::buffer(certificate_pem.data(), certificate_pem.size()),
                                 error);
  if (error) return unusable("the certificate chain could not be read");
  context->use_private_key(asio::buffer(private_key_pem.data(), private_key_pem.size()),
                           asio::ssl::context::pem, error);
  if (error) return unusable("the private key could not be read");
  if (SSL_CTX_check_private_key(native) != 1) {
    return unusable("the private key is not the certificate's");
  }
  return TlsContext(std::move(context));
}

}  // namespace mlxguard::http
