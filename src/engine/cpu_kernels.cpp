// SPDX-License-Identifier: Apache-2.0
// Written with the compiler's vector types: sixteen floats wide, which it splits where registers
// are narrower. Each kernel is compiled three times by inlining one body into functions of
// different targets.
#include "engine/cpu_kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"

#define MLXGUARD_INLINE inline __attribute__((always_inline))
// Vectors never cross a call that is not inlined, so how a call would pass them does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mlxguard::engine {
namespace {

constexpr std::size_t kWidth = 16;
typedef float Floats __attribute__((vector_size(kWidth * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(kWidth * sizeof(float))));

MLXGUARD_INLINE Floats all(float value) { return Floats{} + value; }

MLXGUARD_INLINE Floats load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
MLXGUARD_INLINE Floats load_some(const float* from, std::size_t count, float rest) {
  Floats v = all(rest);
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}
MLXGUARD_INLINE void store(float* to, Floats v) { std::memcpy(to, &v, sizeof(v)); }
MLXGUARD_INLINE void store_some(float* to, Floats v, std::size_t count) {
  std::memcpy(to, &v, count * sizeof(float));
}

MLXGUARD_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }

/// e^x for x of -87.3 to 88.3; beyond, the value at the bound. Below 1 ulp. NaN stays NaN: a
/// model's broken number must reach the check of its output.
MLXGUARD_INLINE Floats exp_of(Floats x) {
  constexpr float kRound = 12582912.0f;  // adding 1.5 * 2^23 leaves no bits behind the point
  x = x < -87.3f ? all(-87.3f) : x;
  x = x > 88.3f ? all(88.3f) : x;
  const Floats n = (x * 1.44269504f + kRound) - kRound;
  // ln 2 in two parts, so that the product with n is exact enough to subtract.
  const Floats r = x - n * 0.693145752f - n * 1.42860677e-6f;
  Floats p = r * 1.37805939e-3f + 8.37312452e-3f;
  p = p * r + 4.16695364e-2f;
  p = p * r + 1.66664720e-1f;
  p = p * r + 4.99999851e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats factor;
  std::memcpy(&factor, &power, sizeof(factor));
  return p * factor;
}

/// Two polynomials, chosen by |x|; both are computed. Below 1.2 ulp.
MLXGUARD_INLINE Floats erf_of(Floats x) {
  const Floats t = x < 0.0f ? -x : x;
  const Floats s = x * x;
  Floats far = t * -1.72853470e-5f + 3.83197126e-4f;
  far = far * s + (t * -3.88396438e-3f + 2.42546219e-2f);
  far = far * t - 1.06777877e-1f;
  far = far * t - 6.34846687e-1f;
  far = far * t - 1.28717512e-1f;
  far = far * t - t;
  far = 1.0f - exp_of(far);
  far = x < 0.0f ? -far : far;
  Floats near = s * -5.96761703e-4f + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  return t > 0.927734375f ? far : near;
}

MLXGUARD_INLINE Floats gelu_of(Floats x) { return x * 0.5f * (erf_of(x * 0.707106781f) + 1.0f); }

MLXGUARD_INLINE float sum_of(Floats v) {
  float sum = 0;
  for (std::size_t i = 0; i < kWidth; ++i) sum += v[i];
  return sum;
}
MLXGUARD_INLINE float max_of(Floats v) {
  float largest = v[0];
  for (std::size_t i = 1; i < kWidth; ++i) largest = std::max(largest, v[i]);
  return largest;
}

MLXGUARD_INLINE void gelu_body(const float* in, float* out, std::size_t count) {
  std::size_t at = 0;
  for (; at + kWidth <= count; at += kWidth) store(out + at, gelu_of(load(in + at)));
  if (at < count) store_some(out + at, gelu_of(load_some(in + at, count - at, 0)), count - at);
}

MLXGUARD_INLINE void softmax_body(const float* in, float* out, std::size_t length, std::size_t used,
                                  float scale) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  const std::size_t whole = used - used % kWidth;
  const std::size_t rest = used - whole;
  Floats largest = all(kLowest);
  for (std::size_t at = 0; at < whole; at += kWidth) largest = larger(largest, load(in + at));
  if (rest > 0) largest = larger(largest, load_some(in + whole, rest, kLowest));
  const float top = max_of(largest);
  Floats total{};
  for (std::size_t at = 0; at < whole; at += kWidth) {
    const Floats e = exp_of((load(in + at) - top) * scale);
    total += e;
    store(out + at, e);
  }
  if (rest > 0) {
    const Floats e = exp_of((load_some(in + whole, rest, top) - top) * scale);
    store_some(out + whole, e, rest);
    total += load_some(out + whole, rest, 0);
  }
  const float share = 1.0f / sum_of(total);
  for (std::size_t at = 0; at < whole; at += kWidth) store(out + at, load(out + at) * share);
  for (std::size_t at = whole; at < used; ++at) out[at] *= share;
  std::fill(out + used, out + length, 0.0f);
}

#define MLXGUARD_KERNELS(name, attribute)                                                          \
  attribute void gelu_##name(const float* in, float* out, std::size_t count) {                     \
    gelu_body(in, out, count);                                                                     \
  }                                                                                                \
  attribute void softmax_##name(const float* in, float* out, std::size_t length, std::size_t used, \
                                float scale) {                                                     \
    softmax_body(in, out, length, used, scale);                                                    \
  }                                                                                                \
  constexpr Kernels kernels_##name{#name, gelu_##name, softmax_##name};

MLXGUARD_KERNELS(baseline, )
#if defined(__x86_64__)
MLXGUARD_KERNELS(avx2, __attribute__((target("avx2,fma"))))
MLXGUARD_KERNELS(avx512,
                 __attribute__((target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512"))))
#endif

}  // namespace

std::span<const Kernels> available_kernels() {
  static const std::vector<Kernels> available = [] {
    std::vector<Kernels> list;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      list.push_back(kernels_avx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      list.push_back(kernels_avx2);
    }
#endif
    list.push_back(kernels_baseline);
    return list;
  }();
  return available;
}

void gelu(const float* in, float* out, std::size_t count) {
  available_kernels().front().gelu(in, out, count);
}

void masked_softmax(const float* in, float* out, std::size_t length, std::size_t used,
                    float scale) {
  MLXGUARD_CHECK(used >= 1 && used <= length);
  available_kernels().front().masked_softmax(in, out, length, used, scale);
}

}  // namespace mlxguard::engine
