// SPDX-License-Identifier: Apache-2.0
// Whether others may reach the server where it listens.
#include "config/config.h"

namespace mlxguard::config {

Result<void> check_exposure(const ServeConfig& config) {
  if (config.tls.certificate.empty() != config.tls.private_key.empty()) {
    return make_error(ErrorCode::kConfig, "expected both a TLS certificate and its private key");
  }
  MLXGUARD_TRY_ASSIGN(const http::ListenAddress address, http::parse_listen(config.server.listen));
  if (address.inherited_fd) return {};
  return check_exposure(config,
                        address.loopback ? http::Reach::kThisMachine : http::Reach::kNetwork);
}

Result<void> check_exposure(const ServeConfig& config, http::Reach reach) {
  if (reach == http::Reach::kThisMachine) return {};
  if (config.tls.certificate.empty() || config.server.allow_anonymous) {
    return make_error(ErrorCode::kListenUnsafe, "refusing to listen on " + config.server.listen +
                                                    " without " +
                                                    (config.server.allow_anonymous ? "API keys"
                                                                                   : "TLS"))
        .about("listen")
        .hinting(
            "set [tls] certificate and private_key and keep API keys on, or listen on 127.0.0.1");
  }
  return {};
}

}  // namespace mlxguard::config
