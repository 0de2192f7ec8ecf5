// SPDX-License-Identifier: Apache-2.0
#include "admission/sign_line.h"

#include "signature/sign.h"

namespace mlxguard::admission {
namespace {

using events::Event;
using events::Kind;

Result<crypto::EcPrivateKey> open_key(const SignRequest& request, const crypto::KeyStore& keys) {
  MLXGUARD_TRY(crypto::check_key_name(request.key_name));
  MLXGUARD_TRY(keys.public_key(request.key_name));
  MLXGUARD_TRY_ASSIGN(const crypto::Secret passphrase, request.passphrase());
  return keys.open(request.key_name, passphrase);
}

}  // namespace

Result<Signed> sign(const SignRequest& request, const crypto::KeyStore& keys, events::Sink& sink,
                    const Clock& clock) {
  const auto start = clock.steady();
  // The model is opened before the key: a typing error in a path needs no passphrase.
  MLXGUARD_TRY_ASSIGN(const auto folder, artifact::ModelFolder::open(request.path));
  auto key = open_key(request, keys);
  if (!key) {
    Event event = events::event_of(Kind::kKeyRefused, key.error(), folder.base_name());
    MLXGUARD_TRY(sink.append(event.with("key", request.key_name)));
    return std::move(key).error();
  }
  Event used{.kind = Kind::kKeyUsed};
  used.model = folder.base_name();
  used.message = "opened to sign a model";
  used.with("key", request.key_name).with("fingerprint", key->public_key().fingerprint());
  MLXGUARD_TRY(sink.append(used));

  MLXGUARD_TRY_ASSIGN(const auto model, signature::sign_model(folder, *key, request.progress));
  Signed result;
  MLXGUARD_TRY_ASSIGN(result.signature_file,
                      signature::write_bundle_file(request.path, folder.is_single_file(),
                                                   model.bundle));
  result.root_digest = model.root_digest;
  result.signer = key->public_key().fingerprint();
  result.files = model.files;
  result.bytes = model.bytes;

  Event done{.kind = Kind::kModelSigned};
  done.model = folder.base_name();
  done.message = "signed";
  done.with("root_digest", result.root_digest)
      .with("signer", result.signer)
      .with("files", static_cast<std::int64_t>(result.files))
      .with("bytes", static_cast<std::int64_t>(result.bytes))
      .with("duration_us",
            std::chrono::duration_cast<std::chrono::microseconds>(clock.steady() - start).count());
  MLXGUARD_TRY(sink.append(done));
  return result;
}

}  // namespace mlxguard::admission
