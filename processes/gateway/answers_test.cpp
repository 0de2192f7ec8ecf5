// SPDX-License-Identifier: Apache-2.0
#include "answers.h"

#include <doctest/doctest.h>

#include <cstring>

#include "codec/json.h"
#include "codec/text.h"

using namespace mlxguard;
using namespace mlxguard::gateway;
using validate::Dtype;

namespace {

template <class T>
validate::Tensor tensor_of(Dtype dtype, const std::vector<T>& values) {
  validate::Tensor tensor{std::string("y"), dtype, {static_cast<std::int64_t>(values.size())}, {}};
  tensor.data.resize(values.size() * sizeof(T));
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}

std::string data_in_answer(const validate::Tensor& tensor) {
  const Model model{.name = "m"};
  const std::string body = infer_body(model, {"", {0}}, {tensor});
  const auto document = codec::JsonDocument::parse(body).value();
  std::string data;
  const auto outputs = document.root().member("outputs").value();
  REQUIRE(outputs.each_element([&](std::size_t, codec::JsonValue output) -> Result<void> {
    data = output.member("data").value().dump();
    return {};
  }));
  return data;
}

}  // namespace

TEST_CASE("answers: tensors of every type become numbers that read back the same") {
  CHECK(data_in_answer(tensor_of<std::uint8_t>(Dtype::kBool, {0, 1})) == "[false,true]");
  CHECK(data_in_answer(tensor_of<std::uint8_t>(Dtype::kUint8, {0, 255})) == "[0,255]");
  CHECK(data_in_answer(tensor_of<std::int8_t>(Dtype::kInt8, {-128, 127})) == "[-128,127]");
  CHECK(data_in_answer(tensor_of<std::uint16_t>(Dtype::kUint16, {65535})) == "[65535]");
  CHECK(data_in_answer(tensor_of<std::int16_t>(Dtype::kInt16, {-32768})) == "[-32768]");
  CHECK(data_in_answer(tensor_of<std::uint32_t>(Dtype::kUint32, {4294967295u})) == "[4294967295]");
  CHECK(data_in_answer(tensor_of<std::int32_t>(Dtype::kInt32, {-5})) == "[-5]");
  CHECK(data_in_answer(tensor_of<std::uint64_t>(Dtype::kUint64, {18446744073709551615ull})) ==
        "[18446744073709551615]");
  CHECK(data_in_answer(tensor_of<std::int64_t>(Dtype::kInt64, {-9007199254740993ll})) ==
        "[-9007199254740993]");
  CHECK(data_in_answer(tensor_of<std::uint16_t>(Dtype::kFp16, {0x3e00})) == "[1.5]");
  CHECK(data_in_answer(tensor_of<std::uint16_t>(Dtype::kBf16, {0x3fc0})) == "[1.5]");
  CHECK(data_in_answer(tensor_of<float>(Dtype::kFp32, {0.5f, -2.25f})) == "[0.5,-2.25]");
  CHECK(data_in_answer(tensor_of<double>(Dtype::kFp64, {0.1})) == "[0.1]");
}

TEST_CASE("answers: the request's id comes back, escaped, and only the outputs asked for") {
  const Model model{.name = "m"};
  auto first = tensor_of<float>(Dtype::kFp32, {1});
  auto second = tensor_of<float>(Dtype::kFp32, {2});
  second.name = std::string("z");
  const std::string body = infer_body(model, {"a\"\n", {1}}, {first, second});
  const auto document = codec::JsonDocument::parse(body).value();
  CHECK(document.root().member("id").value().as_string().value() == "a\"\n");
  CHECK(document.root().member("outputs").value().size() == 1);
  CHECK(body.find("\"name\":\"z\"") != std::string::npos);
}

TEST_CASE("answers: embeddings as numbers and as base64 are the same vectors") {
  const Model model{.name = "m"};
  const Embeddings embeddings{2, {1.0f, -0.5f, 3.0f, 4.0f}, 7};
  const std::string numbers =
      openai_embeddings_body(model, embeddings, validate::EncodingFormat::kFloat);
  CHECK(numbers.find("\"embedding\":[1,-0.5]") != std::string::npos);
  CHECK(numbers.find("\"prompt_tokens\":7") != std::string::npos);
  const std::string base64 =
      openai_embeddings_body(model, embeddings, validate::EncodingFormat::kBase64);
  const float row[2] = {3.0f, 4.0f};
  const std::string expected =
      codec::to_base64({reinterpret_cast<const std::uint8_t*>(row), sizeof(row)});
  CHECK(base64.find(expected) != std::string::npos);
}

TEST_CASE("answers: metadata says -1 for what may vary") {
  Model model{.name = "m"};
  model.schema.inputs.push_back(
      {std::string("x"), Dtype::kInt64, {{1, 64}, {16, 16}}, std::nullopt, std::nullopt});
  const std::string body = model_metadata_body(model);
  CHECK(body.find(R"({"name":"x","datatype":"INT64","shape":[-1,16]})") != std::string::npos);
  model.schema.kind = validate::ModelKind::kEmbedding;
  model.schema.embedding_dimension = 384;
  CHECK(model_metadata_body(model).find(R"("datatype":"BYTES","shape":[-1])") != std::string::npos);
  CHECK(model_metadata_body(model).find("[-1,384]") != std::string::npos);
}
