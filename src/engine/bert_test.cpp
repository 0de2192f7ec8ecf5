// SPDX-License-Identifier: Apache-2.0
#include "engine/bert.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/tiny_bert.h"

using namespace mlxguard;
using engine::test::FileMap;
using engine::test::model_of;
using engine::test::tiny_bert;

namespace {

std::unique_ptr<engine::Model> load_tiny(const FileMap& files = tiny_bert()) {
  engine::test::require_runtime();
  auto model = engine::load(model_of(files));
  REQUIRE(model.has_value());
  return std::move(model).value();
}

Error error_of(const FileMap& files) {
  engine::test::require_runtime();
  const auto model = engine::load(model_of(files));
  REQUIRE(!model.has_value());
  return model.error();
}

/// The tiny model with one piece of one file replaced.
FileMap with(const std::string& file, const std::string& from, const std::string& to) {
  FileMap files = tiny_bert();
  std::string& text = files.at(file);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  return files;
}

ErrorCode code_with(const std::string& file, const std::string& from, const std::string& to) {
  return error_of(with(file, from, to)).code;
}

std::vector<float> row(const task::Vectors& embeddings, std::size_t index) {
  const auto begin =
      embeddings.values.begin() + static_cast<std::ptrdiff_t>(index * embeddings.dimension);
  return {begin, begin + static_cast<std::ptrdiff_t>(embeddings.dimension)};
}

void check_close(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5));
}

}  // namespace

TEST_CASE("bert: a text's vector does not depend on what else is in the request") {
  const auto model = load_tiny();
  const std::vector<std::string> texts{"red green blue red green blue", "red", "", "blue green",
                                       "green blue red"};
  const auto together = engine::test::embed(*model, texts);
  REQUIRE(together.has_value());
  CHECK(together->dimension == 4);
  CHECK(together->token_counts == std::vector<std::uint32_t>{8, 3, 2, 4, 5});
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto alone = engine::test::embed(*model, {texts[i]});
    REQUIRE(alone.has_value());
    check_close(row(*together, i), row(*alone, 0));
  }
  CHECK(engine::test::embed(*model, texts)->values == together->values);
}

TEST_CASE("bert: vectors are of unit length where modules.json says so, and only there") {
  const std::vector<std::string> texts{"red green"};
  const auto length_of = [&](const FileMap& files) {
    const auto embeddings = engine::test::embed(*load_tiny(files), texts);
    REQUIRE(embeddings.has_value());
    double sum = 0;
    for (const float v : embeddings->values) sum += double{v} * v;
    return std::sqrt(sum);
  };
  CHECK(length_of(tiny_bert()) == doctest::Approx(1.0));
  FileMap files = tiny_bert();
  files.erase("modules.json");
  CHECK(length_of(files) != doctest::Approx(1.0));
}

TEST_CASE("bert: pools the first token where the configuration says so") {
  FileMap files = tiny_bert();
  files["1_Pooling/config.json"] =
      R"({"word_embedding_dimension":4,"pooling_mode_cls_token":true})";
  const std::vector<std::string> texts{"red green"};
  CHECK(engine::test::embed(*load_tiny(files), texts)->values !=
        engine::test::embed(*load_tiny(), texts)->values);
}

TEST_CASE("bert: names of weights may begin with bert.") {
  FileMap files = tiny_bert();
  files["model.safetensors"] =
      engine::test::safetensors_of(engine::test::tiny_bert_tensors("bert."));
  const std::vector<std::string> texts{"red green"};
  CHECK(engine::test::embed(*load_tiny(files), texts)->values ==
        engine::test::embed(*load_tiny(), texts)->values);
}

TEST_CASE("bert: cuts texts to max_seq_length and says which") {
  const auto model = load_tiny();
  CHECK(model->schema().tokens_max == 10);
  CHECK(model->schema().embedding_dimension == 4);
  const std::vector<std::string> texts{"red red red red red red red red red red", "red",
                                       "red red red red red red red red"};
  const auto embeddings = engine::test::embed(*model, texts);
  REQUIRE(embeddings.has_value());
  CHECK(embeddings->token_counts == std::vector<std::uint32_t>{10, 3, 10});
  CHECK(embeddings->truncated == std::vector<std::uint8_t>{1, 0, 0});
  check_close(row(*embeddings, 0), row(*embeddings, 2));
}

