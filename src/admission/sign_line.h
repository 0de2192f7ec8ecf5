// SPDX-License-Identifier: Apache-2.0
// The signing line: open the key -> hash the model -> sign -> put the bundle in its place. Each use of a key
// is an event before the signature exists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "artifact/model_folder.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/key_store.h"
#include "events/event.h"

namespace mlxguard::admission {

struct SignRequest {
  std::filesystem::path path;
  std::string key_name;
  std::function<Result<crypto::Secret>()> passphrase;  ///< asked for only if the key's file is in order
  artifact::Progress progress{};
};

struct Signed {
  std::filesystem::path signature_file;
  std::string root_digest;
  std::string signer;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

[[nodiscard]] Result<Signed> sign(const SignRequest& request, const crypto::KeyStore& keys,
                                  events::Sink& sink, const Clock& clock);

}  // namespace mlxguard::admission
