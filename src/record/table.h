// SPDX-License-Identifier: Apache-2.0
// The table of event kinds. `log query --type`, docs/events.md and the OCSF class of a record are
// made from these rows; what an event may say is in record/attributes.h. A name is never reused
// for another meaning.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "record/attributes.h"

namespace mlxguard::record {

/// Who may report a kind: the supervisor refuses a gateway's event of another line.
enum class Line : std::uint8_t { kModel, kRequest, kHost, kOperator };

// Row: X(enumerator, "stable.name", line, OCSF class uid, OCSF activity id, severity id, "meaning",
//        attributes that every event of this kind has...)
// clang-format off
#define MLXGUARD_EVENT_TABLE(X)                                                                                            \
  X(kKeyCreated,        "key.created",        kOperator, 5002, 1, 2, "a signing key was made", kKey, kFingerprint)                            \
  X(kKeyUsed,           "key.used",           kOperator, 5002, 99, 1, "a signing key was opened for use", kKey, kFingerprint)                 \
  X(kKeyRefused,        "key.refused",        kOperator, 5002, 99, 3, "a signing key could not be made or opened", kKey)        \
  X(kModelSigned,       "model.signed",       kModel,    1001, 1, 1, "a model was signed")                                \
  X(kModelOpened,       "model.opened",       kModel,    1001, 2, 1, "a model folder was opened and enumerated safely", kRootDigest)   \
  X(kModelSnapshot,     "model.snapshot",     kModel,    1001, 2, 1, "a model's bytes were copied into immutable memory and hashed", kRootDigest) \
  X(kModelVerified,     "model.verified",     kModel,    1001, 14, 1, "a model's signature and every digest were verified", kRootDigest) \
  X(kModelRefused,      "model.refused",      kModel,    1001, 14, 4, "a model was refused: unsigned, changed, or signed by an untrusted key") \
  X(kModelPassed,       "model.passed",       kModel,    1001, 14, 1, "the verified descriptors were handed to a worker", kRootDigest, kPid)  \
  X(kModelLoaded,       "model.loaded",       kModel,    1005, 1, 1, "mlx loaded a model from verified bytes", kRootDigest, kRuntime)            \
  X(kModelLoadRefused,  "model.load_refused", kModel,    1005, 1, 4, "a worker refused verified bytes: bad header, config or manifest") \
  X(kAuthFailed,        "auth.failed",        kRequest,  3002, 1, 3, "a request without valid credentials", kClientIp)               \
  X(kRequestRefused,    "request.refused",    kRequest,  6003, 99, 3, "a request was refused before inference")           \
  X(kRequestShed,       "request.shed",       kRequest,  6003, 99, 2, "a request was refused for load: queue, rate or connections") \
  X(kInferenceStarted,  "inference.started",  kRequest,  6003, 99, 1, "a model was asked, and a part of its answer may leave from now on", kRootDigest) \
  X(kInferenceDone,     "inference.completed", kRequest, 6003, 99, 1, "a model answered a request", kRootDigest)                       \
  X(kInferenceFailed,   "inference.failed",   kRequest,  6003, 99, 3, "a request failed during inference: worker died, deadline, error") \
  X(kServerStarted,     "server.started",     kHost,     1007, 1, 1, "the supervisor is ready", kUrl)                           \
  X(kServerStopped,     "server.stopped",     kHost,     1007, 2, 1, "the supervisor stopped in order")                   \
  X(kIsolationProbed,   "isolation.probed",   kHost,     5002, 2, 1, "which isolation mechanisms this machine offers", kMechanisms)    \
  X(kWorkerStarted,     "worker.started",     kHost,     1007, 1, 1, "a worker is locked and ready for its model", kProcess, kPid)        \
  X(kWorkerDied,        "worker.died",        kHost,     1007, 2, 4, "a worker or the gateway died; the verdict says why", kProcess, kPid) \
  X(kWorkerRestarted,   "worker.restarted",   kHost,     1007, 1, 2, "a worker was started again", kProcess, kPid)                        \
  X(kSandboxRefused,    "sandbox.refused",    kHost,     1007, 99, 5, "a sandbox could not be put in place; nothing was started") \
  X(kLogRecovered,      "log.recovered",      kOperator, 5002, 99, 2, "the event log was recovered after an unclean stop") \
  X(kKeyRotated,        "key.rotated",        kOperator, 5002, 99, 2, "a signing key was replaced by a new one, signed by both", kKey, kFingerprint, kSuccessorFingerprint) \
  X(kKeyRevoked,        "key.revoked",        kOperator, 5002, 99, 3, "a key was put on the revocation list", kKey, kFingerprint) \
  X(kTrustChanged,      "trust.changed",      kOperator, 5002, 99, 3, "the trust policy was changed") \
  X(kTrustChecked,      "trust.checked",      kOperator, 5002, 2, 1, "a model was checked against the trust policy") \
  X(kPolicyRefused,     "trust.refused",      kModel,    1001, 14, 4, "the trust policy itself was refused: signature, expiry or rollback") \
  X(kModelWarned,       "model.warned",       kModel,    1001, 14, 3, "a model was let through by a source that only warns") \
  X(kModelStored,       "model.stored",       kModel,    1001, 1, 1, "a verified model was admitted to the store", kRootDigest) \
  X(kModelRemoved,      "model.removed",      kOperator, 1001, 4, 2, "a model was removed from the store") \
  X(kModelInspected,    "model.inspected",    kModel,    1001, 2, 1, "a model was inspected") \
  X(kDepsInventoried,   "deps.inventoried",   kOperator, 5020, 2, 1, "the dependencies of an environment were listed") \
  X(kDepsScanned,       "deps.scanned",       kOperator, 5020, 2, 1, "dependencies were compared with the advisory database") \
  X(kDepsVulnerable,    "deps.vulnerable",    kOperator, 2002, 1, 4, "a dependency has a known vulnerability", kAdvisory, kPackage) \
  X(kDepsUnknown,       "deps.could_not_tell", kOperator, 2002, 1, 3, "for a dependency it could not be told whether it is vulnerable") \
  X(kDepsChecked,       "deps.checked",       kOperator, 5020, 2, 1, "an environment was compared with its lock") \
  X(kDepsLocked,        "deps.locked",        kOperator, 5020, 1, 1, "a lock file was written", kLock) \
  X(kAdvisoriesUpdated, "advisories.updated", kOperator, 5002, 99, 1, "the advisory database was updated", kSource, kDigest) \
  X(kMirrorServed,      "mirror.served",      kOperator, 1001, 2, 1, "the mirror served a package file", kProject, kFile, kClientIp) \
  X(kMirrorBlocked,     "mirror.blocked",     kOperator, 1001, 2, 4, "the mirror refused a package file", kProject) \
  X(kMirrorHeld,        "mirror.held",        kOperator, 1001, 2, 2, "the mirror holds a package file back", kProject) \
  X(kMirrorReleased,    "mirror.released",    kOperator, 5002, 99, 3, "an operator released or quarantined a package file", kAction, kSelector)
// clang-format on

enum class Kind : std::uint8_t {
#define MLXGUARD_KIND(enumerator, name, line, class_uid, activity, severity, meaning, ...) \
  enumerator,
  MLXGUARD_EVENT_TABLE(MLXGUARD_KIND)
#undef MLXGUARD_KIND
};

struct KindRow {
  Kind kind;
  std::string_view name;
  Line line;
  int class_uid;
  int activity_id;
  int severity_id;
  std::string_view meaning;
  std::span<const AttrId> required;  ///< every event of the kind has them, whatever its outcome
};

[[nodiscard]] const KindRow& describe(Kind kind);
[[nodiscard]] const KindRow* find_kind(std::string_view name);
/// The names that are closest to a mistyped one, nearest first, at most three.
[[nodiscard]] std::vector<std::string_view> kinds_near(std::string_view name);
/// "informational", "high" and so on, by OCSF severity id.
[[nodiscard]] std::string_view severity_name(int severity_id);
/// 0 for a name that is none.
[[nodiscard]] int find_severity(std::string_view name);
/// Every row, in the order of the table.
[[nodiscard]] std::span<const KindRow> all_kinds();

}  // namespace mlxguard::record
