// SPDX-License-Identifier: Apache-2.0
#include "engine/test_support.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "engine/runtime.h"

namespace mlxguard::engine::test {
namespace {

constexpr int kEndedAlone = 42;  // a filter that matches no case would end with 0

}  // namespace

artifact::SnapshotFile sealed_file(const std::string& name, std::string_view bytes) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  MLXGUARD_CHECK(fd.is_open());
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t written = ::write(fd.get(), bytes.data() + at, bytes.size() - at);
    MLXGUARD_CHECK(written > 0);
    at += static_cast<std::size_t>(written);
  }
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  MLXGUARD_CHECK(::fcntl(fd.get(), F_ADD_SEALS, kSeals) == 0);
  return {name, bytes.size(), {}, std::move(fd)};
}

signature::VerifiedModel model_of(const FileMap& files) {
  std::vector<artifact::SnapshotFile> sealed;
  for (const auto& [name, bytes] : files) sealed.push_back(sealed_file(name, bytes));
  auto model = signature::VerifiedModel::receive("test", std::string(64, '0'), std::move(sealed));
  MLXGUARD_CHECK(model.has_value());
  return std::move(model).value();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  MLXGUARD_CHECK(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

FileMap read_folder(const std::filesystem::path& folder) {
  FileMap files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[std::filesystem::relative(entry.path(), folder).generic_string()] =
          read_file(entry.path());
    }
  }
  return files;
}

std::string safetensors_of(const std::vector<NamedTensor>& tensors, std::size_t padding) {
  std::string header = "{";
  std::string data;
  for (const NamedTensor& tensor : tensors) {
    if (header.size() > 1) header += ",";
    header += "\"" + tensor.name + "\":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      header += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
    header += std::to_string(data.size()) + "]}";
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8 + padding, ' ');
  const std::uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + data;
}

bool run_alone(const std::string& test_case) {
  std::string program = "/proc/self/exe";
  std::string filter = "--test-case=" + test_case;
  std::string no_skip = "--no-skip";
  std::string threads = "OPENBLAS_NUM_THREADS=1";
  char* arguments[] = {program.data(), filter.data(), no_skip.data(), nullptr};
  char* environment[] = {threads.data(), nullptr};
  pid_t child = -1;
  MLXGUARD_CHECK(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environment) ==
                 0);
  int status = -1;
  MLXGUARD_CHECK(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == kEndedAlone;
}

void end_alone() { std::_Exit(kEndedAlone); }

void require_runtime() {
  static const bool started = prepare_runtime().has_value() && start_runtime(2).has_value();
  MLXGUARD_CHECK(started);
}

Result<task::Vectors> embed(task::Model& model, std::vector<std::string> texts) {
  MLXGUARD_TRY_ASSIGN(const auto embedding, model.embed(std::move(texts)));
  for (bool done = false; !done;) {
    MLXGUARD_TRY_ASSIGN(done, embedding->step());
  }
  return embedding->take();
}

}  // namespace mlxguard::engine::test
