// SPDX-License-Identifier: Apache-2.0
// For tests and benchmarks of the engine: models made of bytes in memory, received as a worker
// receives them (sealed descriptors). No way around the seals: VerifiedModel::receive checks them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "signature/verified_model.h"
#include "task/model.h"

namespace mlxguard::engine::test {

using FileMap = std::map<std::string, std::string>;

[[nodiscard]] artifact::SnapshotFile sealed_file(const std::string& name, std::string_view bytes);
[[nodiscard]] signature::VerifiedModel model_of(const FileMap& files);
[[nodiscard]] FileMap read_folder(const std::filesystem::path& folder);
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// All steps of an embedding.
[[nodiscard]] Result<task::Vectors> embed(task::Model& model, std::vector<std::string> texts);

struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
/// A safetensors file of float32 tensors, in this order. `padding` spaces lengthen the header: a
/// length that is no multiple of 4 leaves the tensors unaligned.
[[nodiscard]] std::string safetensors_of(const std::vector<NamedTensor>& tensors,
                                         std::size_t padding = 0);

/// Runs one skipped test case of this program in a process of its own, with the environment of a
/// worker and one BLAS thread. True if it got to `end_alone`. Such a case uses REQUIRE only, and
/// its name has no comma (doctest's filter would split it).
[[nodiscard]] bool run_alone(const std::string& test_case);
[[noreturn]] void end_alone();

/// Once in a process: prepare_runtime and start_runtime.
void require_runtime();

}  // namespace mlxguard::engine::test
