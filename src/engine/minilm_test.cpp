// SPDX-License-Identifier: Apache-2.0
// The real model against vectors that sentence-transformers on PyTorch made
// (tools/record_minilm_reference.py; versions are in the file).
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "codec/json.h"
#include "codec/text.h"
#include "engine/engine.h"
#include "engine/test_support.h"

using namespace mlxguard;
using engine::test::FileMap;

namespace {

const std::string kVectors = std::string(MLXGUARD_SOURCE_DIR) + "/tests/vectors/minilm/";

struct Reference {
  std::vector<std::string> texts;
  std::vector<float> vectors;
  std::vector<std::int64_t> token_counts;
};

std::vector<float> floats_of(codec::JsonValue object) {
  const auto bytes = codec::from_base64(*object.find("vectors_base64_float32")->as_string());
  REQUIRE(bytes.has_value());
  std::vector<float> values(bytes->size() / sizeof(float));
  std::memcpy(values.data(), bytes->data(), bytes->size());
  return values;
}

std::vector<std::int64_t> integers_of(codec::JsonValue object, std::string_view member) {
  std::vector<std::int64_t> values;
  REQUIRE(object.find(member)->flatten_int64s(values, 1'000'000).has_value());
  return values;
}

codec::JsonDocument json_of(const std::string& name) {
  auto document = codec::JsonDocument::parse(engine::test::read_file(kVectors + name));
  REQUIRE(document.has_value());
  return std::move(document).value();
}

std::vector<std::string> all_texts() {
  std::vector<std::string> texts;
  const auto document = json_of("texts.json");
  REQUIRE(document.root()
              .each_element([&](std::size_t, codec::JsonValue value) -> Result<void> {
                texts.emplace_back(*value.as_string());
                return {};
              })
              .has_value());
  return texts;
}

/// As the package configures the model: 256 tokens.
Reference reference_at_256() {
  const auto document = json_of("reference.json");
  return {all_texts(), floats_of(document.root()), integers_of(document.root(), "token_counts")};
}

/// The texts of more than 256 tokens, with all 512 positions of the model.
Reference reference_at_512() {
  const auto document = json_of("reference.json");
  const auto part = *document.root().find("at_512");
  const auto texts = all_texts();
  Reference reference{{}, floats_of(part), integers_of(part, "token_counts")};
  for (const std::int64_t i : integers_of(part, "texts")) {
    reference.texts.push_back(texts.at(static_cast<std::size_t>(i)));
  }
  return reference;
}

double cosine(const float* a, const float* b, std::size_t count) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < count; ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

void check_against(const Reference& reference, const FileMap& files) {
  engine::test::require_runtime();
  auto model = engine::load(engine::test::model_of(files));
  REQUIRE(model.has_value());
  const auto embeddings = engine::test::embed(**model, reference.texts);
  REQUIRE(embeddings.has_value());
  REQUIRE(embeddings->dimension == 384);
  REQUIRE(embeddings->values.size() == reference.vectors.size());
  for (std::size_t i = 0; i < reference.texts.size(); ++i) {
    CAPTURE(i);
    CHECK(embeddings->token_counts[i] == reference.token_counts[i]);
    CHECK(cosine(&embeddings->values[i * 384], &reference.vectors[i * 384], 384) >= 0.9999);
  }
}

}  // namespace

TEST_CASE("minilm: embeddings of the real model equal sentence-transformers'") {
  const Reference reference = reference_at_256();
  REQUIRE(reference.texts.size() >= 120);
  check_against(reference, engine::test::read_folder(MLXGUARD_MINILM_DIR));
}

TEST_CASE("minilm: they do with every position of the model in use, up to 512 tokens") {
  const Reference reference = reference_at_512();
  REQUIRE(reference.texts.size() >= 10);
  FileMap files = engine::test::read_folder(MLXGUARD_MINILM_DIR);
  files["sentence_bert_config.json"] = R"({"max_seq_length":512,"do_lower_case":false})";
  check_against(reference, files);
}
