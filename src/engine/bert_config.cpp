// SPDX-License-Identifier: Apache-2.0
#include "engine/bert_config.h"

#include <cmath>

#include "engine/architectures.h"
#include "engine/model_file.h"

namespace mlxguard::engine {
namespace {

using codec::JsonKind;
using codec::JsonValue;

constexpr std::int64_t kVocabularyMax = 4'000'000;
constexpr std::int64_t kHiddenMax = 16'384;
constexpr std::int64_t kLayersMax = 256;
constexpr std::int64_t kHeadsMax = 512;
constexpr std::int64_t kIntermediateMax = 131'072;
constexpr std::int64_t kPositionsMax = 65'536;
constexpr std::int64_t kTokenTypesMax = 64;
constexpr std::int64_t kTokensMin = 8;  // special tokens and some text

/// One configuration file; every complaint names it and the member.
class ConfigFile {
 public:
  [[nodiscard]] static Result<ConfigFile> read(const signature::VerifiedModel& model,
                                               std::string name) {
    MLXGUARD_TRY_ASSIGN(auto document, read_json(model, name));
    if (!document.root().is(JsonKind::kObject) && !document.root().is(JsonKind::kArray)) {
      return make_error(ErrorCode::kConfigInvalid, "expected an object").about(name);
    }
    return ConfigFile(std::move(name), std::move(document));
  }

  [[nodiscard]] Error invalid(std::string_view member, std::string message) const {
    return make_error(ErrorCode::kConfigInvalid, std::move(message))
        .about(name_ + ": " + std::string(member));
  }
  [[nodiscard]] JsonValue root() const { return document_.root(); }

  [[nodiscard]] Result<std::int64_t> integer(std::string_view member, std::int64_t min,
                                             std::int64_t max) const {
    const auto value = root().find(member);
    const auto number = value ? value->as_int64() : make_error(ErrorCode::kJsonMissing, "");
    if (!number || *number < min || *number > max) {
      return invalid(
          member, "expected an integer of " + std::to_string(min) + " to " + std::to_string(max));
    }
    return *number;
  }

  /// Refuses any value but this one; the member may be absent.
  [[nodiscard]] Result<void> only(std::string_view member, std::string_view allowed) const {
    const auto value = root().find(member);
    if (!value) return {};
    const auto text = value->as_string();
    if (text && *text == allowed) return {};
    return invalid(member, "only \"" + std::string(allowed) + "\" is implemented");
  }

  /// A flag; absent means false.
  [[nodiscard]] Result<bool> flag(std::string_view member) const {
    const auto value = root().find(member);
    if (!value) return false;
    const auto on = value->as_bool();
    if (!on) return invalid(member, "expected true or false");
    return *on;
  }

