// SPDX-License-Identifier: Apache-2.0
#include "launch/worker_process.h"

#include <poll.h>

#include <algorithm>
#include <array>

#include "base/os_error.h"
#include "base/process_bounds.h"
#include "codec/unicode.h"

namespace mlxguard::launch {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kFilesPerMessage = 32;

bool peer_is_gone(const Error& error) { return error.code == ErrorCode::kWorkerUnavailable; }

bool is_text(const std::string& text) {
  return text.size() <= limits::kWorkerTextBytesMax && codec::is_visible_text(text);
}

Error breach(const char* what) {
  return make_error(ErrorCode::kWorkerProtocol, std::string("a worker ") + what);
}

/// What a worker says of its own failure, for people: short and visible.
Error bounded(Error error) {
  for (std::string* text :
       {&error.message, &error.subject, &error.expected, &error.actual, &error.hint}) {
    *text = codec::visible_text(*text, limits::kReportedTextBytesMax);
  }
  return error;
}

}  // namespace

const std::vector<std::string>& worker_environment() {
  // A BLAS thread that starts before the lock would escape Landlock: the worker raises the number
  // itself, afterwards.
  static const std::vector<std::string> kEnvironment{"OPENBLAS_NUM_THREADS=1", "LC_ALL=C.UTF-8"};
  return kEnvironment;
}

WorkerProcess::WorkerProcess(std::shared_ptr<const signature::VerifiedModel> model,
                             std::unique_ptr<Process> process, UniqueFd control,
                             std::uint32_t threads, sandbox::IsolationReport promised)
    : model_(std::move(model)),
      process_(std::move(process)),
      control_(std::move(control), ipc::kFromWorker),
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
  MLXGUARD_TRY_ASSIGN(auto process, spawn_process(*plan.host, std::move(spawn_plan),
                                                  "worker " + model->name(), plan.print));
  return WorkerProcess(std::move(model), std::move(process), std::move(ends.first), plan.threads,
                       plan.host->report());
}

Result<void> WorkerProcess::queue_model() {
  const auto files = model_->files();
  ipc::LoadModel load;
  load.name = model_->name();
  load.root_digest = model_->root_digest();
  load.file_count = static_cast<std::uint32_t>(files.size());
  load.threads = threads_;
  MLXGUARD_TRY_ASSIGN(wire::Packet head, wire::pack(load));
  outbox_.add(std::move(head));
  for (std::size_t first = 0; first < files.size(); first += kFilesPerMessage) {
    ipc::ModelFiles batch;
    std::vector<int> descriptors;  // the model keeps them open
    for (const auto& file :
         files.subspan(first, std::min(kFilesPerMessage, files.size() - first))) {
      batch.files.push_back({file.name, file.size_bytes, {file.digest.begin(), file.digest.end()}});
      descriptors.push_back(file.memory.get());
    }
    MLXGUARD_TRY_ASSIGN(wire::Packet packet, wire::pack(batch, descriptors));
    outbox_.add(std::move(packet));
  }
  return {};
}

Result<void> WorkerProcess::handle_locked(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(auto locked, received.as<ipc::WorkerLocked>());
  if (!is_text(locked.isolation)) return breach("sent a text that is too long or not visible");
  isolation_ = std::move(locked.isolation);
  // What the probe promised must have been done by spawn and lock together: a layer that was lost
  // on the way is a refusal, not a weaker worker.
  sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(locked.mechanisms);
  achieved.merge(process_->isolation());
  MLXGUARD_TRY(sandbox::confirm(promised_, achieved));
  MLXGUARD_TRY(queue_model());
  stage_ = Stage::kLoading;
  return {};
}

Result<void> WorkerProcess::handle_ready(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(auto ready, received.as<ipc::WorkerReady>());
  if (!is_text(ready.runtime)) return breach("sent a text that is too long or not visible");
  schema_ = std::move(ready.schema);
  runtime_ = std::move(ready.runtime);
  load_time_ = std::chrono::microseconds(std::max<std::int64_t>(0, ready.load_microseconds));
  stage_ = Stage::kReady;
  return {};
}

Result<void> WorkerProcess::handle(const wire::Received& received) {
  if (received.is<ipc::WorkerLocked>() && stage_ == Stage::kStarting) {
    return handle_locked(received);
  }
  if (received.is<ipc::WorkerReady>() && stage_ == Stage::kLoading) {
    return handle_ready(received);
  }
  if (received.is<ipc::WorkerLoadFailed>() && stage_ <= Stage::kLoading) {
    MLXGUARD_TRY_ASSIGN(const auto failed, received.as<ipc::WorkerLoadFailed>());
    failure_ = bounded(failed.error.to_error());
    stage_ = Stage::kFailed;
    return {};
  }
  return breach("sent a message out of turn");
}

Result<void> WorkerProcess::advance() {
  for (std::size_t count = 0; count < limits::kControlMessagesPerTurn; ++count) {
    auto received = control_.try_receive();
    if (!received) {
      hung_up_ = peer_is_gone(received.error());
      if (hung_up_) break;
      return std::move(received).error().about(model_->name());
    }
    if (!received->has_value()) break;
    if (auto handled = handle(**received); !handled) {
      return std::move(handled).error().about(model_->name());
    }
  }
  return outbox_.flush(control_);
}

Result<void> WorkerProcess::wait_until_ready(steady_clock::time_point deadline) {
  while (stage_ == Stage::kStarting || stage_ == Stage::kLoading) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) {
      return make_error(ErrorCode::kDeadline, "the worker did not become ready in time")
          .about(model_->name());
    }
    const short wanted = static_cast<short>(POLLIN | (wants_to_send() ? POLLOUT : 0));
    std::array<pollfd, 2> waits{pollfd{control_fd(), wanted, 0}, pollfd{exit_fd(), POLLIN, 0}};
    const int ready =
        ::poll(waits.data(), waits.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return os_error("poll");
    MLXGUARD_TRY(advance());
    output().read(steady_clock::now());
    if (waits[1].revents != 0 && stage_ <= Stage::kLoading) {
      MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, reap());
      return make_error(ErrorCode::kWorkerStart,
                        "the worker died while it loaded the model: " + sandbox::describe(verdict))
          .about(model_->name());
    }
  }
  if (failure_) return *failure_;
  return {};
}

Result<UniqueFd> WorkerProcess::open_data_channel() {
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  std::vector<UniqueFd> descriptors;
  descriptors.push_back(std::move(ends.second));
  const std::array<int, 1> borrowed{descriptors.front().get()};
  MLXGUARD_TRY_ASSIGN(wire::Packet packet, wire::pack(ipc::ServeChannel{}, borrowed));
  outbox_.add(std::move(packet), std::move(descriptors));
  MLXGUARD_TRY(outbox_.flush(control_));
  return std::move(ends.first);
}

}  // namespace mlxguard::launch
