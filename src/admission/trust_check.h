// SPDX-License-Identifier: Apache-2.0
// What the trust policy says of a model, for people who ask: every condition with its outcome, also
// of models that pass, and also where the signature is bad. Makes nothing that can be loaded.
#pragma once

#include <optional>

#include "admission/model_line.h"
#include "admission/trust.h"

namespace mlxguard::admission {

struct TrustAnswer {
  signature::VerifyReport report;  ///< as far as it is known
  trust::Judgement judgement;      ///< what the signature and the files say comes first
  std::optional<Error> refusal{};  ///< absent: the model would be admitted
};

/// Hashes the files where they are. Its event is `trust.checked`. An Error means that it could not
/// be found out.
[[nodiscard]] Result<TrustAnswer> check_trust(const AdmitRequest& request, const Trust& trust,
                                              record::Sink& sink, const Clock& clock);

}  // namespace mlxguard::admission
