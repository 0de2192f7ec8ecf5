// SPDX-License-Identifier: Apache-2.0
// Every fixed bound on hostile input, in one place. Units last in the names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxguard::limits {

// JSON
inline constexpr std::size_t kJsonDepthMax = 64;
inline constexpr std::size_t kJsonDocumentBytesMax = 64u << 20;

// Models
inline constexpr std::size_t kModelFilesMax = 100'000;
inline constexpr std::size_t kModelResourcesMax = 400'000;  // files or shards of one statement
inline constexpr std::size_t kIgnoredPathsMax = 10'000;
inline constexpr std::size_t kModelDepthMax = 32;
inline constexpr std::size_t kModelPathBytesMax = 4096;
inline constexpr std::uint64_t kModelBytesMax = 1ull << 42;
inline constexpr std::size_t kBundleBytesMax = 64u << 20;
inline constexpr std::size_t kReceiptBytesMax = 64u << 20;
inline constexpr std::size_t kStoredModelsMax = 10'000;
inline constexpr std::size_t kConfigBytesMax = 4u << 20;
inline constexpr std::size_t kTokenizerBytesMax = 64u << 20;

// Tensors
inline constexpr std::size_t kSafetensorsHeaderBytesMax = 100'000'000;
inline constexpr std::size_t kTensorsMax = 100'000;
inline constexpr std::size_t kTensorNameBytesMax = 1024;
inline constexpr std::size_t kTensorRankMax = 8;
inline constexpr std::int64_t kTensorDimensionMax = 2'147'483'647;  // mlx holds dimensions as int32
inline constexpr std::uint64_t kTensorElementsMax = 1ull << 40;
inline constexpr std::size_t kSchemaTensorsMax = 256;  // inputs or outputs of one model
inline constexpr std::int64_t kEmbeddingDimensionMax = 65'536;

// Readers of model files
inline constexpr std::size_t kNpyHeaderBytesMax = 1u << 20;
inline constexpr std::size_t kNpyRecordDepthMax = 8;
inline constexpr std::uint64_t kGgufKeysMax = 100'000;
inline constexpr std::uint32_t kGgufRankMax = 4;
inline constexpr int kGgufArrayDepthMax = 4;
inline constexpr std::uint64_t kMlxfnItemsMax = 1u << 20;  // of any list of an exported function
inline constexpr std::uint64_t kMlxfnRankMax = 64;
inline constexpr std::size_t kMlxfnNameBytesMax = 256;
inline constexpr std::size_t kMlxfnMetadataBytesMax = 8u << 20;
inline constexpr int kMlxfnFunctionsMax = 1024;

// Archives inside of models
inline constexpr std::size_t kZipEntriesMax = 100'000;
inline constexpr std::uint64_t kZipEntryBytesMax = 256ull << 20;    // unpacked, of one entry
inline constexpr std::uint64_t kZipArchiveBytesMax = 512ull << 20;  // unpacked, of all together
inline constexpr std::uint64_t kNpzArrayBytesMax = 1ull << 40;      // unpacked: counted, not kept

// Dependencies: what is read of environments, wheels, lock files and SBOMs
inline constexpr std::size_t kAdvisoryRecordBytesMax = 8u << 20;
inline constexpr std::size_t kAdvisoryItemsMax = 20'000;  // aliases, ranges, events, references
inline constexpr std::size_t kAdvisoryVersionsMax = 200'000;
inline constexpr std::size_t kAdvisoryTextBytesMax = 4096;     // of summary and details, each
inline constexpr std::size_t kAdvisoryRecordsMax = 2'000'000;  // of a database
inline constexpr std::uint64_t kAdvisoryDatabaseBytesMax = 4ull << 30;
inline constexpr std::size_t kDepsFileBytesMax = 64u << 20;  // a requirements or lock file, an SBOM
inline constexpr std::size_t kDepsIncludesMax = 256;         // -r and -c of requirements files
inline constexpr std::size_t kDepsLinesMax = 500'000;
inline constexpr std::size_t kMetadataBytesMax = 8u << 20;
inline constexpr std::size_t kMetadataFieldsMax = 20'000;
inline constexpr std::size_t kRecordBytesMax = 64u << 20;
inline constexpr std::size_t kRecordRowsMax = 1'000'000;
inline constexpr std::size_t kEnvironmentFilesMax = 4'000'000;
inline constexpr std::size_t kEnvironmentDepthMax = 64;
inline constexpr std::size_t kPathFileBytesMax = 1u << 20;
inline constexpr std::size_t kWheelEntriesMax = 200'000;
inline constexpr std::uint64_t kWheelBytesMax = 16ull << 30;  // unpacked
inline constexpr std::uint64_t kWheelRatioMax = 200;  // unpacked to packed bytes, as a whole
inline constexpr std::uint64_t kNativeFileBytesMax = 2ull << 30;
inline constexpr std::size_t kNativeSymbolsMax = 8'000'000;
inline constexpr std::size_t kNativeSectionsMax = 70'000;
inline constexpr std::size_t kNativeNeededMax = 4096;
inline constexpr std::size_t kNativeSlicesMax = 32;
inline constexpr std::size_t kNativeNameBytesMax = 16u << 10;
inline constexpr std::size_t kSbomComponentsMax = 200'000;

