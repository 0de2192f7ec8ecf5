// SPDX-License-Identifier: Apache-2.0
// The messages of the tasks, as a process that does not share our code would write them: for tests
// and for the gateway's harness. They are written down a second time on purpose, so that a change
// of the tasks' own messages is noticed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlxguard::task::test {

struct TextsOnWire {
  std::vector<std::string> texts;
  template <class Archive>
  void visit(Archive& archive) {
    archive(texts);
  }
};
struct VectorsOnWire {
  std::uint32_t dimension = 0;
  std::vector<float> values{};
  std::vector<std::uint32_t> token_counts{};
  template <class Archive>
  void visit(Archive& archive) {
    archive(dimension), archive(values), archive(token_counts);
  }
};
struct TensorOnWire {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> data;
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(dtype), archive(shape), archive(data);
  }
};
struct TensorsOnWire {
  std::vector<TensorOnWire> tensors;
  template <class Archive>
  void visit(Archive& archive) {
    archive(tensors);
  }
};

}  // namespace mlxguard::task::test
