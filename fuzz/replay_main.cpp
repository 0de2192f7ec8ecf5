// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over its corpus without libFuzzer: each file as it is, then truncated and with
// single bits flipped, so that an ordinary test run also looks a little around the known inputs.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMutationsMax = 512;

void replay(std::vector<std::uint8_t> bytes) {
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  const std::size_t step = bytes.size() / kMutationsMax + 1;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    LLVMFuzzerTestOneInput(bytes.data(), at);
    const auto bit = static_cast<std::uint8_t>(1u << (at % 8));
    bytes[at] ^= bit;
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    bytes[at] ^= bit;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      replay({std::istreambuf_iterator<char>(stream), {}});
      ++files;
    }
  }
  std::printf("%zu corpus files replayed\n", files);
  return files == 0 ? 1 : 0;
}
