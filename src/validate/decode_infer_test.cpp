// SPDX-License-Identifier: Apache-2.0
#include "validate/decode_infer.h"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <optional>

#include "validate/check.h"

using namespace mlxguard;
using namespace mlxguard::validate;

namespace {

ModelSchema schema_of(Dtype dtype) {
  ModelSchema schema;
  schema.inputs.push_back(TensorSpec{"x", dtype, {Dimension{0, 64}, Dimension{3, 3}}, {}, {}});
  schema.outputs.push_back(TensorSpec{"y", Dtype::kFp32, {Dimension{0, 64}}, {}, {}});
  schema.outputs.push_back(TensorSpec{"z", Dtype::kFp32, {Dimension{0, 64}}, {}, {}});
  return schema;
}

std::string body_of(const std::string& shape, const std::string& data,
                    const std::string& datatype = "FP32", const std::string& more = "") {
  return R"({"inputs":[{"name":"x","shape":)" + shape + R"(,"datatype":")" + datatype +
         R"(","data":)" + data + more + "}]}";
}

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  std::memcpy(values.data(), tensor.data.data(), values.size() * sizeof(T));
  return values;
}

void refuse(const std::string& body, ErrorCode code, Dtype dtype = Dtype::kFp32) {
  const auto request = decode_infer_request(body, schema_of(dtype));
  INFO(body);
  REQUIRE(!request.has_value());
  CHECK(request.error().code == code);
  CHECK(request.error().message.find("SECRET") == std::string::npos);
  CHECK(request.error().subject.find("SECRET") == std::string::npos);
}

template <class T>
void takes(Dtype dtype, const std::string& data, const std::vector<T>& expected) {
  const auto request =
      decode_infer_request(body_of("[1,3]", data, std::string(name_of(dtype))), schema_of(dtype));
  INFO(data);
  REQUIRE(request.has_value());
  CHECK(values_of<T>(request->inputs[0]) == expected);
}

}  // namespace

TEST_CASE("infer: flat and nested data give the same tensor") {
  const ModelSchema schema = schema_of(Dtype::kFp32);
  for (const char* data : {"[1,2,3,4.5,-5,6e0]", "[[1,2,3],[4.5,-5,6]]"}) {
    const auto request = decode_infer_request(body_of("[2,3]", data), schema);
    REQUIRE(request.has_value());
    CHECK(request->inputs[0].name == "x");
    CHECK(request->inputs[0].shape == Shape{2, 3});
    CHECK(values_of<float>(request->inputs[0]) == std::vector<float>{1, 2, 3, 4.5, -5, 6});
    CHECK(request->envelope.outputs == std::vector<std::size_t>{0, 1});
    CHECK(check_inputs(schema, request->inputs).has_value());
  }
  CHECK(decode_infer_request(body_of("[0,3]", "[]"), schema).has_value());
}

TEST_CASE("infer: nested data is nested exactly as the shape says") {
  refuse(body_of("[2,3]", "[[1,2],[3,4],[5,6]]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[[1,2,3]]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[[1,2,3],[4,5]]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[[1,2,3],[4,5,6],[7,8,9]]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[[1,2,3],4]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[[1,2,3],[4,5,[6]]]"), ErrorCode::kRequestType);
  refuse(body_of("[2,3]", "[[[1,2,3],[4,5,6]]]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[1,2,3,4,5,[6]]"), ErrorCode::kRequestType);
  refuse(body_of("[6]", "[[1],[2],[3],[4],[5],[6]]"), ErrorCode::kRequestType);
  refuse(body_of("[6]", "[[1,2,3],[4,5,6]]"), ErrorCode::kRequestType);
  refuse(body_of("[2]", "[[1],[2,3]]"), ErrorCode::kRequestType);
}

TEST_CASE("infer: the number of elements is the product of the shape") {
  refuse(body_of("[2,3]", "[1,2,3,4,5]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[1,2,3,4,5,6,7]"), ErrorCode::kRequestCount);
  refuse(body_of("[2,3]", "[]"), ErrorCode::kRequestCount);
  refuse(body_of("[0,3]", "[1]"), ErrorCode::kRequestCount);
}

TEST_CASE("infer: shapes are small lists of non-negative integers") {
  refuse(body_of("[-2,-3]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[2147483648]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[18446744073709551615]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[2147483647,2147483647]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[4294967296,4294967296]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[1,1,1,1,1,1,1,1,1]", "[1]"), ErrorCode::kRequestShape);
  refuse(body_of("[1.0,3]", "[1,2,3]"), ErrorCode::kRequestType);
  refuse(body_of("[[1],3]", "[1,2,3]"), ErrorCode::kRequestType);
  refuse(body_of("[null]", "[1]"), ErrorCode::kRequestType);
  refuse(body_of("3", "[1,2,3]"), ErrorCode::kRequestType);
  refuse(body_of("\"[1,3]\"", "[1,2,3]"), ErrorCode::kRequestType);
}

