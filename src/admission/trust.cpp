// SPDX-License-Identifier: Apache-2.0
#include "admission/trust.h"

#include "crypto/key_store.h"

namespace mlxguard::admission {
namespace {

Error on_record(Error error, events::Sink& sink) {
  const auto logged = sink.append(events::event_of(events::Kind::kPolicyRefused, error, {}));
  if (!logged) return Error(logged.error()).with("recording a refusal", name_of(error.code));
  return error;
}

}  // namespace

Result<Trust> Trust::load(const trust::PolicyPlaces& places, events::Sink& sink,
                          const Clock& clock) {
  const WallTime now = clock.now();
  auto policy = trust::Policy::load(places, now);
  if (!policy) return on_record(std::move(policy).error(), sink);
  auto keys = signature::TrustedKeys::load(crypto::KeyStore(places.state / "keys"),
                                           policy->key_files(), now);
  if (!keys) return on_record(std::move(keys).error(), sink);
  return Trust(*std::move(policy), *std::move(keys));
}

Trust Trust::of_keys(signature::TrustedKeys keys) {
  return {trust::Policy::implicit(), std::move(keys)};
}

std::string Trust::version() const {
  if (policy_.is_implicit()) return "none";
  return "version " + std::to_string(policy_.file().version);
}

}  // namespace mlxguard::admission