TEST_CASE("bert: refuses text that is not UTF-8, naming its place") {
  const std::vector<std::string> texts{"red", "\xff"};
  const auto embeddings = engine::test::embed(*load_tiny(), texts);
  REQUIRE(!embeddings.has_value());
  CHECK(embeddings.error().code == ErrorCode::kTextInvalid);
  CHECK(embeddings.error().subject == "1");
}

TEST_CASE("bert: a text without a single token is refused, not averaged over nothing") {
  FileMap files = tiny_bert();
  std::string& text = files.at("tokenizer.json");
  const auto begin = text.find(R"("post_processor":)");
  text.replace(begin, text.find(R"("decoder")") - begin, R"("post_processor":null,)");
  const auto model = load_tiny(files);
  const std::vector<std::string> texts{"red", ""};
  const auto embeddings = engine::test::embed(*model, texts);
  REQUIRE(!embeddings.has_value());
  CHECK(embeddings.error().code == ErrorCode::kTextInvalid);
  CHECK(embeddings.error().subject == "1");
}

TEST_CASE("bert: one step computes one batch, and no step runs away with many texts") {
  const auto model = load_tiny();
  // Each of these texts has the same length, and 2048 tokens are one batch.
  auto embedding = model->embed(std::vector<std::string>(5000, "red green blue red green"));
  REQUIRE(embedding.has_value());
  int steps = 1;
  for (;; ++steps) {
    const auto done = (*embedding)->step();
    REQUIRE(done.has_value());
    if (*done) break;
  }
  CHECK(steps > 10);
  const task::Vectors vectors = (*embedding)->take();
  CHECK(vectors.token_counts.size() == 5000);
  CHECK(vectors.values.size() == 5000 * vectors.dimension);
}

TEST_CASE("bert: takes no tensors") {
  const auto model = load_tiny();
  auto inputs = validate::check_inputs({}, {});
  REQUIRE(inputs.has_value());
  const auto outputs = model->run(std::move(inputs).value());
  REQUIRE(!outputs.has_value());
  CHECK(outputs.error().code == ErrorCode::kRequestType);
}

TEST_CASE("bert: refuses a configuration that lacks, exceeds or contradicts what it needs") {
  struct Case {
    const char *file, *from, *to;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"config.json", R"("hidden_size":4)", R"("hidden_size":0)"},
           {"config.json", R"("hidden_size":4)", R"("hidden_size":-4)"},
           {"config.json", R"("hidden_size":4)", R"("hidden_size":"4")"},
           {"config.json", R"("hidden_size":4)", R"("hidden_size":4.0)"},
           {"config.json", R"("hidden_size":4)", R"("hidden_size":99999999)"},
           {"config.json", R"("hidden_size":4,)", ""},
           {"config.json", R"("num_attention_heads":2)", R"("num_attention_heads":3)"},
           {"config.json", R"("num_hidden_layers":1)", R"("num_hidden_layers":1000000)"},
           {"config.json", R"("layer_norm_eps":1e-12)", R"("layer_norm_eps":0)"},
           {"config.json", R"("layer_norm_eps":1e-12)", R"("layer_norm_eps":-1)"},
           {"config.json", R"("layer_norm_eps":1e-12)", R"("layer_norm_eps":"small")"},
           {"config.json", R"("hidden_act":"gelu")", R"("hidden_act":"gelu_new")"},
           {"config.json", R"("absolute")", R"("relative_key")"},
           {"config.json", R"("vocab_size":8)", R"("vocab_size":8,"is_decoder":true)"},
           {"config.json", R"("vocab_size":8)", R"("vocab_size":8,"vocab_size":8)"},
           {"config.json", R"("model_type":"bert")", R"("model_type":7)"},
           {"config.json", R"({"model_type")", R"(["model_type")"},
           {"modules.json", "models.Normalize", "models.Dense"},
           {"modules.json", "models.Pooling", "models.Normalize"},
           {"modules.json", "1_Pooling", "2_Pooling"},
           {"modules.json", R"("path":"")", R"("path":"0_Transformer")"},
           {"1_Pooling/config.json", R"("pooling_mode_mean_tokens":true)",
            R"("pooling_mode_mean_tokens":false)"},
           {"1_Pooling/config.json", R"("pooling_mode_cls_token":false)",
            R"("pooling_mode_cls_token":true)"},
           {"1_Pooling/config.json", R"("pooling_mode_max_tokens":false)",
            R"("pooling_mode_max_tokens":true)"},
           {"1_Pooling/config.json", R"("word_embedding_dimension":4)",
            R"("word_embedding_dimension":8)"},
           {"sentence_bert_config.json", R"("max_seq_length":10)", R"("max_seq_length":13)"},
           {"sentence_bert_config.json", R"("max_seq_length":10)", R"("max_seq_length":1)"},
           {"sentence_bert_config.json", R"("do_lower_case":false)", R"("do_lower_case":true)"}}) {
    CAPTURE(std::string(c.from));
    CAPTURE(std::string(c.to));
    CHECK(code_with(c.file, c.from, c.to) == ErrorCode::kConfigInvalid);
  }
}

