// SPDX-License-Identifier: Apache-2.0
#include "task/table.h"

#include <algorithm>

#include "task/embeddings.h"
#include "task/tensors.h"

namespace mlxguard::task {
namespace {

const Row kRows[] = {embeddings_row(), tensors_row()};

}  // namespace

std::span<const Row> table() { return kRows; }

const Row* find_row(std::span<const Row> rows, std::string_view name) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [name](const Row& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

const Row* find_row(std::span<const Row> rows, std::string_view pattern, validate::ModelKind kind) {
  for (const Row& row : rows) {
    if (row.kind != kind) continue;
    for (const Route& route : row.routes) {
      if (route.pattern == pattern) return &row;
    }
  }
  return nullptr;
}

call::Begin begin_with(std::span<const Row> rows, Model& model) {
  return [rows, &model](const call::Opening& opening) -> Result<std::unique_ptr<call::Run>> {
    const Row* const row = find_row(rows, opening.task);
    if (row == nullptr) return make_error(ErrorCode::kWorkerProtocol, "no such task");
    if (row->kind != model.schema().kind) {
      return make_error(ErrorCode::kRequestType, "the model does not do this task");
    }
    return row->begin(model, opening.payload);
  };
}

Result<std::vector<validate::Tensor>> Model::run(validate::ValidatedInputs) {
  return make_error(ErrorCode::kRequestType, "this model takes text, not tensors");
}

Result<std::unique_ptr<Embedding>> Model::embed(std::vector<std::string>) {
  return make_error(ErrorCode::kRequestType, "this model takes tensors, not text");
}

}  // namespace mlxguard::task
