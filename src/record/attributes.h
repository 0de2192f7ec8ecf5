// SPDX-License-Identifier: Apache-2.0
// The table of attributes: what an event may say, beside its kind, model, outcome and message. The
// OCSF writer, the index, `log query`, docs/events.md and the messages between our processes are
// made from these rows. Never prompt, tensor or output content. A name is never reused for another
// meaning.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace mlxguard::record {

enum class AttrType : std::uint8_t { kText, kInteger, kNumber, kBool };
enum class Indexed : std::uint8_t { kPlain, kIndexed };

using AttrValue = std::variant<std::string, std::int64_t, double, bool>;

// Row: X(enumerator, "stable_name", type, "OCSF path or empty", indexed, most bytes of a text,
//        "meaning").
// `actor.user` is the object `user` in an authentication event. Beside its OCSF path, every
// attribute stands in the record's `unmapped` under its name.
// clang-format off
#define MLXGUARD_ATTRIBUTE_TABLE(X) \
  /* a request and its client */ \
  X(kRequest,               "request",                kText,    "http_request.uid",             kIndexed, 64,   "id of the request, as in the X-Request-Id of its answer") \
  X(kClientIp,              "client_ip",              kText,    "src_endpoint.ip",              kIndexed, 64,   "address that the client connected from") \
  X(kClientPort,            "client_port",            kInteger, "src_endpoint.port",            kPlain,   0,    "port that the client connected from") \
  X(kKey,                   "key",                    kText,    "actor.user.name",              kIndexed, 256,  "name of the key that was presented, used, made or changed") \
  X(kKeyHash,               "key_hash",               kText,    "actor.user.uid",               kIndexed, 128,  "keyed hash of a presented API key: equal keys have equal hashes, only this state folder can make them") \
  X(kMethod,                "method",                 kText,    "http_request.http_method",     kPlain,   16,   "HTTP method") \
  X(kRoute,                 "route",                  kText,    "api.operation",                kPlain,   256,  "pattern of the route that answered") \
  X(kStatus,                "status",                 kInteger, "http_response.code",           kIndexed, 0,    "HTTP status of the answer") \
  X(kBytesIn,               "bytes_in",               kInteger, "http_request.length",          kPlain,   0,    "bytes of the request's body") \
  X(kBytesOut,              "bytes_out",              kInteger, "http_response.length",         kPlain,   0,    "bytes of the answer's body") \
  X(kDurationUs,            "duration_us",            kInteger, "",                             kPlain,   0,    "microseconds from the beginning to the end of what happened") \
  X(kRunUs,                 "run_us",                 kInteger, "",                             kPlain,   0,    "microseconds that the model ran") \
  X(kItems,                 "items",                  kInteger, "",                             kPlain,   0,    "texts or tensors of the request") \
  X(kTokens,                "tokens",                 kInteger, "",                             kPlain,   0,    "tokens of the request, after truncation") \
  X(kCount,                 "count",                  kInteger, "count",                        kPlain,   0,    "how many alike this event stands for") \
  /* why */ \
  X(kSubject,               "subject",                kText,    "file.name",                    kPlain,   1024, "what the refusal or failure is about") \
  X(kExpected,              "expected",               kText,    "",                             kPlain,   1024, "what was expected") \
  X(kActual,                "actual",                 kText,    "",                             kPlain,   1024, "what was found") \
  X(kReason,                "reason",                 kText,    "",                             kPlain,   1024, "why, in the words or by the code of who decided") \
  /* models */ \
  X(kRootDigest,            "root_digest",            kText,    "ai_model.uid",                 kPlain,   128,  "digest of the model's manifest") \
  X(kSigner,                "signer",                 kText,    "",                             kPlain,   256,  "fingerprint of the key that signed") \
  X(kSignerName,            "signer_name",            kText,    "",                             kPlain,   256,  "name of the key that signed") \
  X(kFiles,                 "files",                  kInteger, "",                             kPlain,   0,    "number of files") \
  X(kBytes,                 "bytes",                  kInteger, "",                             kPlain,   0,    "bytes of all files") \
  X(kHashedBytes,           "hashed_bytes",           kInteger, "",                             kPlain,   0,    "bytes that were hashed to tell") \
  X(kBasis,                 "basis",                  kText,    "",                             kPlain,   16,   "what the verdict rests on: digests, or the store's receipt") \
  X(kMatch,                 "match",                  kText,    "",                             kPlain,   1024, "pattern of the trust policy that matched") \
  X(kMode,                  "mode",                   kText,    "",                             kPlain,   16,   "enforce or warn") \
  X(kRule,                  "rule",                   kText,    "",                             kPlain,   256,  "rule that decided") \
  X(kFindings,              "findings",               kInteger, "",                             kPlain,   0,    "number of findings") \
  X(kBySeverity,            "by_severity",            kText,    "",                             kPlain,   256,  "number of findings of each severity") \
  X(kNotInspected,          "not_inspected",          kInteger, "",                             kPlain,   0,    "number of files that could not be inspected to their end") \
  X(kWorst,                 "worst",                  kText,    "",                             kPlain,   64,   "severity or rule of the worst finding") \
  X(kRuntime,               "runtime",                kText,    "",                             kPlain,   256,  "version of mlx and of what it computes with") \
  X(kLoadUs,                "load_us",                kInteger, "",                             kPlain,   0,    "microseconds to load the model") \
  /* keys and trust */ \
  X(kFingerprint,           "fingerprint",            kText,    "",                             kPlain,   128,  "fingerprint of the key") \
  X(kCurve,                 "curve",                  kText,    "",                             kPlain,   32,   "curve of the key") \
  X(kKeyKind,               "key_kind",               kText,    "",                             kPlain,   32,   "what the key is for") \
  X(kNotAfter,              "not_after",              kText,    "",                             kPlain,   64,   "end of the key's validity") \
  X(kMemoryLocked,          "memory_locked",          kBool,    "",                             kPlain,   0,    "whether the private key was kept from swap") \
  X(kSuccessor,             "successor",              kText,    "",                             kPlain,   256,  "name of the key that follows") \
  X(kSuccessorFingerprint,  "successor_fingerprint",  kText,    "",                             kPlain,   128,  "fingerprint of the key that follows") \
  X(kOldValidUntil,         "old_valid_until",        kText,    "",                             kPlain,   64,   "how long the old key's signatures are good") \
  X(kChange,                "change",                 kText,    "",                             kPlain,   64,   "what was done to the trust policy") \
  X(kPolicy,                "policy",                 kText,    "",                             kPlain,   1024, "file of the trust policy") \
  X(kPolicyVersion,         "policy_version",         kInteger, "",                             kPlain,   0,    "version of the trust policy after the change") \
  X(kSigned,                "signed",                 kBool,    "",                             kPlain,   0,    "whether the policy was signed by its root key") \
  /* processes and isolation */ \
  X(kProcess,               "process",                kText,    "process.name",                 kPlain,   64,   "role of the process: gateway, worker, supervisor, mirror") \
  X(kPid,                   "pid",                    kInteger, "process.pid",                  kPlain,   0,    "process id") \
  X(kGeneration,            "generation",             kInteger, "",                             kPlain,   0,    "how often the model's worker was started") \
  X(kIsolation,             "isolation",              kText,    "",                             kPlain,   4096, "isolation level, or what each mechanism says") \
  X(kMechanisms,            "mechanisms",             kText,    "",                             kPlain,   4096, "isolation mechanisms of this machine, each with its state") \
  X(kVerdict,               "verdict",                kText,    "",                             kPlain,   64,   "how it ended, or what was decided") \
  X(kSignal,                "signal",                 kInteger, "",                             kPlain,   0,    "signal that ended the process") \
  X(kCpuMs,                 "cpu_ms",                 kInteger, "",                             kPlain,   0,    "milliseconds of processor time used") \
  X(kMemoryBytesPeak,       "memory_bytes_peak",      kInteger, "",                             kPlain,   0,    "most memory used at once") \
  X(kLastOutput,            "last_output",            kText,    "",                             kPlain,   1024, "last lines that the process wrote, escaped and shortened") \
  X(kRestartInMs,           "restart_in_ms",          kInteger, "",                             kPlain,   0,    "milliseconds until it is started again") \
  X(kBreakerOpen,           "breaker_open",           kBool,    "",                             kPlain,   0,    "whether restarts are held back because they came too often") \
  X(kUrl,                   "url",                    kText,    "",                             kPlain,   1024, "where the server listens") \
  X(kModels,                "models",                 kInteger, "",                             kPlain,   0,    "number of models served") \
  /* the log itself */ \
  X(kPendingEvents,         "pending_events",         kInteger, "",                             kPlain,   0,    "durable events that were not in the tree yet") \
  X(kTornBytes,             "torn_bytes",             kInteger, "",                             kPlain,   0,    "bytes of a group that was never acknowledged") \
  X(kLostEvents,            "lost_events",            kInteger, "",                             kPlain,   0,    "durable events that are damaged on the disk") \
  X(kDamagedFiles,          "damaged_files",          kInteger, "",                             kPlain,   0,    "journal files that were set aside") \
  /* dependencies */ \
  X(kRoot,                  "root",                   kText,    "",                             kPlain,   1024, "environment, lock or list that was read") \
  X(kSource,                "source",                 kText,    "",                             kPlain,   1024, "where it came from, or the policy's source that decided") \
  X(kLock,                  "lock",                   kText,    "",                             kPlain,   1024, "lock file") \
  X(kComponents,            "components",             kInteger, "",                             kPlain,   0,    "number of components") \
  X(kPackages,              "packages",               kInteger, "",                             kPlain,   0,    "number of packages") \
  X(kNative,                "native",                 kInteger, "",                             kPlain,   0,    "number of native parts") \
  X(kObservations,          "observations",           kInteger, "",                             kPlain,   0,    "number of observations") \
  X(kDifferences,           "differences",            kInteger, "",                             kPlain,   0,    "number of differences between environment and lock") \
  X(kPackage,               "package",                kText,    "",                             kPlain,   512,  "package URL of the dependency") \
  X(kAdvisory,              "advisory",               kText,    "vulnerabilities.advisory.uid", kPlain,   128,  "id of the advisory") \
  X(kFixedIn,               "fixed_in",               kText,    "",                             kPlain,   128,  "version without the vulnerability") \
  X(kExploitedSince,        "exploited_since",        kText,    "",                             kPlain,   64,   "date of CISA's catalog of exploited vulnerabilities") \
  X(kVulnerable,            "vulnerable",             kInteger, "",                             kPlain,   0,    "number of vulnerable components") \
  X(kCouldNotTell,          "could_not_tell",         kInteger, "",                             kPlain,   0,    "number of components that could not be judged") \
  X(kDatabase,              "database",               kText,    "",                             kPlain,   64,   "newest change in the advisory database") \
  X(kAccepted,              "accepted",               kText,    "",                             kPlain,   1024, "what was accepted by name") \
  X(kWhat,                  "what",                   kText,    "",                             kPlain,   64,   "what was updated") \
  X(kSha256,                "sha256",                 kText,    "",                             kPlain,   64,   "SHA-256 of the file") \
  X(kNewest,                "newest",                 kText,    "",                             kPlain,   256,  "newest record or file") \
  X(kRecords,               "records",                kInteger, "",                             kPlain,   0,    "number of advisory records") \
  X(kSkipped,               "skipped",                kInteger, "",                             kPlain,   0,    "number of records left out") \
  X(kDigest,                "digest",                 kText,    "",                             kPlain,   128,  "digest of the database") \
  X(kNew,                   "new",                    kInteger, "",                             kPlain,   0,    "findings that were not there before") \
  X(kGone,                  "gone",                   kInteger, "",                             kPlain,   0,    "findings that are there no more") \
  X(kKnown,                 "known",                  kInteger, "",                             kPlain,   0,    "findings that are there") \
  /* the mirror */ \
  X(kProject,               "project",                kText,    "",                             kPlain,   256,  "name of the project") \
  X(kVersion,               "version",                kText,    "",                             kPlain,   128,  "version of the package") \
  X(kFile,                  "file",                   kText,    "file.name",                    kPlain,   1024, "name of the file") \
  X(kMetadataSha256,        "metadata_sha256",        kText,    "",                             kPlain,   64,   "SHA-256 of the file's metadata") \
  X(kByOperator,            "by_operator",            kBool,    "",                             kPlain,   0,    "whether an operator's list decided") \
  X(kFindingCodes,          "finding_codes",          kText,    "",                             kPlain,   1024, "codes of the findings") \
  X(kTooNew,                "too_new",                kInteger, "",                             kPlain,   0,    "files that are held back for their age") \
  X(kNotAllowed,            "not_allowed",            kInteger, "",                             kPlain,   0,    "files that no allow list names") \
  X(kNotUnderstood,         "not_understood",         kInteger, "",                             kPlain,   0,    "files whose entry could not be read") \
  X(kNotUnderstoodWhy,      "not_understood_why",     kText,    "",                             kPlain,   1024, "why the first of them could not be read") \
  X(kUpstream,              "upstream",               kText,    "",                             kPlain,   1024, "index that the mirror asks") \
  X(kScanner,               "scanner",                kText,    "",                             kPlain,   256,  "what looks into packages") \
  X(kCooldownSeconds,       "cooldown_seconds",       kInteger, "",                             kPlain,   0,    "how long new files are held back") \
  X(kAllowList,             "allow_list",             kText,    "",                             kPlain,   1024, "list of allowed files") \
  X(kAction,                "action",                 kText,    "",                             kPlain,   64,   "what the operator did") \
  X(kSelector,              "selector",               kText,    "",                             kPlain,   512,  "which files it is about")
