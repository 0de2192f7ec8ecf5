// SPDX-License-Identifier: Apache-2.0
#include "task/embeddings.h"

#include <doctest/doctest.h>

#include <cmath>

#include "codec/json.h"
#include "task/test_messages.h"
#include "task/test_task.h"

using namespace mlxguard;
using namespace mlxguard::task;
using namespace mlxguard::task::test;

namespace {

validate::ModelSchema schema() {
  validate::ModelSchema schema;
  schema.kind = validate::ModelKind::kEmbedding;
  schema.embedding_dimension = 2;
  return schema;
}

/// A vector a text, one text a step.
class Lengths final : public Model {
 public:
  class OnItsWay final : public Embedding {
   public:
    OnItsWay(std::vector<std::string> texts, int& steps)
        : texts_(std::move(texts)), steps_(steps) {}
    [[nodiscard]] Result<bool> step() override {
      ++steps_;
      const auto size = texts_[out_.token_counts.size()].size();
      out_.dimension = 2;
      out_.values.push_back(static_cast<float>(size));
      out_.values.push_back(0.5f);
      out_.token_counts.push_back(static_cast<std::uint32_t>(size));
      return out_.token_counts.size() == texts_.size();
    }
    [[nodiscard]] Vectors take() override { return std::move(out_); }

   private:
    std::vector<std::string> texts_;
    int& steps_;
    Vectors out_;
  };
  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }
  [[nodiscard]] Result<std::unique_ptr<Embedding>> embed(std::vector<std::string> texts) override {
    return std::unique_ptr<Embedding>(std::make_unique<OnItsWay>(std::move(texts), steps));
  }
  int steps = 0;

 private:
  validate::ModelSchema schema_ = ::schema();
};

std::string answer_of(Model& model, const Row& row, std::size_t route, std::string_view body) {
  auto job = row.decode(incoming(row, route, body, served(schema())));
  REQUIRE(job.has_value());
  const auto payload = (*job)->validate();
  REQUIRE(payload.has_value());
  auto run = row.begin(model, *payload);
  REQUIRE(run.has_value());
  for (;;) {
    const auto step = (*run)->next();
    REQUIRE(step.has_value());
    if (!step->last) continue;
    const auto text = (*job)->encode_part(*step->part);
    REQUIRE(text.has_value());
    const auto end = (*job)->encode_end((*run)->usage());
    REQUIRE(end.has_value());
    CHECK((*job)->tokens() == static_cast<std::int64_t>((*run)->usage().tokens_in));
    return *text + *end;
  }
}

}  // namespace

TEST_CASE("embeddings: a request of OpenAI's form, one text a step") {
  Lengths model;
  const Row row = embeddings_row();
  CHECK(answer_of(model, row, 0, R"({"input": ["a", "bcd"]})") ==
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,0.5]},)"
        R"({"object":"embedding","index":1,"embedding":[3,0.5]}],"model":"m",)"
        R"("usage":{"prompt_tokens":4,"total_tokens":4}})");
  CHECK(model.steps == 2);
}

TEST_CASE("embeddings: base64 holds the same floats") {
  Lengths model;
  const Row row = embeddings_row();
  CHECK(answer_of(model, row, 0, R"({"input": "a", "encoding_format": "base64"})")
            .find(R"("embedding":"AACAPwAAAD8=")") != std::string::npos);
}

TEST_CASE("embeddings: the same over the Open Inference Protocol") {
  Lengths model;
  const Row row = embeddings_row();
  CHECK(answer_of(model, row, 1,
                  R"({"id": "7", "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES",)"
                  R"( "data": ["a", "bcd"]}]})") ==
        R"({"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"embedding",)"
        R"("shape":[2,2],"datatype":"FP32","data":[1,0.5,3,0.5]}]})");
}

TEST_CASE("embeddings: the model is named in the body where nobody else names it") {
  const Row row = embeddings_row();
  std::string asked;
  const auto code = [&](std::string_view body, validate::ModelSchema found) {
    Incoming one = incoming(row, 0, body, {});
    one.find = [&](std::string_view name) -> Result<Served> {
      asked = name;
      return served(found);
    };
    const auto job = row.decode(one);
    return job ? std::string() : std::string(name_of(job.error().code));
  };
  CHECK(code(R"({"model": "x", "input": "a"})", schema()).empty());
  CHECK(asked == "x");
  CHECK(code(R"({"input": "a"})", schema()) == "request.missing");
  CHECK(code(R"({"model": "x", "input": "a"})", {}) == "request.unknown");
  CHECK(code(R"({"model": "x", "input": "a", "dimensions": 3})", schema()) == "request.range");
  CHECK(code(R"({"model": "x", "input": "a", "dimensions": 2})", schema()).empty());
}

