// SPDX-License-Identifier: Apache-2.0
// What OpenBLAS gives over the BLAS that comes with mlx's wheel: the same program in two processes,
// one as mlxguard links it, one with the wheel's library first in the linker's order. Matrix
// products and, on the real model, embeddings. One JSON line a measurement.
//
//   blas_bench [SECONDS [MODEL_FOLDER]]
#include <mlx/ops.h>
#include <mlx/random.h>
#include <mlx/transforms.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "codec/json.h"
#include "engine/engine.h"
#include "engine/runtime.h"
#include "engine/test_support.h"

extern "C" void openblas_set_num_threads(int threads);

namespace {

using namespace mlxguard;  // NOLINT: a program of its own
namespace mx = mlx::core;
using Clock = std::chrono::steady_clock;

struct Options {
  double seconds = 3;
  std::string model = MLXGUARD_MINILM_DIR;
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "blas_bench: %s\n", why.c_str());
  std::exit(3);
}

/// Median seconds of a call, over `seconds` of calls after a first one that is left out.
double median_of(const std::function<void()>& call, double seconds) {
  call();
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto start = Clock::now();
    call();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  } while (Clock::now() < end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void print(const std::string& measurement, std::int64_t threads, const char* unit, double value) {
  codec::JsonWriter json;
  const std::string library = engine::blas_library();
  json.begin_object().field("bench", "blas").field("measurement", measurement);
  json.field("blas", library.substr(library.rfind('/') + 1)).field("threads", threads);
  json.key(unit).number(value).end_object();
  std::printf("%s\n", json.text().c_str());
  std::fflush(stdout);
}

void measure_products(std::int64_t threads, double seconds) {
  for (const int n : {256, 1024}) {
    const mx::array a = mx::random::uniform({n, n});
    const mx::array b = mx::random::uniform({n, n});
    mx::eval(a, b);
    const double took = median_of([&] { mx::eval(mx::matmul(a, b)); }, seconds);
    print("matmul_" + std::to_string(n), threads, "gflop_per_s", 2.0 * n * n * n / took * 1e-9);
  }
}

void measure_embeddings(engine::Model& model, std::int64_t threads, double seconds) {
  const std::string sentence = "The quick brown fox jumps over the lazy dog near the river. ";
  std::string page;
  for (int i = 0; i < 16; ++i) page += sentence;
  struct Case {
    const char* name;
    std::vector<std::string> texts;
  };
  for (const Case& c :
       {Case{"embed_1_sentence", {1, sentence}}, Case{"embed_32_sentences", {32, sentence}},
        Case{"embed_8_pages_of_225_tokens", {8, page}}}) {
    const double took = median_of(
        [&] {
          const auto embeddings = engine::test::embed(model, c.texts);
          if (!embeddings) stop(embeddings.error().message);
        },
        seconds);
    print(c.name, threads, "texts_per_s", static_cast<double>(c.texts.size()) / took);
  }
}

int measure(const Options& options) {
  if (!engine::prepare_runtime() || !engine::start_runtime(1)) stop("mlx did not start");
  auto model = engine::load(engine::test::model_of(engine::test::read_folder(options.model)));
  if (!model) stop(model.error().message);
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  for (const std::int64_t threads : {std::int64_t{1}, cores}) {
    openblas_set_num_threads(static_cast<int>(threads));
    measure_products(threads, options.seconds);
    measure_embeddings(**model, threads, options.seconds);
    if (engine::blas_library().find("openblas") == std::string::npos) break;  // it has no threads
  }
  return 0;
}

/// The wheel's own BLAS, which is loaded too, as mlx names it.
std::string wheel_blas() {
  const std::string maps = engine::test::read_file("/proc/self/maps");
  const auto name = maps.find("/libblas-");
  if (name == std::string::npos) stop("the wheel's BLAS is not loaded");
  const auto begin = maps.rfind(' ', name) + 1;
  return maps.substr(begin, maps.find('\n', name) - begin);
}

int run_again(char** argv, std::vector<std::string> environment) {
  std::vector<char*> variables;
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  pid_t child = -1;
  int status = -1;
  if (::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv, variables.data()) != 0 ||
      ::waitpid(child, &status, 0) != child) {
    stop("could not start the measured process");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (argc > 1) options.seconds = std::stod(argv[1]);
  if (argc > 2) options.model = argv[2];
  if (std::getenv("MLXGUARD_BLAS_BENCH_CHILD") != nullptr) return measure(options);
  const std::vector<std::string> as_linked{"OPENBLAS_NUM_THREADS=1", "MLXGUARD_BLAS_BENCH_CHILD=1"};
  std::vector<std::string> wheel_first = as_linked;
  wheel_first.push_back("LD_PRELOAD=" + wheel_blas());
  const int first = run_again(argv, as_linked);
  const int second = run_again(argv, wheel_first);
  return first != 0 ? first : second;
}