 private:
  ConfigFile(std::string name, codec::JsonDocument document)
      : name_(std::move(name)), document_(std::move(document)) {}
  std::string name_;
  codec::JsonDocument document_;
};

Result<void> read_transformer(const ConfigFile& file, BertConfig& config) {
  MLXGUARD_TRY_ASSIGN(config.vocabulary_size, file.integer("vocab_size", 1, kVocabularyMax));
  MLXGUARD_TRY_ASSIGN(config.hidden_size, file.integer("hidden_size", 1, kHiddenMax));
  MLXGUARD_TRY_ASSIGN(config.layer_count, file.integer("num_hidden_layers", 1, kLayersMax));
  MLXGUARD_TRY_ASSIGN(config.head_count, file.integer("num_attention_heads", 1, kHeadsMax));
  MLXGUARD_TRY_ASSIGN(config.intermediate_size,
                      file.integer("intermediate_size", 1, kIntermediateMax));
  MLXGUARD_TRY_ASSIGN(config.position_count,
                      file.integer("max_position_embeddings", kTokensMin, kPositionsMax));
  MLXGUARD_TRY_ASSIGN(config.token_type_count, file.integer("type_vocab_size", 1, kTokenTypesMax));
  if (config.hidden_size % config.head_count != 0) {
    return file.invalid("num_attention_heads", "does not divide hidden_size");
  }
  const auto epsilon_value = file.root().find("layer_norm_eps");
  const auto epsilon =
      epsilon_value ? epsilon_value->as_double() : make_error(ErrorCode::kJsonMissing, "");
  if (!epsilon || !(*epsilon > 0) || *epsilon > 0.1) {
    return file.invalid("layer_norm_eps", "expected a number above 0, at most 0.1");
  }
  config.layer_norm_epsilon = static_cast<float>(*epsilon);
  MLXGUARD_TRY(file.only("hidden_act", "gelu"));
  MLXGUARD_TRY(file.only("position_embedding_type", "absolute"));
  for (const char* member : {"is_decoder", "add_cross_attention"}) {
    MLXGUARD_TRY_ASSIGN(const bool on, file.flag(member));
    if (on) return file.invalid(member, "only an encoder is implemented");
  }
  config.tokens_max = config.position_count;
  return {};
}

/// "sentence_transformers.models.Pooling" and its later homes: the last part tells.
std::string_view last_part(std::string_view dotted) {
  const auto dot = dotted.rfind('.');
  return dot == std::string_view::npos ? dotted : dotted.substr(dot + 1);
}

Result<std::string_view> text_member(const ConfigFile& file, JsonValue object,
                                     std::string_view member) {
  const auto value = object.find(member);
  const auto text = value ? value->as_string() : make_error(ErrorCode::kJsonMissing, "");
  if (!text) return file.invalid(member, "expected a string");
  return *text;
}

Result<void> read_pooling(const signature::VerifiedModel& model, std::string_view folder,
                          BertConfig& config) {
  MLXGUARD_TRY_ASSIGN(const ConfigFile file,
                      ConfigFile::read(model, std::string(folder) + "/config.json"));
  MLXGUARD_TRY_ASSIGN(const bool mean, file.flag("pooling_mode_mean_tokens"));
  MLXGUARD_TRY_ASSIGN(const bool first, file.flag("pooling_mode_cls_token"));
  for (const char* member : {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                             "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"}) {
    MLXGUARD_TRY_ASSIGN(const bool on, file.flag(member));
    if (on) return file.invalid(member, "only mean and cls pooling are implemented");
  }
  if (mean == first) {
    return file.invalid("pooling_mode_mean_tokens", "expected exactly one of mean and cls pooling");
  }
  config.pooling = mean ? Pooling::kMean : Pooling::kFirstToken;
  MLXGUARD_TRY_ASSIGN(const std::int64_t dimension,
                      file.integer("word_embedding_dimension", 1, kHiddenMax));
  if (dimension != config.hidden_size) {
    return file.invalid("word_embedding_dimension", "is not the model's hidden_size");
  }
  return {};
}

/// modules.json must be Transformer, Pooling and perhaps Normalize, in this order.
Result<void> read_modules(const signature::VerifiedModel& model, BertConfig& config) {
  MLXGUARD_TRY_ASSIGN(const ConfigFile file, ConfigFile::read(model, "modules.json"));
  constexpr std::string_view kOrder[] = {"Transformer", "Pooling", "Normalize"};
  const std::size_t count = file.root().size();
  if (!file.root().is(JsonKind::kArray) || count < 2 || count > std::size(kOrder)) {
    return file.invalid("", "expected the modules Transformer, Pooling and perhaps Normalize");
  }
  config.normalisation = count == 3 ? Normalisation::kUnitLength : Normalisation::kNone;
  return file.root().each_element([&](std::size_t index, JsonValue module) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const auto type, text_member(file, module, "type"));
    MLXGUARD_TRY_ASSIGN(const auto path, text_member(file, module, "path"));
    if (last_part(type) != kOrder[index]) {
      return file.invalid("type", "expected module " + std::to_string(index) + " to be " +
                                      std::string(kOrder[index]));
    }
    if (index == 0 && !path.empty()) {
      return file.invalid("path", "expected the transformer in the model's own folder");
    }
    return index == 1 ? read_pooling(model, path, config) : Result<void>{};
  });
}

Result<void> read_sentence_config(const signature::VerifiedModel& model, BertConfig& config) {
  MLXGUARD_TRY_ASSIGN(const ConfigFile file, ConfigFile::read(model, "sentence_bert_config.json"));
  const auto length = file.root().find("max_seq_length");
  if (length && !length->is(JsonKind::kNull)) {
    MLXGUARD_TRY_ASSIGN(config.tokens_max,
                        file.integer("max_seq_length", kTokensMin, config.position_count));
  }
  MLXGUARD_TRY_ASSIGN(const bool lower, file.flag("do_lower_case"));
  if (lower) return file.invalid("do_lower_case", "only the tokenizer's own case is implemented");
  return {};
}

/// sentence-transformers would put a default prompt before every text; leaving it out would give
/// other vectors without a word.
Result<void> refuse_default_prompt(const signature::VerifiedModel& model) {
  MLXGUARD_TRY_ASSIGN(const ConfigFile file,
                      ConfigFile::read(model, "config_sentence_transformers.json"));
  const auto prompt = file.root().find("default_prompt_name");
  if (!prompt || prompt->is(JsonKind::kNull)) return {};
  return file.invalid("default_prompt_name", "prompts are not implemented");
}

}  // namespace

Result<BertConfig> BertConfig::read(const signature::VerifiedModel& model) {
  BertConfig config;
  MLXGUARD_TRY_ASSIGN(const ConfigFile file,
                      ConfigFile::read(model, std::string(kArchitectureConfigName)));
  MLXGUARD_TRY(read_transformer(file, config));
  // Without these files sentence-transformers takes the mean and does not normalise; so do we.
  if (model.find("modules.json") != nullptr) MLXGUARD_TRY(read_modules(model, config));
  if (model.find("sentence_bert_config.json") != nullptr) {
    MLXGUARD_TRY(read_sentence_config(model, config));
  }
  if (model.find("config_sentence_transformers.json") != nullptr) {
    MLXGUARD_TRY(refuse_default_prompt(model));
  }
  return config;
}

}  // namespace mlxguard::engine
