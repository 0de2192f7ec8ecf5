// SPDX-License-Identifier: Apache-2.0
// The smallest model of the BERT family, for tests: eight words, two heads, one layer.
#pragma once

#include "engine/test_support.h"

namespace mlxguard::engine::test {

/// Ids: [PAD] 0, [CLS] 1, [SEP] 2, [UNK] 3, red 4, green 5, blue 6, [MASK] 7. It carries a
/// truncation to 3 and a padding to 16 that nobody shall see.
inline constexpr std::string_view kTinyTokenizer = R"({"version":"1.0",
 "truncation":{"max_length":3,"strategy":"LongestFirst","stride":0,"direction":"Right"},
 "padding":{"strategy":{"Fixed":16},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,
            "pad_type_id":0,"pad_token":"[PAD]"},
 "added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
 "post_processor":{"type":"TemplateProcessing",
  "single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
            {"SpecialToken":{"id":"[SEP]","type_id":0}}],
  "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
  "special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},
                    "[SEP]":{"id":"[SEP]","ids":[2],"tokens":["[SEP]"]}}},
 "decoder":null,
 "model":{"type":"WordLevel","vocab":{"[PAD]":0,"[CLS]":1,"[SEP]":2,"[UNK]":3,"red":4,"green":5,
          "blue":6,"[MASK]":7},"unk_token":"[UNK]"}})";

/// config.json, tokenizer.json, model.safetensors, modules.json, 1_Pooling/config.json,
/// sentence_bert_config.json.
[[nodiscard]] FileMap tiny_bert();
/// Its weights; names begin with `prefix`.
[[nodiscard]] std::vector<NamedTensor> tiny_bert_tensors(const std::string& prefix = "");

}  // namespace mlxguard::engine::test
