// SPDX-License-Identifier: Apache-2.0
#include "engine/function.h"

#include <doctest/doctest.h>
#include <mlx/export.h>
#include <mlx/ops.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "engine/test_support.h"

using namespace mlxguard;
using engine::test::FileMap;
using engine::test::model_of;
using validate::Tensor;
namespace mx = mlx::core;

namespace {

using Function = std::function<std::vector<mx::array>(const mx::Args&)>;
enum class Shapes : std::uint8_t { kFixed, kShapeless };

std::string exported(const Function& function, const mx::Args& arguments,
                     Shapes shapes = Shapes::kFixed) {
  engine::test::require_runtime();
  const auto path = std::filesystem::temp_directory_path() /
                    ("mlxguard-function-" + std::to_string(::getpid()) + ".mlxfn");
  mx::export_function(path.string(), function, arguments, shapes == Shapes::kShapeless);
  std::string bytes = engine::test::read_file(path);
  std::filesystem::remove(path);
  return bytes;
}

/// y = x @ w + 1, w of ones [3, 2].
std::string product_function(Shapes shapes = Shapes::kFixed) {
  const mx::array w = mx::ones({3, 2});
  return exported(
      [w](const mx::Args& in) {
        return std::vector<mx::array>{mx::add(mx::matmul(in[0], w), mx::array(1.0f))};
      },
      {mx::zeros({2, 3})}, shapes);
}

std::string manifest(const std::string& input_shape, const std::string& output_shape,
                     const std::string& more = "") {
  return R"({"format":"mlxguard.function/1","function":"model.mlxfn",)"
         R"("inputs":[{"name":"x","datatype":"FP32","shape":)" +
         input_shape + more + R"(}],"outputs":[{"name":"y","datatype":"FP32","shape":)" +
         output_shape + "}]}";
}

FileMap product_files(Shapes shapes = Shapes::kFixed) {
  return {{"model.mlxfn", product_function(shapes)}, {"mlxguard.json", manifest("[2,3]", "[2,2]")}};
}

Tensor floats(const std::string& name, validate::Shape shape, const std::vector<float>& values) {
  Tensor tensor{name, validate::Dtype::kFp32, std::move(shape), {}};
  tensor.data.resize(values.size() * sizeof(float));
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(tensor.data.size() / sizeof(float));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

Result<std::vector<Tensor>> run(engine::Model& model, std::vector<Tensor> inputs) {
  MLXGUARD_TRY_ASSIGN(auto validated, validate::check_inputs(model.schema(), std::move(inputs)));
  return model.run(std::move(validated));
}

std::unique_ptr<engine::Model> loaded(const FileMap& files) {
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

}  // namespace

TEST_CASE("function: an exported function runs on validated inputs, without any path") {
  const auto model = loaded(product_files());
  const auto outputs = run(*model, {floats("x", {2, 3}, {1, 2, 3, 4, 5, 6})});
  REQUIRE(outputs.has_value());
  REQUIRE(outputs->size() == 1);
  CHECK(outputs->front().name == "y");
  CHECK(outputs->front().dtype == validate::Dtype::kFp32);
  CHECK(outputs->front().shape == validate::Shape{2, 2});
  CHECK(values_of(outputs->front()) == std::vector<float>{7, 7, 16, 16});
}

TEST_CASE("function: outputs that are views are answered row by row") {
  const FileMap files{
      {"model.mlxfn",
       exported([](const mx::Args& in) { return std::vector<mx::array>{mx::transpose(in[0])}; },
                {mx::zeros({2, 3})})},
      {"mlxguard.json", manifest("[2,3]", "[3,2]")}};
  const auto outputs = run(*loaded(files), {floats("x", {2, 3}, {1, 2, 3, 4, 5, 6})});
  REQUIRE(outputs.has_value());
  CHECK(values_of(outputs->front()) == std::vector<float>{1, 4, 2, 5, 3, 6});
}

TEST_CASE(
    "function: a shapeless function takes the shapes of its manifest, and no other reaches it") {
  FileMap files = product_files(Shapes::kShapeless);
  files["mlxguard.json"] = manifest(R"([{"min":1,"max":4},3])", R"([{"min":1,"max":4},2])");
  const auto model = loaded(files);
  CHECK(run(*model, {floats("x", {4, 3}, std::vector<float>(12, 1))}).has_value());
  // mlx would read behind the weights here.
  const auto wide = run(*model, {floats("x", {1, 1024}, std::vector<float>(1024, 1))});
  REQUIRE(!wide.has_value());
  CHECK(wide.error().code == ErrorCode::kRequestShape);
}

TEST_CASE("function: an answer with NaN or infinity is an error, zeros at load are not judged") {
  const FileMap files{
      {"model.mlxfn",
       exported([](const mx::Args& in) { return std::vector<mx::array>{mx::log(in[0])}; },
                {mx::zeros({2})})},
      {"mlxguard.json", manifest("[2]", "[2]")}};
  const auto model = loaded(files);
  CHECK(run(*model, {floats("x", {2}, {1, 2})}).has_value());
  for (const float bad : {0.0f, -1.0f}) {
    const auto outputs = run(*model, {floats("x", {2}, {1, bad})});
    REQUIRE(!outputs.has_value());
    CHECK(outputs.error().code == ErrorCode::kOutputInvalid);
  }
}

TEST_CASE("function: a manifest that the function contradicts is refused at load") {
  const auto code_for = [](const std::string& input, const std::string& output) {
    FileMap files = product_files();
    files["mlxguard.json"] = manifest(input, output);
    return error_of(files).code;
  };
  CHECK(code_for("[2,4]", "[2,2]") == ErrorCode::kManifestInvalid);
  CHECK(code_for("[3]", "[2,2]") == ErrorCode::kManifestInvalid);
  CHECK(code_for("[2,3]", "[2,3]") == ErrorCode::kManifestInvalid);
  CHECK(code_for("[2,3]", "[4]") == ErrorCode::kManifestInvalid);
  const auto code_with = [](const std::string& from, const std::string& to) {
    FileMap files = product_files();
    std::string& text = files["mlxguard.json"];
    text.replace(text.rfind(from), from.size(), to);
    return error_of(files).code;
  };
  CHECK(code_with("FP32", "FP64") == ErrorCode::kManifestInvalid);
  CHECK(
      code_with(R"({"name":"y")", R"({"name":"z","datatype":"FP32","shape":[2,2]},{"name":"y")") ==
      ErrorCode::kManifestInvalid);
}

TEST_CASE("function: the value range of the manifest is respected when the function is tried") {
  FileMap files = product_files();
  files["mlxguard.json"] = manifest("[2,3]", "[2,2]", R"(,"min":2.5,"max":3)");
  const auto model = loaded(files);
  const auto outputs = run(*model, {floats("x", {2, 3}, {1, 2, 3, 3, 3, 3})});
  REQUIRE(!outputs.has_value());
  CHECK(outputs.error().code == ErrorCode::kRequestRange);
}

TEST_CASE("function: refuses a malformed file before mlx sees it, and a model without it") {
  FileMap files = product_files();
  files["model.mlxfn"] = "not a function";
  CHECK(error_of(files).code == ErrorCode::kMlxfn);
  files["model.mlxfn"] = "";
  CHECK(error_of(files).code == ErrorCode::kMlxfn);
  files.erase("model.mlxfn");
  CHECK(error_of(files).code == ErrorCode::kManifestInvalid);
  files = product_files();
  const std::string whole = files["model.mlxfn"];
  for (std::size_t size = 0; size < whole.size(); size += whole.size() / 16) {
    CAPTURE(size);
    files["model.mlxfn"] = whole.substr(0, size);
    CHECK(error_of(files).code == ErrorCode::kMlxfn);
  }
  files["model.mlxfn"] = whole + "x";  // mlx does not look behind the last function
  CHECK(error_of(files).code == ErrorCode::kMlxfn);
}

TEST_CASE("function: two models in one process do not share a read position") {
  const auto first = loaded(product_files());
  const auto second = loaded(product_files());
  CHECK(run(*first, {floats("x", {2, 3}, {1, 1, 1, 1, 1, 1})}).has_value());
  CHECK(run(*second, {floats("x", {2, 3}, {1, 1, 1, 1, 1, 1})}).has_value());
}

TEST_CASE("function: takes no text") {
  const std::vector<std::string> texts{"text"};
  const auto embeddings = loaded(product_files())->embed(texts);
  REQUIRE(!embeddings.has_value());
  CHECK(embeddings.error().code == ErrorCode::kRequestType);
}
