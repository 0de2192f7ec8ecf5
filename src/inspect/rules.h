// SPDX-License-Identifier: Apache-2.0
// The table of inspection rules: what a model can do to someone who loads it carelessly. Ids are
// stable: policies refuse by them, SARIF viewers and baselines remember them. A new rule is one
// row, the code that makes its finding, and a test.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mlxguard::inspect {

/// Weakest first, so that severities compare.
enum class Severity : std::uint8_t { kInfo, kLow, kMedium, kHigh, kCritical, kLast = kCritical };

[[nodiscard]] std::string_view name_of(Severity severity);
[[nodiscard]] std::optional<Severity> find_severity(std::string_view name);

// clang-format off
// Row: X(enumerator, "id", severity, "in a few words", "what happens", "what to do").
#define MLXGUARD_INSPECT_RULES(X)                                                                        \
  /* pickle */                                                                                           \
  X(kPickleCode, "pickle.code", kCritical, "a pickle that runs code when it is loaded",                   \
    "Loading the pickle calls a function that runs commands or Python code.",                             \
    "Do not load this file. Ask the publisher for safetensors.")                                          \
  X(kPickleImport, "pickle.import", kHigh, "a pickle that imports what is not known to be harmless",      \
    "Loading the pickle imports, and may call, a name outside of the known harmless ones.",               \
    "Read what it imports; prefer safetensors.")                                                          \
  X(kPickleFile, "pickle.file", kMedium, "a pickle",                                                      \
    "A pickle is a program for a small machine; loading one trusts whoever wrote it.",                    \
    "Convert it to safetensors in a sandbox, and sign that.")                                             \
  X(kPickleInvalid, "pickle.invalid", kHigh, "a pickle that is not well-formed",                          \
    "The stream breaks off or is malformed; a loader still runs everything before that place.",           \
    "Do not load this file.")                                                                             \
  /* what files are */                                                                                   \
  X(kFileDisguised, "file.disguised", kHigh, "a file that is not what its name says",                     \
    "The content is of another kind than the name says, so loaders and scanners may disagree on it.",     \
    "Treat the file as what it contains, and ask why it is named otherwise.")                             \
  X(kFileExecutable, "file.executable", kHigh, "a native program or library",                             \
    "Machine code in a model is run by whoever starts or loads it; weights do not need any.",             \
    "Remove it.")                                                                                         \
  X(kFileScript, "file.script", kHigh, "a script that the system can start",                              \
    "The file names an interpreter in its first line, or is a shell or batch script.",                    \
    "Remove it.")                                                                                         \
  X(kPythonFile, "python.file", kMedium, "Python code beside the weights",                                \
    "Loaders that are told to trust remote code import this file, and importing runs it.",                \
    "Read it, or remove it and load without trust_remote_code.")                                          \
  X(kPythonByteCode, "python.bytecode", kHigh, "compiled Python code",                                    \
    "Byte code runs when it is imported and cannot be reviewed as source can.",                           \
    "Remove it.")                                                                                         \
  X(kFileArchive, "file.archive", kMedium, "an archive inside the model",                                 \
    "What an archive holds is unpacked by someone, somewhere, with whatever names it carries.",           \
    "Unpack it yourself, and sign the files.")                                                            \
  X(kArchiveUnsafe, "archive.unsafe", kHigh, "an archive that attacks whoever unpacks it",                \
    "Entries leave the folder, are links, lie about their sizes, or unpack to far more than they are.",   \
    "Do not unpack it.")                                                                                  \
  X(kFileForeign, "file.foreign", kMedium, "a model format that is not inspected",                        \
    "The file is of a format that carries code or graphs of its own and that mlx does not load.",         \
    "Remove it if nothing loads it.")                                                                     \
  /* configurations */                                                                                   \
  X(kConfigModelFile, "config.model_file", kCritical, "a configuration that names Python code to run",    \
    "mlx-lm imports the file that `model_file` names when it loads the model.",                           \
    "Remove the key, or read the file that it names.")                                                    \
  X(kConfigAutoMap, "config.auto_map", kHigh, "a configuration that maps classes to code of the model",   \
    "With trust_remote_code, transformers imports the modules of `auto_map`, also from other repositories.", \
    "Load without trust_remote_code, or review that code.")                                               \
  X(kConfigTrust, "config.trust_remote_code", kHigh, "a configuration that asks to trust its own code",   \
    "`trust_remote_code` inside of a model asks loaders to run the model's code.",                        \
    "Remove the key; whether to trust is not the model's decision.")                                      \
  X(kConfigPipeline, "config.custom_pipelines", kHigh, "a configuration that defines pipelines by code",  \
    "`custom_pipelines` names classes in Python files of the model.",                                     \
    "Load without trust_remote_code, or review that code.")                                               \
  X(kConfigTarget, "config.target", kHigh, "a configuration that names a Python object to call",          \
    "Hydra and its like import and call whatever `_target_` names.",                                      \
    "Use a configuration without `_target_`, or check the name.")                                         \
  X(kConfigYamlObject, "config.yaml_object", kCritical, "a YAML file that makes Python objects",          \
    "A `!!python/` tag makes an unsafe YAML loader import and call what it names.",                       \
    "Remove the tag; load YAML with a safe loader.")                                                      \
  X(kConfigModule, "config.module", kMedium, "a configuration that names a module to import",             \
    "A loader builds an import from this name, and it is not one of that loader's own.",                  \
    "Check that the module is meant.")                                                                    \
  X(kConfigLambda, "config.lambda", kHigh, "a layer that carries its own code",                           \
    "A Keras Lambda layer holds marshalled Python code that runs when the model is used.",                \
    "Keep safe_mode on, or remove the layer.")                                                            \
  X(kConfigInvalid, "config.invalid", kMedium, "a configuration that readers disagree on",                \
    "The JSON is malformed or names a key twice; loaders may read it differently than this inspection.",  \
    "Have it written anew.")                                                                              \
  /* chat templates */                                                                                   \
  X(kTemplateAttribute, "template.attribute", kCritical, "a chat template that reaches into Python",      \
    "The template reads internals such as __class__ or _module; outside of a sandbox that runs code.",    \
    "Do not render it.")                                                                                  \
  X(kTemplateComputed, "template.computed", kHigh, "a chat template that computes names",                 \
    "attr() or a computed key reaches attributes that a reader of the template cannot see.",              \
    "Do not render it outside of a sandbox.")                                                             \
  X(kTemplateInclude, "template.include", kHigh, "a chat template that loads other templates",            \
    "include, import, from and extends read other files when the template is rendered.",                  \
    "Put the whole template into one file.")                                                              \
  X(kTemplateLoop, "template.loop", kMedium, "a chat template that works without end",                    \
    "A huge range or repetition makes every request take the time and memory of an attack.",              \
    "Do not render it without limits.")                                                                   \
  X(kTemplateCall, "template.call", kLow, "a chat template that calls what templates do not need",     \
    "The template calls a function that chat templates are not given.",                                   \
    "Check what it is for.")                                                                              \
  X(kTemplateHidden, "template.hidden_text", kMedium, "a chat template with invisible text",              \
    "Invisible or direction-changing characters hide from reviewers what the model is told.",             \
    "Remove them.")                                                                                       \
  X(kTemplateInvalid, "template.invalid", kMedium, "a chat template that is not well-formed",             \
    "A tag is not closed, so where code ends cannot be told.",                                            \
    "Have it written anew.")                                                                              \
  /* weights */                                                                                          \
  X(kSafetensors, "safetensors.structure", kHigh, "safetensors with a bad structure",                     \
    "The header is malformed or its shapes and offsets do not fit; loaders read out of bounds or other values.", \
    "Do not load this file.")                                                                             \
  X(kGguf, "gguf.structure", kHigh, "GGUF with a bad structure",                                          \
    "The header, metadata or tensors are malformed; mlx's own loader crashes or corrupts memory on such files.", \
    "Do not load this file.")                                                                             \
  X(kNpy, "npy.structure", kHigh, "a numpy file with a bad structure",                                    \
    "The header is malformed or does not fit the data.", "Do not load this file.")                        \
  X(kNpyObject, "npy.object", kCritical, "a numpy file that holds Python objects",                        \
    "An object array is a pickle; numpy.load with allow_pickle runs it.", "Do not load this file.")       \
  X(kMlxfn, "mlxfn.structure", kHigh, "an exported function with a bad structure",                        \
    "The function's file is malformed; mlx checks little of it.", "Do not load this file.")               \
  X(kMlxfnShapeless, "mlxfn.shapeless", kMedium, "an exported function whose shapes are not checked",      \
    "mlx takes inputs of any shape for it, and reads behind its weights for some.",                       \
    "Serve it with a signed manifest of its shapes, or export it with fixed ones.")                       \
  X(kWeightsNotFinite, "weights.not_finite", kMedium, "weights that are NaN or infinite",                 \
    "Values that are no numbers spread to every output; they may be damage or sabotage.",                 \
    "Compare with the publisher's file.")                                                                 \
  X(kWeightsIndex, "weights.index", kHigh, "a weights index that leaves the model",                       \
    "The index names a weights file outside of the folder, or one that is not there.",                    \
    "Do not load this model.")                                                                            \
  /* the folder */                                                                                       \
  X(kLinkOutside, "link.outside", kHigh, "a symbolic link that leaves the model",                         \
    "Loading the model reads a file of this machine that is not part of it.", "Remove the link.")         \
  X(kLinkDangling, "link.dangling", kMedium, "a symbolic link that leads nowhere",                        \
    "What it will name is decided later, by whoever makes that file.", "Remove the link.")                \
  X(kLinkInside, "link.inside", kLow, "a symbolic link inside the model",                                 \
    "Links are followed by some tools and not by others; what was signed may not be what is loaded.",     \
    "Replace the link by the file.")                                                                      \
  X(kHardLink, "file.hard_link", kLow, "a file with another name elsewhere",                              \
    "Whoever can write its other name can change the model after it was verified.", "Copy the file.")     \
  X(kFileSpecial, "file.special", kHigh, "a device, fifo or socket inside the model",                     \
    "Reading it may block for ever, or act on a device.", "Remove it.")                                   \
  X(kFileSetuid, "file.setuid", kHigh, "a file that runs with its owner's rights",                        \
    "A setuid or setgid bit has no place in a model.", "chmod ug-s the file.")                            \
  X(kFileMode, "file.executable_bit", kLow, "a file that is marked executable",                           \
    "Nothing in a model is meant to be started.", "chmod a-x the file.")                                  \
  X(kFileName, "file.name", kMedium, "a file name that deceives",                                         \
    "The name holds control, invisible or direction-changing characters, or is not UTF-8.",               \
    "Rename the file.")                                                                                   \
  X(kFolderDepth, "folder.depth", kMedium, "folders nested deeper than any model needs",                  \
    "Deep nesting exhausts tools that walk the folder.", "Flatten the folder.")                           \
  /* the inspection itself */                                                                            \
  X(kIncomplete, "inspect.incomplete", kHigh, "a file that could not be inspected",                       \
    "The inspection of this file did not come to its end: it may be anything.",                           \
    "Do not treat this model as clean.")

// clang-format on

enum class Rule : std::uint8_t {
#define MLXGUARD_INSPECT_ENUM(enumerator, ...) enumerator,
  MLXGUARD_INSPECT_RULES(MLXGUARD_INSPECT_ENUM)
#undef MLXGUARD_INSPECT_ENUM
      kCount,
  kLast = kCount - 1,
};

struct RuleRow {
  Rule rule;
  std::string_view id;
  Severity severity;
  std::string_view title;
  std::string_view meaning;
  std::string_view help;
};

[[nodiscard]] std::span<const RuleRow> rules();
[[nodiscard]] const RuleRow& describe(Rule rule);
[[nodiscard]] const RuleRow* find_rule(std::string_view id);

}  // namespace mlxguard::inspect
