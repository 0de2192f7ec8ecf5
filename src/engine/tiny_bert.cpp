// SPDX-License-Identifier: Apache-2.0
#include "engine/tiny_bert.h"

#include <cmath>

namespace mlxguard::engine::test {

std::vector<NamedTensor> tiny_bert_tensors(const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  float seed = 0;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    std::vector<float> values(count);
    for (float& value : values) value = std::sin(seed += 0.7f);
    tensors.push_back({prefix + name, std::move(shape), std::move(values)});
  };
  const auto add_pair = [&](const std::string& name, std::vector<std::int64_t> weight) {
    const std::int64_t bias = weight.front();
    add(name + ".weight", std::move(weight));
    add(name + ".bias", {bias});
  };
  add("embeddings.word_embeddings.weight", {8, 4});
  add("embeddings.position_embeddings.weight", {12, 4});
  add("embeddings.token_type_embeddings.weight", {2, 4});
  add_pair("embeddings.LayerNorm", {4});
  const std::string layer = "encoder.layer.0.";
  for (const char* part : {"self.query", "self.key", "self.value", "output.dense"}) {
    add_pair(layer + "attention." + part, {4, 4});
  }
  add_pair(layer + "attention.output.LayerNorm", {4});
  add_pair(layer + "intermediate.dense", {6, 4});
  add_pair(layer + "output.dense", {4, 6});
  add_pair(layer + "output.LayerNorm", {4});
  add_pair("pooler.dense", {4, 4});  // present in most files, used by nobody here
  return tensors;
}

FileMap tiny_bert() {
  return {
      {"config.json",
       R"({"model_type":"bert","hidden_act":"gelu","hidden_size":4,"intermediate_size":6,)"
       R"("layer_norm_eps":1e-12,"max_position_embeddings":12,"num_attention_heads":2,)"
       R"("num_hidden_layers":1,"position_embedding_type":"absolute","type_vocab_size":2,)"
       R"("vocab_size":8})"},
      {"tokenizer.json", std::string(kTinyTokenizer)},
      {"model.safetensors", safetensors_of(tiny_bert_tensors())},
      {"modules.json",
       R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},)"
       R"({"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},)"
       R"({"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])"},
      {"1_Pooling/config.json",
       R"({"word_embedding_dimension":4,"pooling_mode_cls_token":false,)"
       R"("pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":false})"},
      {"sentence_bert_config.json", R"({"max_seq_length":10,"do_lower_case":false})"},
  };
}

}  // namespace mlxguard::engine::test
