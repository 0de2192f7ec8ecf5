// SPDX-License-Identifier: Apache-2.0
// Loads one weights file of a signed model into mlx, and says what is in it.
//   load_model STATE PUBLIC_KEY MODEL FILE
#include <mlx/mlx.h>

#include <cstdio>

#include "mlxguard/mlx.h"
#include "mlxguard/mlxguard.h"

namespace {

int refuse(const mlxguard::Error& error) {
  std::fprintf(stderr, "%s%s%s [%s]\n", error.subject.c_str(), error.subject.empty() ? "" : ": ",
               error.message.c_str(), error.code.c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "hint: %s\n", error.hint.c_str());
  return static_cast<int>(error.kind);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: load_model STATE PUBLIC_KEY MODEL FILE\n", stderr);
    return 2;
  }
  auto guard = mlxguard::Guard::open({.state = argv[1], .public_keys = {argv[2]}});
  if (!guard) return refuse(guard.error());
  const auto model = guard->load(argv[3]);
  if (!model) return refuse(model.error());
  const auto weights = mlxguard::load_safetensors(*model, argv[4]);
  if (!weights) return refuse(weights.error());

  std::printf("%s %s\n", model->name().c_str(), model->root_digest().c_str());
  for (const auto& [name, array] : weights->first) {
    std::printf("%s %zu %.6g\n", name.c_str(), array.size(),
                static_cast<double>(
                    mlx::core::sum(mlx::core::astype(array, mlx::core::float32)).item<float>()));
  }
  return 0;
}
