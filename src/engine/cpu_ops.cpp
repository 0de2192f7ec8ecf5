// SPDX-License-Identifier: Apache-2.0
#include "engine/cpu_ops.h"

#include <mlx/backend/cpu/encoder.h>
#include <mlx/ops.h>
#include <mlx/primitives.h>

#include <stdexcept>

#include "base/check.h"
#include "engine/cpu_kernels.h"

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

/// One float32 array in, one of the same shape out; computed in place where mlx may reuse the
/// input.
class CpuOp : public mx::UnaryPrimitive {
 public:
  using mx::UnaryPrimitive::UnaryPrimitive;
  void eval_gpu(const std::vector<mx::array>&, mx::array&) override {
    throw std::runtime_error("this operation runs on the CPU only");
  }
  void eval_cpu(const std::vector<mx::array>& inputs, mx::array& out) override {
    const mx::array& in = inputs[0];
    MLXGUARD_CHECK(in.flags().row_contiguous && in.dtype() == mx::float32);
    if (in.is_donatable()) {
      out.copy_shared_buffer(in);
    } else {
      out.set_data(mx::allocator::malloc(out.nbytes()));
    }
    auto& encoder = mx::cpu::get_command_encoder(stream());
    encoder.set_input_array(in);
    encoder.set_output_array(out);
    encoder.dispatch([compute = task(), in = mx::array::unsafe_weak_copy(in),
                      out = mx::array::unsafe_weak_copy(out)]() mutable {
      compute(in.data<float>(), out.data<float>(), in.size());
    });
  }

 protected:
  using Task = std::function<void(const float* in, float* out, std::size_t count)>;
  /// What to compute later, on the stream's thread; may outlive this object.
  [[nodiscard]] virtual Task task() const = 0;
};

class Gelu final : public CpuOp {
 public:
  using CpuOp::CpuOp;
  [[nodiscard]] const char* name() const override { return "mlxguard::Gelu"; }

 protected:
  [[nodiscard]] Task task() const override { return gelu; }
};

class MaskedSoftmax final : public CpuOp {
 public:
  MaskedSoftmax(mx::Stream stream, std::size_t row_length, std::size_t rows_each,
                std::vector<int> lengths, float scale)
      : CpuOp(stream),
        row_length_(row_length),
        rows_each_(rows_each),
        lengths_(std::move(lengths)),
        scale_(scale) {}
  [[nodiscard]] const char* name() const override { return "mlxguard::MaskedSoftmax"; }

 protected:
  [[nodiscard]] Task task() const override {
    return [length = row_length_, rows = rows_each_, lengths = lengths_, scale = scale_](
               const float* in, float* out, std::size_t count) {
      MLXGUARD_CHECK(count == length * rows * lengths.size());
      for (const int used : lengths) {
        for (std::size_t row = 0; row < rows; ++row, in += length, out += length) {
          masked_softmax(in, out, length, static_cast<std::size_t>(used), scale);
        }
      }
    };
  }

 private:
  std::size_t row_length_;
  std::size_t rows_each_;  ///< of one text: heads * queries
  std::vector<int> lengths_;
  float scale_;
};

mx::array add_to_graph(const mx::array& in, std::shared_ptr<CpuOp> op) {
  return mx::array(in.shape(), mx::float32, std::move(op), {mx::contiguous(in)});
}

mx::Stream cpu_stream() { return mx::default_stream(mx::Device::cpu); }

}  // namespace

mx::array gelu_op(const mx::array& x) {
  return add_to_graph(x, std::make_shared<Gelu>(cpu_stream()));
}

mx::array masked_softmax_op(const mx::array& scores, std::vector<int> lengths, float scale) {
  MLXGUARD_CHECK(scores.ndim() == 4 && scores.shape(0) == static_cast<int>(lengths.size()));
  const auto rows_each =
      static_cast<std::size_t>(scores.shape(1)) * static_cast<std::size_t>(scores.shape(2));
  return add_to_graph(scores, std::make_shared<MaskedSoftmax>(
                                  cpu_stream(), static_cast<std::size_t>(scores.shape(3)),
                                  rows_each, std::move(lengths), scale));
}

}  // namespace mlxguard::engine
