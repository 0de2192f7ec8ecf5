// SPDX-License-Identifier: Apache-2.0
#include "launch/worker_process.h"

#include <algorithm>
#include <array>

#include "ipc/messages.h"

namespace mlxguard::launch {
namespace {

constexpr std::size_t kFilesPerMessage = 32;

bool peer_is_gone(const Error& error) { return error.code == ErrorCode::kWorkerUnavailable; }

}  // namespace

const std::vector<std::string>& worker_environment() {
  // A BLAS thread that starts before the lock would escape Landlock: the worker raises the number
  // itself, afterwards.
  static const std::vector<std::string> kEnvironment{"OPENBLAS_NUM_THREADS=1", "LC_ALL=C.UTF-8"};
  return kEnvironment;
}

WorkerProcess::WorkerProcess(std::shared_ptr<const signature::VerifiedModel> model,
                             sandbox::Child child, wire::Channel control, std::uint32_t threads,
                             sandbox::IsolationReport promised)
    : model_(std::move(model)),
      child_(std::move(child)),
      control_(std::move(control)),
      threads_(threads),
      promised_(std::move(promised)) {}

Result<WorkerProcess> WorkerProcess::start(std::shared_ptr<const signature::VerifiedModel> model,
                                           const WorkerPlan& plan) {
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  sandbox::SpawnPlan spawn_plan;
  spawn_plan.binary_fd = plan.program_fd;
  spawn_plan.name = "mlxguard-worker";
  spawn_plan.arguments = {model->name()};  // for people who read a process list
  spawn_plan.environment = worker_environment();
  spawn_plan.descriptors = {ends.second.get()};
  spawn_plan.limits = plan.limits;
  spawn_plan.cgroup_join = sandbox::CgroupJoin::kWhileLinking;
  MLXGUARD_TRY_ASSIGN(sandbox::Child child, sandbox::spawn(*plan.host, spawn_plan));
  return WorkerProcess(std::move(model), std::move(child),
                       wire::Channel(std::move(ends.first), ipc::kFromWorker), plan.threads,
                       plan.host->report());
}

Result<void> WorkerProcess::send_model() {
  const auto files = model_->files();
  ipc::LoadModel load;
  load.name = model_->name();
  load.root_digest = model_->root_digest();
  load.file_count = static_cast<std::uint32_t>(files.size());
  load.threads = threads_;
  MLXGUARD_TRY(control_.send(load));
  for (std::size_t first = 0; first < files.size(); first += kFilesPerMessage) {
    ipc::ModelFiles batch;
    std::vector<int> descriptors;
    for (const auto& file :
         files.subspan(first, std::min(kFilesPerMessage, files.size() - first))) {
      batch.files.push_back({file.name, file.size_bytes, {file.digest.begin(), file.digest.end()}});
      descriptors.push_back(file.memory.get());
    }
    MLXGUARD_TRY(control_.send(batch, descriptors));
  }
  return {};
}

Result<void> WorkerProcess::handle(const wire::Received& received) {
  if (received.is<ipc::WorkerLocked>() && stage_ == Stage::kStarting) {
    MLXGUARD_TRY_ASSIGN(const auto locked, received.as<ipc::WorkerLocked>());
    isolation_ = locked.isolation;
    // What the probe promised must have been done by spawn and lock together: a layer that was lost
    // on the way is a refusal, not a weaker worker.
    sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(locked.mechanisms);
    achieved.merge(child_.isolation());
    MLXGUARD_TRY(sandbox::confirm(promised_, achieved));
    MLXGUARD_TRY(send_model());
    stage_ = Stage::kLoading;
    return {};
  }
  if (received.is<ipc::WorkerReady>() && stage_ == Stage::kLoading) {
    MLXGUARD_TRY_ASSIGN(const auto ready, received.as<ipc::WorkerReady>());
    schema_ = ready.schema;
    runtime_ = ready.runtime;
    load_time_ = std::chrono::microseconds(ready.load_microseconds);
    stage_ = Stage::kReady;
    return {};
  }
  if (received.is<ipc::WorkerLoadFailed>() && stage_ <= Stage::kLoading) {
    MLXGUARD_TRY_ASSIGN(const auto failed, received.as<ipc::WorkerLoadFailed>());
    failure_ = failed.error.to_error();
    stage_ = Stage::kFailed;
    return {};
  }
  return make_error(ErrorCode::kWorkerProtocol, "a worker sent a message out of turn")
      .about(model_->name());
}

Result<void> WorkerProcess::advance() {
  for (;;) {
    auto received = control_.try_receive();
    if (!received) {
      if (peer_is_gone(received.error())) return {};
      return std::move(received).error();
    }
    if (!received->has_value()) return {};
    auto handled = handle(**received);
    if (!handled && !peer_is_gone(handled.error())) return handled;
  }
}

Result<void> WorkerProcess::wait_until_ready(std::chrono::steady_clock::time_point deadline) {
  while (stage_ == Stage::kStarting || stage_ == Stage::kLoading) {
    auto received = control_.receive(deadline);
    if (!received) {
      Error error = std::move(received).error();
      if (!peer_is_gone(error)) return error;
      MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, reap());
      return make_error(ErrorCode::kWorkerStart,
                        "the worker died while it loaded the model: " + sandbox::describe(verdict))
          .about(model_->name());
    }
    MLXGUARD_TRY(handle(*received));
  }
  if (failure_) return *failure_;
  return {};
}

Result<UniqueFd> WorkerProcess::open_data_channel() {
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  const std::array<int, 1> descriptor{ends.second.get()};
  MLXGUARD_TRY(control_.send(ipc::ServeChannel{}, descriptor));
  return std::move(ends.first);
}

int WorkerProcess::exit_fd() const { return child_.pidfd(); }
int WorkerProcess::pid() const { return child_.pid(); }
void WorkerProcess::kill(sandbox::KillReason reason) { child_.kill(reason); }
Result<sandbox::ExitVerdict> WorkerProcess::reap() { return child_.wait(); }

}  // namespace mlxguard::launch