// clang-format on

/// The number of an attribute: what travels between the processes of one build.
enum class AttrId : std::uint16_t {
#define MLXGUARD_ATTR(enumerator, name, type, ocsf, indexed, bytes_max, meaning) enumerator,
  MLXGUARD_ATTRIBUTE_TABLE(MLXGUARD_ATTR)
#undef MLXGUARD_ATTR
};

namespace internal {
template <AttrType type>
struct ValueOf;
template <>
struct ValueOf<AttrType::kText> {
  using Type = std::string;
};
template <>
struct ValueOf<AttrType::kInteger> {
  using Type = std::int64_t;
};
template <>
struct ValueOf<AttrType::kNumber> {
  using Type = double;
};
template <>
struct ValueOf<AttrType::kBool> {
  using Type = bool;
};
}  // namespace internal

/// An attribute together with the type of its value.
template <class Value>
struct TypedAttr {
  AttrId id;
};

/// `Attr::kClientIp` and so on, for Event::set(): a value of another type does not compile.
struct Attr {
#define MLXGUARD_ATTR(enumerator, name, type, ocsf, indexed, bytes_max, meaning)             \
  static constexpr TypedAttr<internal::ValueOf<AttrType::type>::Type> enumerator{ \
      AttrId::enumerator};
  MLXGUARD_ATTRIBUTE_TABLE(MLXGUARD_ATTR)
#undef MLXGUARD_ATTR
};

struct AttrRow {
  AttrId id;
  std::string_view name;
  AttrType type;
  std::string_view ocsf_object;  ///< such as "src_endpoint"; empty for a member of the record
  std::string_view ocsf_member;  ///< such as "ip"; empty: no OCSF attribute fits
  Indexed indexed;
  std::size_t bytes_max;  ///< of a text; longer ones are cut
  std::string_view meaning;
};

[[nodiscard]] const AttrRow& describe(AttrId id);
[[nodiscard]] const AttrRow* find_attribute(std::string_view name);
/// For a number that came from another process.
[[nodiscard]] const AttrRow* find_attribute(std::uint16_t untrusted_number);
/// Every row, in the order of the table.
[[nodiscard]] std::span<const AttrRow> all_attributes();
[[nodiscard]] AttrType type_of(const AttrValue& value);

}  // namespace mlxguard::record
