// SPDX-License-Identifier: Apache-2.0
// What the two sides of a task say to each other, from a hostile other side. The first byte chooses
// the task and the side: a payload for a worker, or a part for whoever asked.
#include <cstdint>

#include "base/check.h"
#include "task/table.h"

namespace {

using namespace mlxguard;

validate::ModelSchema schema_of(validate::ModelKind kind) {
  validate::ModelSchema schema;
  schema.kind = kind;
  schema.embedding_dimension = 2;
  if (kind == validate::ModelKind::kFunction) {
    schema.inputs = {{"x", validate::Dtype::kFp32, {{1, 4}, {2, 2}}, 0.0, 100.0}};
    schema.outputs = {{"y", validate::Dtype::kFp32, {{1, 4}}, {}, {}}};
  }
  return schema;
}

/// Takes what a task lets through, and checks that it is what it should be.
class Model final : public task::Model {
 public:
  explicit Model(validate::ModelKind kind) : schema_(schema_of(kind)) {}
  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }
  [[nodiscard]] Result<std::vector<validate::Tensor>> run(
      validate::ValidatedInputs inputs) override {
    MLXGUARD_CHECK(inputs.tensors().size() == 1);
    const validate::Tensor& x = inputs.tensors()[0];
    MLXGUARD_CHECK(x.shape.size() == 2 && x.shape[0] >= 1 && x.shape[0] <= 4 && x.shape[1] == 2);
    MLXGUARD_CHECK(x.data.size() == static_cast<std::size_t>(x.shape[0]) * 2 * sizeof(float));
    return std::vector<validate::Tensor>{};
  }
  [[nodiscard]] Result<std::unique_ptr<task::Embedding>> embed(
      std::vector<std::string> texts) override {
    MLXGUARD_CHECK(!texts.empty());
    for (const std::string& text : texts) MLXGUARD_CHECK(!text.empty());
    return make_error(ErrorCode::kEngineRun, "no model");
  }

 private:
  validate::ModelSchema schema_;
};

const char* body_of(validate::ModelKind kind) {
  return kind == validate::ModelKind::kEmbedding
             ? R"({"input": ["a", "b"]})"
             : R"({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]})";
}

void attack_worker(const task::Row& row, Bytes payload) {
  Model model(row.kind);
  const auto run = row.begin(model, payload);
  if (run) (void)(*run)->next();
}

void attack_asker(const task::Row& row, Bytes part) {
  task::Incoming incoming;
  incoming.body = body_of(row.kind);
  incoming.route = &row.routes[0];
  incoming.model = {"m", std::make_shared<const validate::ModelSchema>(schema_of(row.kind))};
  const auto job = row.decode(incoming);
  MLXGUARD_CHECK(job.has_value());
  const auto payload = (*job)->validate();
  MLXGUARD_CHECK(payload.has_value());
  const auto text = (*job)->encode_part(part);
  // No number that JSON cannot say, and no second part.
  if (text) {
    MLXGUARD_CHECK(text->find("null") == std::string::npos);
    MLXGUARD_CHECK(!(*job)->encode_part(part).has_value());
  }
  MLXGUARD_CHECK((*job)->encode_end({}).has_value() == text.has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest{data + 1, size - 1};
  const auto rows = task::table();
  const task::Row& row = rows[data[0] / 2 % rows.size()];
  if (data[0] % 2 == 0) {
    attack_worker(row, rest);
  } else {
    attack_asker(row, rest);
  }
  return 0;
}
