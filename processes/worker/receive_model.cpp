// SPDX-License-Identifier: Apache-2.0
#include "receive_model.h"

#include <algorithm>

#include "base/limits.h"
#include "ipc/messages.h"

namespace mlxguard::worker {
namespace {

constexpr std::uint32_t kThreadsMax = 1024;

Error protocol_error(std::string message) {
  return make_error(ErrorCode::kWorkerProtocol, std::move(message));
}

Result<artifact::SnapshotFile> file_of(const ipc::ModelFile& announced, UniqueFd descriptor) {
  artifact::SnapshotFile file;
  file.name = announced.name;
  file.size_bytes = announced.size_bytes;
  file.memory = std::move(descriptor);
  if (announced.digest.size() != file.digest.size()) {
    return protocol_error("a file's digest is of another length");
  }
  std::copy(announced.digest.begin(), announced.digest.end(), file.digest.begin());
  return file;
}

}  // namespace

Result<ReceivedModel> receive_model(wire::Channel& control) {
  MLXGUARD_TRY_ASSIGN(const auto first, control.receive());
  MLXGUARD_TRY_ASSIGN(const auto load, first.as<ipc::LoadModel>());
  if (load.file_count > limits::kModelFilesMax || load.threads < 1 || load.threads > kThreadsMax) {
    return protocol_error("a number of files or threads out of bounds");
  }
  std::vector<artifact::SnapshotFile> files;
  while (files.size() < load.file_count) {
    MLXGUARD_TRY_ASSIGN(auto received, control.receive());
    MLXGUARD_TRY_ASSIGN(const auto batch, received.as<ipc::ModelFiles>());
    if (batch.files.empty() || batch.files.size() != received.descriptors.size() ||
        batch.files.size() > load.file_count - files.size()) {
      return protocol_error("files and descriptors do not match");
    }
    for (std::size_t i = 0; i < batch.files.size(); ++i) {
      MLXGUARD_TRY_ASSIGN(auto file, file_of(batch.files[i], std::move(received.descriptors[i])));
      files.push_back(std::move(file));
    }
  }
  MLXGUARD_TRY_ASSIGN(
      auto model, signature::VerifiedModel::receive(load.name, load.root_digest, std::move(files)));
  return ReceivedModel{std::move(model), load.threads};
}

}  // namespace mlxguard::worker
