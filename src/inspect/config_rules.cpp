// SPDX-License-Identifier: Apache-2.0
#include "inspect/config_rules.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "inspect/content_kind.h"
#include "inspect/template_scan.h"

namespace mlxguard::inspect {
namespace {

bool is_plain_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || c == '-' || is_ascii_alphanumeric(c);
  });
}

/// Modules whose functions run commands or code, or touch files, when a configuration calls them.
bool runs_code(std::string_view target) {
  constexpr std::array<std::string_view, 22> kModules{
      "os",          "posix",   "nt",       "sys",    "subprocess", "builtins",
      "__builtin__", "shutil",  "runpy",    "pty",    "importlib",  "ctypes",
      "pickle",      "marshal", "code",     "codeop", "socket",     "webbrowser",
      "commands",    "timeit",  "cProfile", "pdb"};
  const std::string_view module = target.substr(0, target.find_first_of(".:"));
  return std::find(kModules.begin(), kModules.end(), module) != kModules.end();
}

void judge_model_file(const ConfigValue& value, const FileContext& context, Findings& findings) {
  if (value.kind == ValueKind::kOther || value.kind == ValueKind::kTrue) return;
  const bool read_by_mlx_lm = last_part(context.name) == "config.json" && value.depth == 1;
  const bool python = has_extension(value.text, ".py");
  findings.add(
      Rule::kConfigModelFile,
      read_by_mlx_lm || python ? describe(Rule::kConfigModelFile).severity : Severity::kMedium,
      "`model_file` names a file that mlx-lm imports when it loads the model", value.source,
      value.place);
}

void judge_auto_map(const ConfigValue& value, Findings& findings) {
  if (value.kind != ValueKind::kText && value.kind != ValueKind::kContainer) return;
  const bool elsewhere = value.source.find("--") != value.source.npos;
  findings.add(Rule::kConfigAutoMap,
               elsewhere ? "`auto_map` names modules of another repository"
                         : "`auto_map` names modules that are imported with trust_remote_code",
               value.source, value.place);
}

void judge_module(const ConfigValue& value, const FileContext& context, Findings& findings) {
  if (value.kind != ValueKind::kText) return;
  const std::string_view file = last_part(context.name);
  if (file == "modules.json" && value.key == "type" &&
      !value.text.starts_with("sentence_transformers.")) {
    findings.add(Rule::kConfigModule, "sentence-transformers imports this module", value.source,
                 value.place);
  }
  if (value.key == "parent_library" && value.parent == "auto_mapping") {
    const std::string_view library = value.text.substr(0, value.text.find('.'));
    if (library != "transformers" && library != "diffusers") {
      findings.add(Rule::kConfigModule, "PEFT imports this module", value.source, value.place);
    }
  }
  const bool imported = value.key == "model_type" || value.key == "tool_parser_type" ||
                        value.key == "chat_template_type";
  if (imported && !is_plain_name(value.text)) {
    findings.add(Rule::kConfigModule, "mlx-lm builds the name of an import from this value",
                 value.source, value.place);
  }
  constexpr std::array<std::string_view, 8> kLibraries{"diffusers",   "transformers", "onnxruntime",
                                                       "null",        "optimum",      "peft",
                                                       "k_diffusion", "accelerate"};
  if (file == "model_index.json" && value.parent == "[0]" && !value.key.starts_with("_")) {
    const std::string_view library = value.text.substr(0, value.text.find('.'));
    if (std::find(kLibraries.begin(), kLibraries.end(), library) == kLibraries.end()) {
      findings.add(Rule::kConfigModule, "diffusers imports this module", value.source, value.place);
    }
  }
}

void judge_weight_file(const ConfigValue& value, const FileContext& context, Findings& findings) {
  if (!is_weights_index(context.name) || value.parent != "weight_map" ||
      value.kind != ValueKind::kText) {
    return;
  }
  const std::string_view name = value.text;
  const bool leaves = name.starts_with("/") || name.find("..") != name.npos ||
                      name.find('\\') != name.npos || name.find("://") != name.npos ||
                      name.starts_with("~") || (name.size() > 1 && name[1] == ':');
  if (leaves) {
    findings.add(Rule::kWeightsIndex, "the index names a file outside of the model", name,
                 value.place);
    return;
  }
  const bool here = std::binary_search(context.siblings.begin(), context.siblings.end(), name);
  if (!here && name.find('/') == name.npos) {
    findings.add(Rule::kWeightsIndex, Severity::kMedium, "the index names a file that is not there",
                 name, value.place);
  }
}

void judge_template(const ConfigValue& value, Findings& findings) {
  if (value.kind != ValueKind::kText) return;
  const bool direct = value.key == "chat_template" || value.key == "tokenizer.chat_template";
  const bool listed = value.parent == "chat_template" && value.key != "name";
  if (!direct && !listed) return;
  scan_template(value.text, listed ? "chat_template of " + evidence_of(value.key) : "chat_template",
                TemplateOrigin::kInsideConfig, findings, value.place);
}

}  // namespace

void judge_config_value(const ConfigValue& value, const FileContext& context, Findings& findings) {
  const std::string_view key = value.key;
  if (key == "model_file") judge_model_file(value, context, findings);
  if (key == "auto_map") judge_auto_map(value, findings);
  // Any text of JSON is true to Python, "false" as well. (Elsewhere it may be prose.)
  const bool trusts =
      value.kind == ValueKind::kTrue || (value.kind == ValueKind::kText && !value.text.empty() &&
                                         has_extension(context.name, ".json"));
  if (key == "trust_remote_code" && trusts) {
    findings.add(Rule::kConfigTrust, "`trust_remote_code` is set inside of the model", value.source,
                 value.place);
  }
  const bool pipelines = key == "custom_pipelines" && value.kind != ValueKind::kOther;
  const bool pipeline_class = key == "_class_name" && value.kind == ValueKind::kContainer;
  if (pipelines || pipeline_class) {
    findings.add(Rule::kConfigPipeline, "pipelines are defined by Python files of the model",
                 value.source, value.place);
  }
  if (key == "_target_" && value.kind == ValueKind::kText) {
    findings.add(
        Rule::kConfigTarget,
        runs_code(value.text) ? Severity::kCritical : describe(Rule::kConfigTarget).severity,
        "`_target_` names what is imported and called", value.source, value.place);
  }
  if (key == "class_name" && (value.text == "Lambda" || value.text == "TFOpLambda")) {
    findings.add(Rule::kConfigLambda, "a Lambda layer", value.source, value.place);
  }
  judge_module(value, context, findings);
  judge_weight_file(value, context, findings);
  judge_template(value, findings);
}

}  // namespace mlxguard::inspect
