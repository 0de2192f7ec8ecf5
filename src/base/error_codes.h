// SPDX-License-Identifier: Apache-2.0
// The one table of everything that can go wrong. A code's number and name never change meaning and
// are never reused: users match on them, tests compare them, events carry them.
// Row: X(number, enumerator, "stable.name", exit class, "meaning").
#pragma once

#include <cstdint>
#include <string_view>

namespace mlxguard {

/// What a command's process exits with when it ends in this error (design: exit codes).
enum class ExitClass : std::uint8_t {
  kRefused = 1,  ///< looked, and said no: bad signature, invalid input, tampered log
  kUsage = 2,    ///< wrong command line or configuration
  kFailed = 3,   ///< could not be carried out: file missing, disk full
};

// clang-format off
#define MLXGUARD_ERROR_TABLE(X)                                                                          \
  /* 1xx: the machine and its files */                                                                   \
  X(100, kIo,                    "io.failed",                   kFailed,  "the operating system could not do what was asked") \
  X(101, kNotFound,              "io.not_found",                kFailed,  "the named file or folder does not exist") \
  X(102, kPermission,            "io.permission",               kFailed,  "the operating system denies access") \
  X(103, kNoSpace,               "io.no_space",                 kFailed,  "the disk is full or over quota") \
  X(104, kAlreadyExists,         "io.already_exists",           kUsage,   "the file to create exists already") \
  X(105, kTooLarge,              "input.too_large",             kRefused, "the input is larger than mlxguard accepts") \
  X(106, kOverflow,              "input.overflow",              kRefused, "an integer computed from input does not fit") \
  X(107, kTruncated,             "input.truncated",             kRefused, "input ends before the value it announces") \
  X(108, kUnsafePermissions,     "io.unsafe_permissions",       kRefused, "a secret's file is readable or writable by others") \
  X(109, kInternal,              "internal",                    kFailed,  "a library reported what should not happen") \
  X(110, kUnsupportedPlatform,   "platform.unsupported",        kFailed,  "this kernel or system lacks what is needed") \
  /* 2xx: codec */                                                                                       \
  X(200, kJsonSyntax,            "json.syntax",                 kRefused, "not well-formed JSON (RFC 8259)") \
  X(201, kJsonDuplicateKey,      "json.duplicate_key",          kRefused, "an object names a key twice") \
  X(202, kJsonDepth,             "json.depth",                  kRefused, "nested deeper than allowed") \
  X(203, kJsonType,              "json.type",                   kRefused, "a value has another type than expected") \
  X(204, kJsonMissing,           "json.missing",                kRefused, "a required member is absent") \
  X(205, kJsonUnknownKey,        "json.unknown_key",            kRefused, "a member that the schema does not know") \
  X(206, kJsonRange,             "json.range",                  kRefused, "a number outside of its allowed range") \
  X(207, kBase64,                "base64.invalid",              kRefused, "not canonical base64 (RFC 4648, padded)") \
  X(208, kUtf8,                  "utf8.invalid",                kRefused, "not valid UTF-8") \
  X(209, kHex,                   "hex.invalid",                 kRefused, "not lowercase hexadecimal of even length") \
  X(210, kPem,                   "pem.invalid",                 kRefused, "not one PEM block of the expected kind") \
  /* 3xx: crypto and keys */                                                                             \
  X(300, kCrypto,                "crypto.failed",               kFailed,  "the crypto library reported a failure") \
  X(301, kKeyFormat,             "key.format",                  kRefused, "not a key of a supported kind") \
  X(302, kKeyNotFound,           "key.not_found",               kFailed,  "no key of this name in the key folder") \
  X(303, kKeyExists,             "key.exists",                  kUsage,   "a key of this name exists; keys are never overwritten") \
  X(304, kKeyPassphrase,         "key.passphrase",              kRefused, "the passphrase does not open the key") \
  X(305, kKeyPermissions,        "key.permissions",             kRefused, "the key file is accessible to group or others, or not owned by this user") \
  X(306, kKeyName,               "key.name",                    kUsage,   "not a valid key name") \
  X(307, kPassphraseMissing,     "key.passphrase_missing",      kUsage,   "no passphrase source was given and there is no terminal") \
  X(308, kPassphraseWeak,        "key.passphrase_weak",         kUsage,   "the passphrase is shorter than the minimum") \
  X(309, kKeyExpired,             "key.expired",                    kRefused, "the key's validity window is over, or has not begun") \
  X(310, kKeyRevoked,             "key.revoked",                    kRefused, "the key is on the revocation list") \
  X(311, kKeyRecord,              "key.record",                     kRefused, "a rotation or revocation record is malformed or wrongly signed") \
  X(312, kTokenModule,            "token.module",                   kFailed,  "the PKCS#11 module could not be loaded or initialised") \
  X(313, kToken,                  "token.failed",                   kFailed,  "the PKCS#11 token reported a failure") \
  X(314, kTokenPin,               "token.pin",                      kRefused, "the token does not accept the PIN") \
  X(315, kTokenKeyNotFound,       "token.key_not_found",            kFailed,  "no key on the token matches the URI") \
  X(316, kTokenUri,               "token.uri",                      kUsage,   "not a PKCS#11 URI (RFC 7512) that names one key") \
  /* 4xx: artifact */                                                                                    \
  X(400, kArtifactSymlink,       "artifact.symlink",            kRefused, "a symbolic link where only files and folders are allowed") \
  X(401, kArtifactSpecial,       "artifact.special_file",       kRefused, "a device, fifo or socket inside the model") \
  X(402, kArtifactName,          "artifact.name",               kRefused, "a file name that is not portable: not UTF-8, absolute, or with ..") \
  X(403, kArtifactEmpty,         "artifact.empty",              kRefused, "a model without any file") \
  X(404, kArtifactChanged,       "artifact.changed",            kRefused, "a file changed while it was read") \
  X(405, kArtifactTooMany,       "artifact.too_many",           kRefused, "more files or deeper folders than allowed") \
  X(406, kArtifactNotFound,      "artifact.not_found",          kFailed,  "the model folder does not exist") \
  X(410, kStoreMissing,           "store.not_found",                kFailed,  "the store holds no model of this name or digest") \
  X(411, kStoreReceipt,           "store.receipt",                  kRefused, "a receipt that is malformed, wrongly keyed, or of other files") \
  X(412, kStoreCorrupt,           "store.corrupt",                  kRefused, "what the store holds is not what it admitted") \
  X(413, kStoreInUse,             "store.in_use",                   kFailed,  "the stored model is in use") \
  /* 5xx: signature */                                                                                   \
  X(500, kSignatureMissing,      "signature.missing",           kRefused, "the model has no signature bundle") \
  X(501, kBundleSyntax,          "signature.bundle_syntax",     kRefused, "the bundle is not JSON of the Sigstore bundle v0.3 form") \
  X(502, kBundleMediaType,       "signature.media_type",        kRefused, "the bundle is of another media type") \
  X(503, kBundleField,           "signature.bundle_field",      kRefused, "a bundle or statement member is missing, unknown or malformed") \
  X(504, kPayloadType,           "signature.payload_type",      kRefused, "the envelope does not carry an in-toto statement") \
  X(505, kSignatureCount,        "signature.count",             kRefused, "the envelope does not carry exactly one signature") \
  X(506, kSignatureInvalid,      "signature.invalid",           kRefused, "the signature does not verify under the trusted key") \
  X(507, kSignerUntrusted,       "signature.untrusted_key",     kRefused, "no trusted key made this signature") \
  X(508, kPredicateType,         "signature.predicate_type",    kRefused, "the statement is not a model signature") \
  X(509, kDigestMismatch,        "signature.digest_mismatch",   kRefused, "a file's bytes differ from the signed digest") \
  X(510, kFileMissing,           "signature.file_missing",      kRefused, "a signed file is not there") \
  X(511, kFileUnsigned,          "signature.file_unsigned",     kRefused, "a file that the signature does not cover") \
  X(512, kResourceName,          "signature.resource_name",     kRefused, "a signed name is absolute, escapes the model, or is ambiguous") \
  X(513, kResourceDuplicate,     "signature.resource_duplicate", kRefused, "a file is listed twice") \
  X(514, kHashUnsupported,       "signature.hash_unsupported",  kRefused, "a digest algorithm that is not supported") \
  X(515, kMethodUnsupported,     "signature.method_unsupported", kRefused, "a serialisation method that is not supported") \
  X(516, kNoTrustedKeys,         "signature.no_trusted_keys",   kUsage,   "nothing can be trusted: no public key is configured") \
  X(517, kMaterialUnsupported,   "signature.material_unsupported", kRefused, "verification material of a kind that is not supported") \
  X(518, kNoResources,           "signature.no_resources",      kRefused, "a statement that covers no file") \
  X(519, kIgnoredRead,           "signature.ignored_read",      kRefused, "a file under an ignored path may not be loaded") \
  X(520, kRootDigest,            "signature.root_digest",       kRefused, "the subject's digest is not that of the listed resources") \
  X(521, kShard,                  "signature.shard",                kRefused, "the shards of a file leave a gap, overlap, or end elsewhere than the file") \
  X(522, kLegacyFormat,           "signature.legacy",               kRefused, "an old form of signature that the policy does not allow") \
  X(530, kCertificateInvalid,     "certificate.invalid",            kRefused, "a certificate that is malformed or breaks RFC 5280") \
  X(531, kCertificateExpired,     "certificate.expired",            kRefused, "a certificate of the chain is no longer valid") \
  X(532, kCertificateNotYetValid, "certificate.not_yet_valid",      kRefused, "a certificate of the chain is not valid yet") \
  X(533, kCertificateUsage,       "certificate.usage",              kRefused, "a certificate that may not sign code, or an issuer that is no authority") \
  X(534, kCertificateUntrusted,   "certificate.untrusted",          kRefused, "the chain does not end in a trusted authority") \
  X(535, kCertificateRevoked,     "certificate.revoked",            kRefused, "a certificate of the chain is revoked") \
  X(536, kCertificateIdentity,    "certificate.identity",           kRefused, "the certificate does not name an identity that is trusted") \
  X(537, kCertificateCrl,         "certificate.crl",                kRefused, "a revocation list that is missing, out of date or wrongly signed: could not tell") \
  X(538, kCertificateWeak,        "certificate.weak",               kRefused, "a key or signature algorithm of the chain is too weak") \
  /* 6xx: format */                                                                                      \
  X(600, kSafetensorsHeader,     "safetensors.header",          kRefused, "a safetensors header that is not well-formed") \
  X(601, kSafetensorsDtype,      "safetensors.dtype",           kRefused, "an unknown tensor type") \
  X(602, kSafetensorsShape,      "safetensors.shape",           kRefused, "a shape that is negative, too large, or wraps") \
  X(603, kSafetensorsOffsets,    "safetensors.offsets",         kRefused, "offsets out of bounds, overlapping, with gaps, or not matching the shape") \
  X(604, kSafetensorsDuplicate,  "safetensors.duplicate",       kRefused, "two tensors of one name") \
  X(605, kManifestInvalid,       "manifest.invalid",            kRefused, "mlxguard.json does not describe the function's inputs") \
  X(606, kFormatUnknown,         "format.unknown",              kRefused, "no engine knows this kind of model") \
  X(607, kConfigInvalid,         "model.config",                kRefused, "config.json lacks or contradicts what the architecture needs") \
  X(610, kGgufHeader,             "gguf.header",                    kRefused, "a GGUF header that is not well-formed") \
  X(611, kGgufMetadata,           "gguf.metadata",                  kRefused, "GGUF metadata that is malformed, nested too deep or too large") \
  X(612, kGgufTensor,             "gguf.tensor",                    kRefused, "a GGUF tensor of unknown type, bad shape, or outside of the file") \
  X(613, kNpyHeader,              "npy.header",                     kRefused, "a npy header that is not well-formed") \
  X(614, kNpyDtype,               "npy.dtype",                      kRefused, "a npy type that is unknown or holds Python objects") \
  X(615, kNpyShape,               "npy.shape",                      kRefused, "a npy shape that is negative, too large, or not that of the data") \
  X(616, kArchive,                "archive.invalid",                kRefused, "an archive that is malformed, lies about its sizes, or escapes its folder") \
  X(617, kMlxfn,                  "mlxfn.invalid",                  kRefused, "an exported function that is not well-formed") \
  X(619, kInspectIncomplete,      "inspect.incomplete",             kRefused, "a file could not be inspected to its end: could not tell") \
  /* 7xx: engine */                                                                                      \
  X(700, kEngineVersion,         "engine.version",              kFailed,  "an mlx runtime older than the oldest tested") \
  X(701, kEngineLoad,            "engine.load",                 kRefused, "mlx could not load the verified bytes") \
  X(702, kEngineReader,          "engine.reader",               kFailed,  "a read of the verified bytes failed during evaluation") \
  X(703, kEngineRun,             "engine.run",                  kFailed,  "mlx reported an error while running") \
  X(704, kTensorMissing,         "engine.tensor_missing",       kRefused, "the weights lack a tensor that the architecture needs") \
  X(705, kTensorShape,           "engine.tensor_shape",         kRefused, "a weight has another shape than the architecture needs") \
  X(706, kTokenizer,             "engine.tokenizer",            kRefused, "the tokenizer file could not be used") \
  X(707, kOutputInvalid,         "engine.output_invalid",       kFailed,  "the model's output holds NaN or infinity") \
  /* 8xx: requests */                                                                                    \
  X(800, kRequestSyntax,         "request.syntax",              kRefused, "not a well-formed request of this protocol") \
  X(801, kRequestMissing,        "request.missing",             kRefused, "a required member or input is absent") \
  X(802, kRequestUnknown,        "request.unknown",             kRefused, "a member or input that the model does not have") \
  X(803, kRequestType,           "request.type",                kRefused, "a value of another type than the model's schema says") \
  X(804, kRequestShape,          "request.shape",               kRefused, "a shape that the model's schema does not allow") \
  X(805, kRequestCount,          "request.count",               kRefused, "the data does not have the number of elements of its shape") \
  X(806, kRequestRange,          "request.range",               kRefused, "a value outside of the model's allowed range") \
  X(807, kRequestNotFinite,      "request.not_finite",          kRefused, "NaN or infinity where only finite numbers are allowed") \
  X(808, kRequestTooLarge,       "request.too_large",           kRefused, "the request exceeds a configured bound") \
  X(809, kModelUnknown,          "request.model_unknown",       kRefused, "no model of this name is served") \
  X(810, kUnauthenticated,       "auth.missing",                kRefused, "no credentials were given") \
  X(811, kCredentialsInvalid,    "auth.invalid",                kRefused, "the credentials are not known") \
  X(812, kQueueFull,             "overload.queue_full",         kRefused, "the model's queue is full") \
  X(813, kConnectionsFull,       "overload.connections_full",   kRefused, "too many connections") \
  X(814, kDeadline,              "deadline.exceeded",           kRefused, "the request did not finish in its time") \
  X(815, kWorkerUnavailable,     "worker.unavailable",          kFailed,  "the model's worker is not running") \
  X(816, kWorkerDied,            "worker.died",                 kFailed,  "the model's worker died while it held the request") \
  X(817, kRouteUnknown,          "request.route_unknown",       kRefused, "no such path") \
  X(818, kMethodNotAllowed,      "request.method",              kRefused, "the path does not take this method") \
  X(819, kMediaTypeUnsupported,  "request.media_type",          kRefused, "a body of another media type than JSON") \
  X(820, kTextInvalid,           "request.text",                kRefused, "text with characters that are not allowed") \
  X(821, kRateLimited,           "overload.rate",               kRefused, "too many requests from this client") \
  X(822, kHeadersTooLarge,       "request.headers_too_large",   kRefused, "the request's headers exceed their bound") \
  X(823, kRequestTimeout,        "request.timeout",             kRefused, "the client did not send its request in time") \
  X(824, kLengthRequired,        "request.length_required",     kRefused, "a request that takes a body came without one") \
  X(825, kMemoryFull,            "overload.memory",             kRefused, "too many bytes of requests are held at once") \
  X(826, kClientGone,            "client.gone",                 kFailed,  "the client went away before its answer was complete") \
  /* 9xx: sandbox and workers */                                                                         \
  X(900, kSandbox,               "sandbox.failed",              kFailed,  "a sandbox mechanism could not be put in place") \
  X(901, kSandboxLevel,          "sandbox.level",               kFailed,  "the isolation level is below the operator's minimum") \
  X(902, kWorkerStart,           "worker.start",                kFailed,  "the worker did not become ready") \
  X(903, kWorkerProtocol,        "worker.protocol",             kFailed,  "a message that breaks the protocol between processes") \
  X(904, kWorkerSeals,           "worker.seals",                kRefused, "a descriptor without the seals that make it immutable") \
  X(905, kSandboxThreads,        "sandbox.threads",             kFailed,  "a thread was started before the lock, which it would escape") \
  X(906, kWorkerMemory,          "worker.memory",               kFailed,  "the worker was killed at its memory limit") \
  X(907, kWorkerSyscall,         "worker.syscall",              kFailed,  "the worker was killed for a forbidden system call") \
  X(908, kWorkerCpu,             "worker.cpu",                  kFailed,  "the worker was killed at its processor-time limit") \
  X(909, kWorkerCrash,           "worker.crash",                kFailed,  "the worker crashed") \
  X(910, kWorkerKilled,          "worker.killed",               kFailed,  "the worker was killed from outside") \
  X(911, kWorkerOverdue,         "worker.overdue",              kFailed,  "the worker was killed for exceeding a request's deadline") \
  X(912, kWorkerExited,          "worker.exited",               kFailed,  "the worker ended by itself") \
  /* 10xx: event log */                                                                                  \
  X(1000, kLogCheckpoint,        "log.checkpoint",              kRefused, "the log's signed checkpoint is malformed or wrongly signed") \
  X(1001, kLogEntryChanged,      "log.entry_changed",           kRefused, "an entry does not hash to its leaf") \
  X(1002, kLogTileChanged,       "log.tile_changed",            kRefused, "a hash tile does not match the entries below it") \
  X(1003, kLogTruncated,         "log.truncated",               kRefused, "entries that the checkpoint or the index knows are not there") \
  X(1004, kLogRoot,              "log.root",                    kRefused, "the tree's root is not the checkpoint's") \
  X(1005, kLogRollback,          "log.rollback",                kRefused, "the log is older than, or not an extension of, a head seen before") \
  X(1006, kLogKey,               "log.key",                     kFailed,  "the log's signing key is missing or unusable") \
  X(1007, kLogWrite,             "log.write",                   kFailed,  "an event could not be made durable") \
  X(1009, kLogJournal,           "log.journal",                 kRefused, "the journal holds a damaged record") \
  X(1010, kLogIndex,             "log.index",                   kFailed,  "the index could not be opened or rebuilt") \
  X(1011, kLogNotFound,          "log.not_found",               kFailed,  "there is no log here") \
  X(1012, kLogEntryMissing,      "log.entry_missing",           kRefused, "an entry bundle inside the log is not there") \
  X(1013, kLogEntryOrder,        "log.entry_order",             kRefused, "entries stand in another order than they were logged in") \
  /* 11xx: command line and configuration */                                                             \
  X(1100, kUsage,                "usage",                       kUsage,   "the command line is not understood") \
  X(1101, kConfig,               "config.invalid",              kUsage,   "the configuration file is not valid") \
  X(1102, kConfigUnknownKey,     "config.unknown_key",          kUsage,   "the configuration names a key that does not exist") \
  X(1103, kListenUnsafe,         "config.listen_unsafe",        kUsage,   "a non-loopback address needs both TLS and API keys") \
  X(1104, kListen,               "config.listen",               kFailed,  "the listening address cannot be used") \
  X(1105, kTlsMaterial,          "config.tls",                  kUsage,   "the certificate or its key cannot be used") \
  X(1106, kApiKeyFile,           "config.api_keys",             kUsage,   "the API key file cannot be used") \
  /* 12xx: trust policy */ \
  X(1200, kTrustPolicy,            "trust.policy",                   kUsage,   "trust.toml is not a valid policy") \
  X(1201, kTrustPolicySignature,   "trust.policy_signature",         kRefused, "the policy's signature is missing or not by its root key") \
  X(1202, kTrustPolicyExpired,     "trust.policy_expired",           kRefused, "the policy has expired") \
  X(1203, kTrustPolicyRollback,    "trust.policy_rollback",          kRefused, "an older policy than one seen before") \
  X(1204, kTrustNoSource,          "trust.no_source",                kRefused, "no trusted source of the policy matches the model") \
  X(1205, kTrustSigner,            "trust.signer",                   kRefused, "the signer is not one that the source allows") \
  X(1206, kTrustThreshold,         "trust.threshold",                kRefused, "fewer allowed signers than the source demands") \
  X(1207, kTrustFormat,            "trust.format",                   kRefused, "a file of a format that the source does not allow") \
  X(1208, kTrustWindow,            "trust.window",                   kRefused, "outside of the source's validity window") \
  X(1209, kTrustVersion,           "trust.version",                  kRefused, "an older version of the model than the policy allows") \
  X(1210, kTrustModelRevoked,      "trust.model_revoked",            kRefused, "the model's digest is revoked") \
  X(1211, kTrustFinding,           "trust.finding",                  kRefused, "an inspection finding that the policy refuses") \
  X(1212, kTrustSourceExists,      "trust.source_exists",            kUsage,   "the policy has a source of this name") \
  X(1213, kTrustSourceUnknown,     "trust.source_unknown",           kUsage,   "the policy has no source of this name") \
  /* 13xx: dependencies */ \
  X(1300, kVersionInvalid,                "version.invalid",                kRefused, "not a version (PEP 440)") \
  X(1301, kSpecifier,              "specifier.invalid",              kRefused, "not a version specifier (PEP 440)") \
  X(1302, kMarker,                 "marker.invalid",                 kRefused, "not an environment marker (PEP 508)") \
  X(1303, kRequirement,            "requirement.invalid",            kRefused, "not a requirement (PEP 508) or not a line of a requirements file") \
  X(1304, kPurl,                   "purl.invalid",                   kRefused, "not a package URL") \
  X(1305, kAdvisoryDatabase,       "advisories.database",            kFailed,  "there is no usable advisory database here") \
  X(1306, kAdvisoryRecord,         "advisories.record",              kRefused, "an advisory that is not a valid OSV record") \
  X(1307, kAdvisoryTooOld,         "advisories.too_old",             kRefused, "the advisory database is older than allowed: could not tell") \
  X(1308, kAdvisoryDigest,         "advisories.digest",              kRefused, "the advisory file has another digest than expected") \
  X(1309, kAdvisoryFeed,           "advisories.feed",                kRefused, "the advisory feed is not signed by its key, or older than one seen before") \
  X(1310, kDepsVulnerable,         "deps.vulnerable",                kRefused, "a dependency has a known vulnerability") \
  X(1311, kDepsUnknown,            "deps.could_not_tell",            kRefused, "for a dependency it could not be told whether it is vulnerable") \
  X(1312, kDepsEnvironment,        "deps.environment",               kFailed,  "not a Python environment, project or wheel") \
  X(1313, kDepsFile,               "deps.file",                      kRefused, "a requirements or lock file that is not understood") \
  X(1314, kDepsRecord,             "deps.record",                    kRefused, "an installed file differs from its RECORD") \
  X(1315, kDepsLock,               "deps.lock",                      kRefused, "the environment differs from its lock") \
  X(1316, kElf,                    "elf.invalid",                    kRefused, "not a well-formed ELF file") \
  X(1317, kMachO,                  "macho.invalid",                  kRefused, "not a well-formed Mach-O file") \
  X(1318, kWheel,                  "wheel.invalid",                  kRefused, "not a well-formed wheel") \
  X(1319, kSbom,                   "sbom.invalid",                   kRefused, "not a software bill of materials that is understood") \
  X(1320, kVex,                    "vex.invalid",                    kRefused, "not an OpenVEX document, or a suppression without its justification") \
  X(1321, kResolver,               "deps.resolver",                  kFailed,  "pip or uv could not resolve the requirements") \
  X(1322, kMirrorUpstream,         "mirror.upstream",                kFailed,  "the upstream index does not answer and the cache does not have it") \
  X(1323, kMirrorBlocked,          "mirror.blocked",                 kRefused, "the file is vulnerable or quarantined and is not served") \
  X(1324, kMirrorHeld,             "mirror.held",                    kRefused, "the file is not scanned yet, could not be judged, or is too new") \
  X(1325, kMirrorNotAllowed,       "mirror.not_allowed",             kRefused, "the file is not on the allow-list") \
  X(1326, kMirrorDigest,           "mirror.digest",                  kRefused, "the upstream's file has another digest than its index says") \
  X(1327, kMirrorPage,             "mirror.page",                    kRefused, "an index page that is not understood")

// clang-format on

enum class ErrorCode : std::uint16_t {
#define MLXGUARD_ENUM_ROW(number, enumerator, name, exit_class, meaning) enumerator = (number),
  MLXGUARD_ERROR_TABLE(MLXGUARD_ENUM_ROW)
#undef MLXGUARD_ENUM_ROW
};

struct ErrorCodeRow {
  ErrorCode code;
  std::string_view name;
  ExitClass exit_class;
  std::string_view meaning;
};

/// The table's row of a code; every enumerator has one.
[[nodiscard]] const ErrorCodeRow& describe(ErrorCode code);

/// The stable name of a code, such as "signature.digest_mismatch".
[[nodiscard]] std::string_view name_of(ErrorCode code);

/// The row with this stable name, or nullptr.
[[nodiscard]] const ErrorCodeRow* find_error_code(std::string_view name);

}  // namespace mlxguard