// Inspection of models that nobody trusts yet
inline constexpr std::size_t kInspectEvidenceBytesMax = 240;
inline constexpr std::size_t kInspectFileFindingsMax = 1000;
inline constexpr std::size_t kInspectFindingsMax = 100'000;
inline constexpr std::size_t kInspectTextBytesMax = 64u << 20;  // a JSON, YAML or text file
inline constexpr std::size_t kInspectTemplateBytesMax = 4u << 20;
inline constexpr std::size_t kInspectTemplateTokensMax = 1'000'000;
inline constexpr std::int64_t kInspectLoopMax = 100'000;  // turns of a template's range()
inline constexpr std::size_t kInspectDepthMax = 16;       // folders of a model that are nested
inline constexpr std::size_t kInspectCrashesMax = 32;     // files that killed the inspector

// Messages between our processes
inline constexpr std::size_t kIpcInlineBytesMax = 64u << 10;
inline constexpr std::size_t kIpcPayloadBytesMax = 256u << 20;
inline constexpr std::size_t kIpcDescriptorsMax = 64;
inline constexpr std::size_t kModelNameBytesMax = 128;

// Events: a tlog-tiles entry is prefixed by a 16-bit length.
inline constexpr std::size_t kEventBytesMax = 65'535;
inline constexpr std::size_t kEventFieldBytesMax = 4096;
inline constexpr std::size_t kEventFieldsMax = 64;
inline constexpr std::size_t kCheckpointBytesMax = 64u << 10;
inline constexpr std::size_t kLogGroupEventsMax = 4096;
inline constexpr std::size_t kLogGroupBytesMax = 4u << 20;
inline constexpr std::size_t kLogQueueBytesMax = 64u << 20;
inline constexpr std::size_t kLogSegmentBytesMax = 16u << 20;
inline constexpr std::size_t kLogIntegrationEventsMax = 8192;
inline constexpr std::size_t kLogBacklogEventsMax = 500'000;

// Secrets
inline constexpr std::size_t kPassphraseBytesMin = 8;
inline constexpr std::size_t kPassphraseBytesMax = 1024;
inline constexpr std::size_t kKeyFileBytesMax = 64u << 10;
inline constexpr std::size_t kKeyRecordBytesMax = 64u << 10;
inline constexpr std::size_t kKeyReasonBytesMax = 500;
inline constexpr std::size_t kRotationsMax = 64;  // one after another, of one key
inline constexpr std::size_t kRevocationsMax = 4096;
inline constexpr std::size_t kRevocationListBytesMax = 16u << 20;
inline constexpr std::size_t kTokenUriBytesMax = 4096;
inline constexpr std::size_t kTokenSlotsMax = 256;
inline constexpr std::size_t kTokenMessageBytesMax = 8u
                                                     << 10;  // between a token's process and ours

// Trust policy
inline constexpr std::size_t kPolicyBytesMax = 1u << 20;
inline constexpr std::size_t kPolicySourcesMax = 1024;
inline constexpr std::size_t kPolicyListMax = 4096;  // entries of any list of a policy
inline constexpr std::size_t kPolicyTextBytesMax = 4096;
inline constexpr std::size_t kPolicyMemoryBytesMax = 16u << 20;
inline constexpr std::size_t kPolicyMemoryModelsMax = 50'000;
inline constexpr std::size_t kModelBundlesMax = 32;  // model.sig and those in model.sig.d
inline constexpr std::size_t kModelVersionPartsMax = 8;

// Mirror of a package index
inline constexpr std::size_t kMirrorPageBytesMax = 64u << 20;
inline constexpr std::size_t kMirrorPageFilesMax = 100'000;
inline constexpr std::size_t kMirrorAttributeBytesMax = 16u << 10;
inline constexpr std::size_t kMirrorMetadataBytesMax = 16u << 20;
inline constexpr std::uint64_t kMirrorFileBytesMax = 8ull << 30;
inline constexpr std::size_t kMirrorHeadBytesMax = 16u << 10;
inline constexpr std::size_t kMirrorConnectionsMax = 512;
inline constexpr std::size_t kMirrorOperatorEntriesMax = 100'000;
inline constexpr std::size_t kMirrorRecordBytesMax = 1u << 20;
inline constexpr int kMirrorRedirectsMax = 5;

// Versions, specifiers, markers, requirements, package URLs
inline constexpr std::size_t kVersionBytesMax = 4096;
inline constexpr std::size_t kSpecifiersMax = 256;
inline constexpr std::size_t kMarkerBytesMax = 16u << 10;
inline constexpr std::size_t kMarkerDepthMax = 32;
inline constexpr std::size_t kRequirementBytesMax = 32u << 10;
inline constexpr std::size_t kPurlBytesMax = 8192;

}  // namespace mlxguard::limits
