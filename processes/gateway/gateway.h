// SPDX-License-Identifier: Apache-2.0
// Gateway: wires the parts of this process together. Made before the lock, since making it reads
// the certificate; it serves only after `run`.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/random.h"
#include "task/table.h"
#include "wire/channel.h"

namespace mlxguard::gateway {

class Gateway {
 public:
  /// `rows` are the requests that it takes; they outlive it.
  /// Receives the configuration from the supervisor and prepares everything. Errors:
  /// kWorkerProtocol for a configuration that no supervisor sends, kTlsMaterial, kListen.
  [[nodiscard]] static Result<std::unique_ptr<Gateway>> create(wire::Channel control,
                                                               std::span<const task::Row> rows,
                                                               const Clock& clock,
                                                               crypto::Random& random);
  ~Gateway();

  /// Tells the supervisor that it is locked and ready, then serves until it is told to drain.
  /// Returns when drained, or with the reason why the supervisor is lost.
  [[nodiscard]] Result<void> run(std::string isolation, std::uint32_t mechanisms);

 private:
  struct Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::gateway
