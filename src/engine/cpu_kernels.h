// SPDX-License-Identifier: Apache-2.0
// Elementwise arithmetic over floats for the processor's widest registers. mlx's own on x86
// computes one number at a time (erf and exp were half of a BERT's time). Chosen at run time:
// AVX-512, AVX2, or baseline. No input is trusted or hostile here: lengths come from our own code.
#pragma once

#include <cstddef>
#include <span>

namespace mlxguard::engine {

/// out[i] = in[i] * (1 + erf(in[i] / sqrt(2))) / 2; `out` may be `in`. Error of erf: 1 ulp or so.
void gelu(const float* in, float* out, std::size_t count);

/// Softmax of scale * in over the first `used` of `length` numbers; the rest becomes 0. `out` may
/// be `in`; 1 <= used <= length.
void masked_softmax(const float* in, float* out, std::size_t length, std::size_t used, float scale);

/// One compilation of the functions above.
struct Kernels {
  const char* level;  ///< "avx512", "avx2" or "baseline"
  void (*gelu)(const float* in, float* out, std::size_t count);
  void (*masked_softmax)(const float* in, float* out, std::size_t length, std::size_t used,
                         float scale);
};
/// Those that this processor can run, the best first; the functions above call that one.
[[nodiscard]] std::span<const Kernels> available_kernels();

}  // namespace mlxguard::engine
