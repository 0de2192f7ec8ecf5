// SPDX-License-Identifier: Apache-2.0
// What verification costs when a large model is loaded: mlxguard's signature, snapshot, digests and
// load beside mlx's own load of the same file by path, in one run, taking turns. One JSON line a
// measurement.
//
//   load_bench [GIGABYTES [REPEATS [FOLDER]]]      2, 5, and a new folder in the temp folder
#include <mlx/io.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "codec/json.h"
#include "engine/runtime.h"
#include "engine/weights.h"
#include "signature/test_support.h"
#include "signature/verify.h"

namespace {

using namespace mlxguard;  // NOLINT: a program of its own
namespace mx = mlx::core;
namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr std::size_t kTensorCount = 16;
constexpr std::uint64_t kShardBytes = 64u << 20;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "load_bench: %s\n", why.c_str());
  std::exit(3);
}

template <class T>
T must(Result<T> result) {
  if (!result) stop(result.error().message + " " + result.error().subject);
  return std::move(result).value();
}
void must(const Result<void>& result) {
  if (!result) stop(result.error().message);
}

/// Sixteen float32 tensors, no two bytes alike for long: nothing can be deduplicated or compressed.
void write_model(const fs::path& path, std::uint64_t bytes) {
  const std::uint64_t each = bytes / kTensorCount / 4096 * 4096;
  std::string header = "{";
  for (std::size_t i = 0; i < kTensorCount; ++i) {
    header += (i > 0 ? ",\"" : "\"") + std::string("layer.") + std::to_string(i) +
              R"(.weight":{"dtype":"F32","shape":[)" + std::to_string(each / 4096) +
              ",1024],\"data_offsets\":[" + std::to_string(i * each) + "," +
              std::to_string((i + 1) * each) + "]}";
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  std::ofstream file(path, std::ios::binary);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file << header;
  std::vector<float> block(1 << 20);
  std::uint32_t state = 1;
  for (std::uint64_t written = 0; written < each * kTensorCount;) {
    for (float& value : block) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(state >> 8) * 0x1p-24f;
    }
    const std::uint64_t count =
        std::min<std::uint64_t>(block.size() * 4, each * kTensorCount - written);
    file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(count));
    written += count;
  }
  if (!file) stop("could not write " + path.string());
}

/// Every byte is looked at, so that no way of loading can leave work for later.
void read_all(const std::vector<mx::array>& tensors) {
  std::vector<mx::array> sums;
  for (const mx::array& tensor : tensors) sums.push_back(mx::sum(tensor));
  mx::eval(sums);
}

Result<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file) return make_error(ErrorCode::kIo, "cannot read a bundle").about(path.string());
  return text;
}

std::vector<mx::array> load_by_mlx(const fs::path& file) {
  std::vector<mx::array> tensors;
  for (auto& [name, tensor] : mx::load_safetensors(file.string()).first) tensors.push_back(tensor);
  mx::eval(tensors);
  return tensors;
}

signature::VerifiedModel verify(const fs::path& folder, const signature::TrustedKeys& trusted) {
  auto verifier =
      must(signature::Verifier::open(must(artifact::ModelFolder::open(folder)), folder, trusted));
  must(verifier.check_names());
  must(verifier.take_snapshot({}));
  must(verifier.check_digests());
  trust::Claim claim;
  claim.root_digests = {verifier.report().root_digest};
  claim.signers = verifier.report().signers;
  const auto approval = must(trust::Policy::implicit().decide(claim, SystemClock().now()));
  return must(verifier.verify("bench", approval));
}

std::vector<mx::array> load_verified(const signature::VerifiedModel& model,
                                     engine::WeightPlacement placement) {
  const auto weights = must(engine::Weights::open(*model.find("model.safetensors"), placement));
  std::vector<mx::array> tensors;
  for (const auto& entry : weights.index().entries()) tensors.push_back(weights.array_of(entry));
  mx::eval(tensors);
  must(weights.failure());
  return tensors;
}

struct Measurement {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds{};
};

void print(const Measurement& m, std::uint64_t bytes, double peer_median) {
  std::vector<double> sorted = m.seconds;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  codec::JsonWriter json;
  json.begin_object().field("bench", "load").field("measurement", m.name);
  json.key("min_ms").number(sorted.front() * 1e3).key("median_ms").number(median * 1e3);
  json.key("gb_per_s").number(static_cast<double>(bytes) / median * 1e-9);
  json.key("ratio_to_mlx").number(median / peer_median);
  json.field("runs", static_cast<std::int64_t>(sorted.size())).end_object();
  std::printf("%s\n", json.text().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const double gigabytes = argc > 1 ? std::stod(argv[1]) : 2;
  const int repeats = argc > 2 ? std::stoi(argv[2]) : 5;
  must(engine::prepare_runtime());
  must(engine::start_runtime(2));

  const signature::test::ModelOnDisk disk;
  const fs::path folder = argc > 3 ? fs::path(argv[3]) : disk.path();
  fs::create_directories(folder);
  const fs::path file = folder / "model.safetensors";
  write_model(file, static_cast<std::uint64_t>(gigabytes * 0x1p30));
  const std::uint64_t bytes = fs::file_size(file);
  const auto key = signature::test::new_key();
  const auto trusted = signature::test::trusting(key);
  const auto sign = [&](artifact::HashPlan plan) {
    signature::SignOptions options;
    options.plan = plan;
    must(signature::test::sign_in_place(folder, key, options));
    return must(read_text(folder / artifact::kSignatureFile));
  };
  using crypto::HashAlgorithm;
  const std::string sha256 = sign(HashAlgorithm::kSha256);
  const std::string shards = sign({HashAlgorithm::kSha256, kShardBytes});
  const std::string blake3 = sign(HashAlgorithm::kBlake3);
  const auto signed_by = [&](const std::string& bundle) {
    std::ofstream(folder / artifact::kSignatureFile, std::ios::binary) << bundle;
  };

  using engine::WeightPlacement;
  const auto snapshot =
      verify(folder, trusted);  // for the measurements that need one, and to warm up
  const auto verify_and_load = [&](const std::string& bundle) {
    signed_by(bundle);
    return load_verified(verify(folder, trusted), WeightPlacement::kMapped);
  };
  std::vector<Measurement> measurements{
      {"mlx_load", [&] { load_by_mlx(file); }},
      {"load_mapped", [&] { load_verified(snapshot, WeightPlacement::kMapped); }},
      {"load_through_reader", [&] { load_verified(snapshot, WeightPlacement::kRead); }},
      {"verify_and_load sha256", [&] { verify_and_load(sha256); }},
      {"verify_and_load sha256 shards", [&] { verify_and_load(shards); }},
      {"verify_and_load blake3", [&] { verify_and_load(blake3); }},
      {"mlx_load_and_sum", [&] { read_all(load_by_mlx(file)); }},
      {"verify_load_and_sum blake3", [&] { read_all(verify_and_load(blake3)); }},
  };
  for (int i = 0; i <= repeats; ++i) {
    for (Measurement& m : measurements) {
      const auto start = Steady::now();
      m.run();
      const std::chrono::duration<double> took = Steady::now() - start;
      if (i > 0) m.seconds.push_back(took.count());  // the first round warms the page cache
    }
  }
  const auto median = [](std::vector<double> seconds) {
    std::sort(seconds.begin(), seconds.end());
    return seconds[seconds.size() / 2];
  };
  for (const Measurement& m : measurements) {
    const bool with_sum = m.name.find("_and_sum") != std::string::npos;
    print(m, bytes, median(measurements[with_sum ? 6 : 0].seconds));
  }
  return 0;
}
