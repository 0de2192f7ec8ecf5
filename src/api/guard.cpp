// SPDX-License-Identifier: Apache-2.0
// Guard: the model line of src/admission for programs that load models themselves.
#include "mlxguard/guard.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <mutex>

#include "admission/model_line.h"
#include "api/convert.h"
#include "api/model_impl.h"
#include "base/os_error.h"
#include "config/config.h"
#include "crypto/random.h"
#include "inspect/inspector.h"
#include "log/state_log.h"

namespace mlxguard {
namespace api {

namespace {

/// The line of src/ speaks of command lines; a program has members of Options.
std::string hint_for_programs(std::string hint) {
  for (const std::string_view option : {"--public-key FILE", "--public-key"}) {
    const std::size_t at = hint.find(option);
    if (at != hint.npos) hint.replace(at, option.size(), "Options::public_keys");
  }
  return hint;
}

}  // namespace

v1::Error convert(const Error& error) {
  const ErrorCodeRow& row = describe(error.code);
  v1::Error out;
  out.kind = static_cast<v1::Error::Kind>(row.exit_class);
  out.number = static_cast<int>(error.code);
  out.code = row.name;
  out.message = error.message;
  out.subject = error.subject;
  out.expected = error.expected;
  out.actual = error.actual;
  out.hint = hint_for_programs(error.hint);
  return out;
}

std::vector<v1::Error> warnings_in(const trust::Judgement& judgement) {
  std::vector<v1::Error> warnings;
  for (const trust::Condition& condition : judgement.conditions) {
    if (condition.state != trust::Condition::State::kFailed) continue;
    warnings.push_back(convert(trust::error_of(condition, judgement)));
  }
  return warnings;
}

namespace {

std::string environment_value(const char* name) {
  // A library has no main() that could pass it in; only the default of Options::state depends on
  // it. NOLINTNEXTLINE(concurrency-mt-unsafe)
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// A program may change its current folder later; what it named stays what it named.
Result<void> make_absolute(std::filesystem::path& path) {
  if (path.empty()) return {};
  std::error_code problem;
  const auto absolute = std::filesystem::absolute(path, problem);
  if (problem) {
    return make_error(ErrorCode::kIo, "the current folder cannot be found: " + problem.message())
        .about(path.string())
        .hinting("give an absolute path");
  }
  path = absolute;
  return {};
}

Result<config::ServeConfig> read_config(v1::Options options) {
  for (auto* path : {&options.state, &options.config}) MLXGUARD_TRY(make_absolute(*path));
  for (auto& key : options.public_keys) MLXGUARD_TRY(make_absolute(key));
  config::ServeConfig config;
  if (!options.config.empty()) {
    MLXGUARD_TRY_ASSIGN(config, config::load(options.config));
  }
  if (!options.state.empty()) config.server.state = options.state;
  if (config.server.state.empty()) {
    config.server.state = config::default_state(
        {environment_value("XDG_STATE_HOME"), environment_value("HOME"), ::geteuid() == 0});
  }
  MLXGUARD_TRY(make_absolute(config.server.state));
  config.trust.public_keys.insert(config.trust.public_keys.end(), options.public_keys.begin(),
                                  options.public_keys.end());
  return config;
}

Result<void> make_state(const std::filesystem::path& state) {
  std::error_code ignored;  // the mkdir below reports what matters
  std::filesystem::create_directories(state.parent_path(), ignored);
  if (::mkdir(state.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", state.string()).hinting("choose another folder in Options::state");
  }
  return {};
}

constexpr std::chrono::milliseconds kBetweenCalls{50};

/// True on a thread while it is in the program's progress function.
thread_local bool is_telling = false;

/// Of one load: passes on what is new, not often, and the end. What is called may be slow.
class ProgressGate {
 public:
  using Tell = std::function<void(std::uint64_t, std::uint64_t)>;
  explicit ProgressGate(Tell tell) : tell_(std::move(tell)) {}

  void operator()(std::uint64_t done, std::uint64_t total) {
    std::unique_lock lock(mutex_, std::defer_lock);
    if (done == total) {
      lock.lock();
    } else if (!lock.try_lock()) {
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (done <= told_ || (done != total && now < next_)) return;
    told_ = done;
    is_telling = true;
    tell_(done, total);
    is_telling = false;
    next_ = std::chrono::steady_clock::now() + kBetweenCalls;
  }

 private:
  Tell tell_;
  std::mutex mutex_;
  std::uint64_t told_ = 0;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace
}  // namespace api

namespace v1 {

const char* version() noexcept { return MLXGUARD_VERSION; }

struct Guard::Impl {
  SystemClock clock;
  crypto::SystemRandom random;
  config::ServeConfig config;
  std::function<void(std::uint64_t, std::uint64_t)> progress;
  pid_t process = ::getpid();
  std::unique_ptr<log::EventLog> log;

  /// Read anew for every model: a key that is revoked or a policy that changes meanwhile counts at
  /// once.
  [[nodiscard]] mlxguard::Result<admission::Trust> trust() const {
    return admission::Trust::load(
        {config.server.state, config.trust.policy, config.trust.root_key,
         config.trust.public_keys},
        *log, clock);
  }
  [[nodiscard]] admission::AdmitRequest request(const std::filesystem::path& path, std::string name,
                                                std::function<bool()> stop) const {
    api::ProgressGate::Tell tell;
    if (progress) {
      tell = [gate = std::make_shared<api::ProgressGate>(progress)](
                 std::uint64_t done, std::uint64_t total) { (*gate)(done, total); };
    }
    admission::AdmitRequest made{path, std::move(name), {std::move(tell), std::move(stop)}};
    made.state = config.server.state;
    // In this very process, as mlx will read the files; the parsers are bounded and run nothing.
    made.open_inspector = []() -> mlxguard::Result<std::unique_ptr<inspect::Inspector>> {
      return std::unique_ptr<inspect::Inspector>(std::make_unique<inspect::LocalInspector>());
    };
    made.receipts = config.trust.receipts == config::Receipts::kAllow
                        ? admission::Receipts::kAllowed
                        : admission::Receipts::kRefused;
    return made;
  }
  mlxguard::Result<void> open(const Options& options) {
    MLXGUARD_TRY_ASSIGN(config, api::read_config(options));
    progress = options.progress;
    MLXGUARD_TRY(api::make_state(config.server.state));
    MLXGUARD_TRY_ASSIGN(
        log, log::open_state_log(config.server.state, "mlxguard-api", clock, random));
    return {};
  }
  /// Calls do not wait for each other: everything that they share is thread-safe, or a file that
  /// other processes share too.
  [[nodiscard]] mlxguard::Result<void> enter() const {
    if (!is_own_process()) {
      return make_error(ErrorCode::kUsage, "opened in another process than this one")
          .hinting("open a Guard in each process that forked");
    }
    if (api::is_telling) {
      return make_error(ErrorCode::kUsage, "called from the progress function of a guard")
          .hinting("only note there how far it is; call the guard from elsewhere");
    }
    return {};
  }
  [[nodiscard]] bool is_own_process() const { return ::getpid() == process; }

  mlxguard::Result<signature::VerifiedModel> admit(const std::filesystem::path& path,
                                                   std::string name, std::function<bool()> stop,
                                                   std::vector<Error>& warnings) {
    MLXGUARD_TRY(enter());
    MLXGUARD_TRY_ASSIGN(const auto base, trust());
    auto asked = request(path, std::move(name), std::move(stop));
    asked.judged = [&](const mlxguard::trust::Judgement& judgement) {
      warnings = api::warnings_in(judgement);
    };
    return admission::admit(asked, base, *log, clock);
  }
  mlxguard::Result<Report> verify(const std::filesystem::path& path, std::function<bool()> stop) {
    MLXGUARD_TRY(enter());
    MLXGUARD_TRY_ASSIGN(const auto base, trust());
    MLXGUARD_TRY_ASSIGN(
        const auto answer,
        admission::verify_only(request(path, {}, std::move(stop)), base, *log, clock));
    if (const auto* refusal = std::get_if<signature::Refusal>(&answer)) {
      return mlxguard::Error(refusal->error);
    }
    const auto& found = std::get<signature::VerifyReport>(answer);
    Report report{found.root_digest, found.signer, found.signer_name, found.files, found.bytes};
    if (found.judgement) report.warnings = api::warnings_in(*found.judgement);
    return report;
  }
  mlxguard::Result<void> close() {
    MLXGUARD_TRY(enter());
    return log->flush();
  }
};

Guard::Guard(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Guard::Guard(Guard&&) noexcept = default;
Guard& Guard::operator=(Guard&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
Guard::~Guard() {
  if (!impl_) return;
  if (!impl_->is_own_process()) {
    // To end the log is for the process whose threads it has.
    static_cast<void>(impl_.release());
    return;
  }
  if (impl_->log) static_cast<void>(impl_->log->flush());
}

Result<Guard> Guard::open(Options options) {
  auto impl = std::make_unique<Impl>();
  if (auto opened = impl->open(options); !opened) return api::convert(opened.error());
  return Guard(std::move(impl));
}

Result<Model> Guard::load(const std::filesystem::path& model, std::string name,
                          std::function<bool()> stop) {
  std::vector<Error> warnings;
  auto admitted = impl_->admit(model, std::move(name), std::move(stop), warnings);
  if (!admitted) return api::convert(admitted.error());
  return Model(std::make_shared<const Model::Impl>(*std::move(admitted), std::move(warnings)));
}

Result<Report> Guard::verify(const std::filesystem::path& model, std::function<bool()> stop) {
  auto report = impl_->verify(model, std::move(stop));
  if (!report) return api::convert(report.error());
  return *std::move(report);
}

Result<std::monostate> Guard::close() {
  if (auto flushed = impl_->close(); !flushed) return api::convert(flushed.error());
  return std::monostate{};
}

}  // namespace v1
}  // namespace mlxguard
