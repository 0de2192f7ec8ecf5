// SPDX-License-Identifier: Apache-2.0
// The table of tasks: every kind of request to a model. A new one is one file, its test and one
// row; the gateway, `mlxguard run` and the worker all walk these rows.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "call/run.h"
#include "task/job.h"
#include "task/model.h"
#include "task/route.h"

namespace mlxguard::task {

struct Row {
  std::string_view name;  ///< between the processes, and in events
  std::string_view meaning;
  validate::ModelKind kind;       ///< of the models that do it
  std::span<const Route> routes;  ///< the first one is how `mlxguard run` reads a body
  /// The asker's side. The model of `incoming`, if it is set, is of this kind.
  Result<std::unique_ptr<Job>> (*decode)(const Incoming& incoming);
  /// The worker's side. The asker may be compromised: `payload` is checked again.
  Result<std::unique_ptr<call::Run>> (*begin)(Model& model, Bytes payload);
};

/// The product's tasks.
[[nodiscard]] std::span<const Row> table();

/// The row of this name, or nullptr.
[[nodiscard]] const Row* find_row(std::span<const Row> rows, std::string_view name);

/// The row whose model is of this kind among those that are asked by this path, or nullptr.
[[nodiscard]] const Row* find_row(std::span<const Row> rows, std::string_view pattern,
                                  validate::ModelKind kind);

/// How a worker begins calls. A task of another kind than the model's is kRequestType, one that is
/// in no row kWorkerProtocol. Rows and model outlive it.
[[nodiscard]] call::Begin begin_with(std::span<const Row> rows, Model& model);

}  // namespace mlxguard::task