TEST_CASE("infer: elements are of the declared type") {
  refuse(body_of("[1,3]", "[1,2,null]"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,\"3\"]"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,true]"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,{}]"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "\"SECRET\""), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "7"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "{\"0\":1}"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,NaN]"), ErrorCode::kJsonSyntax);
  refuse(body_of("[1,3]", "[1,2,Infinity]"), ErrorCode::kJsonSyntax);
  refuse(body_of("[1,3]", "[1,2,1e999]"), ErrorCode::kJsonSyntax);
  refuse(body_of("[1,3]", "[1,2,3.0]", "INT32"), ErrorCode::kRequestType, Dtype::kInt32);
  refuse(body_of("[1,3]", "[0,1,true]", "BOOL"), ErrorCode::kRequestType, Dtype::kBool);
}

TEST_CASE("infer: numbers that the type cannot hold are refused, its extremes are not") {
  refuse(body_of("[1,3]", "[1,2,3.5e38]"), ErrorCode::kRequestRange);
  refuse(body_of("[1,3]", "[1,2,-1e300]"), ErrorCode::kRequestRange);
  refuse(body_of("[1,3]", "[1,2,65520]", "FP16"), ErrorCode::kRequestRange, Dtype::kFp16);
  refuse(body_of("[1,3]", "[1,2,1e39]", "BF16"), ErrorCode::kRequestRange, Dtype::kBf16);
  refuse(body_of("[1,3]", "[0,0,256]", "UINT8"), ErrorCode::kRequestRange, Dtype::kUint8);
  refuse(body_of("[1,3]", "[0,0,-1]", "UINT8"), ErrorCode::kRequestRange, Dtype::kUint8);
  refuse(body_of("[1,3]", "[0,0,-129]", "INT8"), ErrorCode::kRequestRange, Dtype::kInt8);
  refuse(body_of("[1,3]", "[0,0,2147483648]", "INT32"), ErrorCode::kRequestRange, Dtype::kInt32);
  refuse(body_of("[1,3]", "[0,0,9223372036854775808]", "INT64"), ErrorCode::kRequestRange,
         Dtype::kInt64);
  refuse(body_of("[1,3]", "[0,0,-1]", "UINT64"), ErrorCode::kRequestRange, Dtype::kUint64);
  // Thirty digits fit no integer type; the JSON library refuses them.
  refuse(body_of("[1,3]", "[0,0,123456789012345678901234567890]", "UINT64"), ErrorCode::kJsonSyntax,
         Dtype::kUint64);

  takes<std::uint8_t>(Dtype::kBool, "[true,false,true]", {1, 0, 1});
  takes<std::uint8_t>(Dtype::kUint8, "[0,255,1]", {0, 255, 1});
  takes<std::int8_t>(Dtype::kInt8, "[-128,127,0]", {-128, 127, 0});
  takes<std::uint16_t>(Dtype::kUint16, "[0,65535,1]", {0, 65535, 1});
  takes<std::int16_t>(Dtype::kInt16, "[-32768,32767,0]", {-32768, 32767, 0});
  takes<std::uint32_t>(Dtype::kUint32, "[0,4294967295,1]", {0, 4294967295u, 1});
  takes<std::int32_t>(Dtype::kInt32, "[-2147483648,2147483647,0]",
                      {std::numeric_limits<std::int32_t>::min(), 2147483647, 0});
  takes<std::uint64_t>(Dtype::kUint64, "[0,18446744073709551615,9007199254740993]",
                       {0, 18446744073709551615ull, 9007199254740993ull});
  takes<std::int64_t>(Dtype::kInt64, "[-9223372036854775808,9223372036854775807,9007199254740993]",
                      {std::numeric_limits<std::int64_t>::min(),
                       std::numeric_limits<std::int64_t>::max(), 9007199254740993ll});
  takes<std::uint16_t>(Dtype::kFp16, "[1,-2,65504]", {0x3c00, 0xc000, 0x7bff});
  takes<std::uint16_t>(Dtype::kBf16, "[1,-2,0]", {0x3f80, 0xc000, 0});
  takes<double>(Dtype::kFp64, "[1e308,-0.1,3]", {1e308, -0.1, 3});
}

