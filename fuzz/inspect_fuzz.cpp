// SPDX-License-Identifier: Apache-2.0
// Any bytes as any file of a model: the first byte picks its name, the rest is its content. The
// inspection ends, within its bounds, and says only what is safe to print.
#include <array>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "codec/text.h"
#include "inspect/inspect_file.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array<std::string_view, 12> kNames{"config.json",  "chat_template.jinja",
                                                    "a.yaml",       "model.safetensors.index.json",
                                                    "modules.json", "model.safetensors",
                                                    "w.npz",        "w.npy",
                                                    "m.gguf",       "x.pkl",
                                                    "f.mlxfn",      "noname"};
  if (size == 0) return 0;
  inspect::FileContext context;
  context.name = kNames[data[0] % kNames.size()];
  context.siblings = {"a.safetensors"};
  const inspect::FileReport report = inspect::inspect_file(Bytes(data + 1, size - 1), context);
  MLXGUARD_CHECK(report.findings.size() <= limits::kInspectFileFindingsMax);
  constexpr std::size_t kEscapedMax = limits::kInspectEvidenceBytesMax + 32;
  for (const inspect::Finding& finding : report.findings) {
    MLXGUARD_CHECK(finding.rule < inspect::Rule::kCount && !finding.reason.empty());
    MLXGUARD_CHECK(finding.evidence.size() <= kEscapedMax && codec::is_utf8(finding.evidence));
    MLXGUARD_CHECK(inspect::evidence_of(finding.evidence).size() <= kEscapedMax);
  }
  return 0;
}