TEST_CASE("bert: refuses a prompt that it would have to put before every text") {
  FileMap files = tiny_bert();
  files["config_sentence_transformers.json"] =
      R"({"prompts":{"query":"query: "},"default_prompt_name":"query"})";
  CHECK(error_of(files).code == ErrorCode::kConfigInvalid);
  files["config_sentence_transformers.json"] = R"({"prompts":{},"default_prompt_name":null})";
  CHECK(engine::load(model_of(files)).has_value());
}

TEST_CASE("bert: a tokenizer with ids beyond the vocabulary is refused before mlx looks one up") {
  CHECK(code_with("tokenizer.json", R"("[MASK]":7)", R"("[MASK]":8)") == ErrorCode::kConfigInvalid);
  CHECK(code_with("tokenizer.json", R"("ids":[1])", R"("ids":[4000000])") == ErrorCode::kTokenizer);
}

TEST_CASE("bert: refuses weights that lack a tensor or have one of another shape") {
  CHECK(code_with("config.json", R"("num_hidden_layers":1)", R"("num_hidden_layers":2)") ==
        ErrorCode::kTensorMissing);
  CHECK(code_with("config.json", R"("intermediate_size":6)", R"("intermediate_size":7)") ==
        ErrorCode::kTensorShape);
  CHECK(code_with("config.json", R"("vocab_size":8)", R"("vocab_size":9)") ==
        ErrorCode::kTensorShape);
  auto tensors = engine::test::tiny_bert_tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name.starts_with("pooler")) continue;
    auto without = tensors;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    FileMap files = tiny_bert();
    files["model.safetensors"] = engine::test::safetensors_of(without);
    CAPTURE(tensors[i].name);
    const Error error = error_of(files);
    CHECK(error.code == ErrorCode::kTensorMissing);
    CHECK(error.subject == tensors[i].name);
  }
}

TEST_CASE("bert: refuses a model that lacks a file") {
  for (const std::string name : {"model.safetensors", "tokenizer.json", "1_Pooling/config.json"}) {
    FileMap files = tiny_bert();
    files.erase(name);
    const Error error = error_of(files);
    CHECK(error.code == ErrorCode::kConfigInvalid);
    CHECK(error.subject == name);
  }
}

TEST_CASE("bert: an answer with NaN is an error, not an answer") {
  auto tensors = engine::test::tiny_bert_tensors();
  for (auto& tensor : tensors) {
    if (tensor.name.ends_with("output.LayerNorm.bias")) tensor.values[0] = NAN;
  }
  FileMap files = tiny_bert();
  files["model.safetensors"] = engine::test::safetensors_of(tensors);
  CHECK(error_of(files).code == ErrorCode::kOutputInvalid);
}