TEST_CASE("embeddings: texts are checked before they are sent, and again in the worker") {
  const Row row = embeddings_row();
  for (const char* body : {R"({"input": [""]})", R"({"input": "\u0000"})"}) {
    auto job = row.decode(incoming(row, 0, body, served(schema())));
    REQUIRE(job.has_value());
    const auto payload = (*job)->validate();
    REQUIRE(!payload.has_value());
    CHECK(payload.error().code == ErrorCode::kTextInvalid);
  }
  Lengths model;
  const auto code = [&](std::vector<std::string> texts) {
    return code_of(row.begin(model, encoded(TextsOnWire{std::move(texts)})));
  };
  CHECK(code({"a"}).empty());
  CHECK(model.steps == 1);
  CHECK(code({}) == "request.count");
  CHECK(code({"a", "\xff"}) == "request.text");
  CHECK(code({std::string("nul\0inside", 10)}) == "request.text");
  CHECK(code(std::vector<std::string>(100'001, "a")) == "request.too_large");
  CHECK(code_of(row.begin(model, std::vector<std::uint8_t>{1, 2, 3})) == "worker.protocol");
  CHECK(model.steps == 1);
}

TEST_CASE("embeddings: what a worker answers is checked") {
  const Row row = embeddings_row();
  const auto code = [&](VectorsOnWire rows, int parts = 1) {
    auto job = row.decode(incoming(row, 0, R"({"input": ["a", "b"]})", served(schema())));
    REQUIRE(job.has_value());
    REQUIRE((*job)->validate().has_value());
    for (;;) {
      const auto text = (*job)->encode_part(encoded(rows));
      if (!text) return std::string(name_of(text.error().code));
      if (--parts == 0) return std::string();
    }
  };
  const VectorsOnWire good{2, {1, 2, 3, 4}, {1, 1}};
  CHECK(code(good).empty());
  CHECK(code(good, 2) == "worker.protocol");
  CHECK(code({1, {1, 2}, {1, 1}}) == "engine.output_invalid");
  CHECK(code({0, {}, {1, 1}}) == "engine.output_invalid");
  CHECK(code({2, {1, 2, 3}, {1, 1}}) == "engine.output_invalid");
  CHECK(code({2, {1, 2, 3, 4, 5, 6}, {1, 1}}) == "engine.output_invalid");
  CHECK(code({2, {1, 2, 3, 4}, {1}}) == "engine.output_invalid");
  CHECK(code({2, {1, 2, 3, NAN}, {1, 1}}) == "engine.output_invalid");
  CHECK(code({2, {1, 2, INFINITY, 4}, {1, 1}}) == "engine.output_invalid");

  auto job = row.decode(incoming(row, 0, R"({"input": "a"})", served(schema())));
  REQUIRE((*job)->validate().has_value());
  CHECK((*job)->encode_end({}).error().code == ErrorCode::kWorkerProtocol);
  CHECK((*job)->encode_part(std::vector<std::uint8_t>{9}).error().code ==
        ErrorCode::kWorkerProtocol);
}

TEST_CASE("tasks: rows are found by name, and by path and kind") {
  CHECK(find_row(table(), "embeddings")->name == "embeddings");
  CHECK(find_row(table(), "nothing") == nullptr);
  const std::string path = "/v2/models/{model}/infer";
  CHECK(find_row(table(), path, validate::ModelKind::kEmbedding)->name == "embeddings");
  CHECK(find_row(table(), path, validate::ModelKind::kFunction)->name == "tensors");
  CHECK(find_row(table(), "/v1/embeddings", validate::ModelKind::kFunction) == nullptr);
}

TEST_CASE("tasks: a worker begins the tasks of its model and no other") {
  Lengths model;
  const call::Begin begin = begin_with(table(), model);
  const auto payload = encoded(TextsOnWire{{"a"}});
  CHECK(code_of(begin({"embeddings", payload, {}})).empty());
  CHECK(code_of(begin({"tensors", payload, {}})) == "request.type");
  CHECK(code_of(begin({"nothing", payload, {}})) == "worker.protocol");
}