TEST_CASE("infer: names, types and members are the schema's") {
  refuse(R"({"inputs":[{"name":"SECRET","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]})",
         ErrorCode::kRequestUnknown);
  refuse(body_of("[1,3]", "[1,2,3]", "FP64"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,3]", "SECRET"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,3]", "BYTES"), ErrorCode::kRequestType);
  refuse(body_of("[1,3]", "[1,2,3]", "FP32", R"(,"SECRET":1)"), ErrorCode::kRequestUnknown);
  refuse(R"({"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32"}]})",
         ErrorCode::kRequestMissing);
  refuse(R"({"inputs":[{"name":"x","shape":[1,3],"data":[1,2,3]}]})", ErrorCode::kRequestMissing);
  refuse(R"({"inputs":[{"name":"x","datatype":"FP32","data":[1,2,3]}]})",
         ErrorCode::kRequestMissing);
  refuse(R"({"inputs":[{"shape":[1,3],"datatype":"FP32","data":[1,2,3]}]})",
         ErrorCode::kRequestMissing);
  refuse(R"({"inputs":[7]})", ErrorCode::kRequestType);
  refuse(R"({"inputs":{}})", ErrorCode::kRequestType);
  refuse(R"({"SECRET":1,"inputs":[]})", ErrorCode::kRequestUnknown);
  refuse("{}", ErrorCode::kRequestMissing);
  refuse("[1]", ErrorCode::kRequestSyntax);
  refuse(R"({"inputs":[{},{},{}]})", ErrorCode::kRequestUnknown);
}

TEST_CASE("infer: the binary tensor extension is refused with a word of help") {
  const std::string body =
      R"({"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}]})";
  refuse(body, ErrorCode::kRequestUnknown);
  const auto request = decode_infer_request(body, schema_of(Dtype::kFp32));
  CHECK(request.error().message.find("binary_data=False") != std::string::npos);
}

TEST_CASE("infer: a client may ask for outputs by name, each once") {
  const ModelSchema schema = schema_of(Dtype::kFp32);
  const auto with_outputs = [](const std::string& outputs) {
    return R"({"id":"7","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"outputs":)" +
           outputs + "}";
  };
  const auto request = decode_infer_request(
      with_outputs(R"([{"name":"z","parameters":{"binary_data":true}},{"name":"y"}])"), schema);
  REQUIRE(request.has_value());
  CHECK(request->envelope.id == "7");
  CHECK(request->envelope.outputs == std::vector<std::size_t>{1, 0});
  CHECK(decode_infer_request(with_outputs("[]"), schema).value().envelope.outputs.size() == 2);
  refuse(with_outputs(R"([{"name":"SECRET"}])"), ErrorCode::kRequestUnknown);
  refuse(with_outputs(R"([{"name":"y"},{"name":"y"}])"), ErrorCode::kRequestUnknown);
  refuse(with_outputs(R"([{"name":"y","parameters":{"classification":3}}])"),
         ErrorCode::kRequestUnknown);
  refuse(with_outputs("7"), ErrorCode::kRequestType);
  refuse(R"({"id":7,"inputs":[]})", ErrorCode::kRequestType);
  refuse(R"({"id":")" + std::string(300, 'i') + R"(","inputs":[]})", ErrorCode::kRequestTooLarge);
  refuse(R"({"parameters":{"SECRET":1},"inputs":[]})", ErrorCode::kRequestUnknown);
  refuse(R"({"parameters":7,"inputs":[]})", ErrorCode::kRequestType);
  CHECK(decode_infer_request(R"({"parameters":{"binary_data_output":true},"inputs":[]})", schema)
            .has_value());
}

TEST_CASE("infer: an embedding model takes one BYTES tensor of texts") {
  const TextLimits limits{.texts_max = 2, .text_bytes_max = 100};
  const auto body = [](const std::string& shape, const std::string& datatype,
                       const std::string& data) {
    return R"({"id":"a","inputs":[{"name":"text","shape":)" + shape + R"(,"datatype":")" +
           datatype + R"(","data":)" + data + "}]}";
  };
  const auto request = decode_text_infer_request(body("[2]", "BYTES", R"(["a","b"])"), limits);
  REQUIRE(request.has_value());
  CHECK(request->envelope.id == "a");
  CHECK(request->texts == std::vector<std::string>{"a", "b"});
  const auto code = [&](const std::string& text) {
    return decode_text_infer_request(text, limits).error().code;
  };
  CHECK(code(body("[1]", "BYTES", R"(["a","b"])")) == ErrorCode::kRequestCount);
  CHECK(code(body("[2,1]", "BYTES", R"(["a","b"])")) == ErrorCode::kRequestShape);
  CHECK(code(body("[2]", "FP32", R"(["a","b"])")) == ErrorCode::kRequestType);
  CHECK(code(body("[2]", "BYTES", R"(["a",1])")) == ErrorCode::kRequestType);
  CHECK(code(body("[3]", "BYTES", R"(["a","b","c"])")) == ErrorCode::kRequestTooLarge);
  CHECK(code(R"({"inputs":[]})") == ErrorCode::kRequestMissing);
  CHECK(code(R"({"inputs":[{"name":"x"}]})") == ErrorCode::kRequestUnknown);
}
