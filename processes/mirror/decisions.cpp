// SPDX-License-Identifier: Apache-2.0
#include "decisions.h"

#include <memory>

namespace mlxguard::mirror {

using record::Attr;
namespace {

constexpr std::size_t kKeptMax = 100'000;
constexpr std::size_t kFindingsLogged = 16;

record::Kind kind_of(Action action) {
  switch (action) {
    case Action::kServe:
      return record::Kind::kMirrorServed;
    case Action::kBlock:
      return record::Kind::kMirrorBlocked;
    case Action::kHold:
      return record::Kind::kMirrorHeld;
  }
  return record::Kind::kMirrorBlocked;
}

record::Event about(record::Kind kind, const std::string& project, const ProjectFile& file,
                    const std::string& client) {
  record::Event event{.kind = kind};
  event.set(Attr::kProject, project);
  event.set(Attr::kVersion, file.version).set(Attr::kFile, file.filename);
  event.set(Attr::kSha256, file.sha256).set(Attr::kClientIp, client);
  return event;
}

}  // namespace

Decisions::Decisions(asio::io_context& io, asio::thread_pool& pool, Store& store,
                     log::EventLog& log, const Clock& clock)
    : io_(io), pool_(pool), store_(store), log_(log), clock_(clock) {}

/// Waits without holding the event loop; the log answers from its own thread.
Task<Result<void>> Decisions::append(record::Event event) {
  struct Pending {
    explicit Pending(asio::io_context& io) : timer(io.get_executor()) {}
    Timer timer;
    std::optional<Result<void>> written;
  };
  const auto pending = std::make_shared<Pending>(io_);
  pending->timer.expires_at(SteadyTime::max());
  log_.submit(event, [this, pending](Result<void> written) {
    asio::post(io_, [pending, written = std::move(written)]() mutable {
      pending->written = std::move(written);
      pending->timer.cancel();
    });
  });
  while (!pending->written) co_await pending->timer.async_wait(kAwait);
  co_return std::move(*pending->written);
}

Task<Result<void>> Decisions::report(std::string project, const ProjectFile& file,
                                     const Decision& decision, std::string client) {
  record::Event event = about(kind_of(decision.action), project, file, client);
  event.message = decision.reason;
  event.set(Attr::kVerdict, std::string(name_of(decision.verdict)));
  event.set(Attr::kByOperator, decision.by_operator);
  if (decision.action != Action::kServe) {
    event.outcome = record::Outcome::kRefused;
    event.code = decision.code;
  }
  std::string findings;
  for (std::size_t i = 0; i < decision.findings.size() && i < kFindingsLogged; ++i) {
    findings += (i == 0 ? "" : " ") + decision.findings[i].code;
  }
  event.set(Attr::kFindingCodes, findings);
  keep(project, file, decision);
  co_return co_await append(std::move(event));
}

Task<Result<void>> Decisions::report_failure(std::string project, const ProjectFile& file,
                                             const Error& error, std::string client) {
  record::Event event = about(record::Kind::kMirrorBlocked, project, file, client);
  event.outcome = record::Outcome::kFailed;
  event.code = error.code;
  event.message = error.message;
  if (!error.expected.empty()) {
    event.set(Attr::kExpected, error.expected).set(Attr::kActual, error.actual);
  }
  Decision decision;
  decision.action = Action::kBlock;
  decision.code = error.code;
  decision.reason = error.message;
  keep(project, file, decision);
  co_return co_await append(std::move(event));
}

Task<Result<void>> Decisions::report_metadata(std::string project, const ProjectFile& file,
                                              std::string client) {
  record::Event event = about(record::Kind::kMirrorServed, project, file, client);
  event.message = "metadata of the file";
  event.set(Attr::kMetadataSha256, file.metadata_sha256);
  co_return co_await append(std::move(event));
}

bool Decisions::is_told(std::map<std::string, std::string>& last, const std::string& key,
                        const std::string& told) {
  if (const auto found = last.find(key); found != last.end() && found->second == told) return true;
  if (last.size() >= kKeptMax) last.clear();
  last[key] = told;
  return false;
}

Task<Result<void>> Decisions::report_hidden(std::string project, Hidden hidden) {
  const std::string told = std::to_string(hidden.held) + " " + std::to_string(hidden.not_allowed) +
                           " " + std::to_string(hidden.skipped) + " " + hidden.newest;
  if (is_told(hidden_, project, told)) co_return Result<void>();
  record::Event event{.kind = record::Kind::kMirrorHeld};
  event.outcome = record::Outcome::kRefused;
  event.code = hidden.held > 0          ? ErrorCode::kMirrorHeld
               : hidden.not_allowed > 0 ? ErrorCode::kMirrorNotAllowed
                                        : ErrorCode::kMirrorPage;
  event.message = "files left out of a project's page";
  event.set(Attr::kProject, project).set(Attr::kTooNew, hidden.held);
  event.set(Attr::kNotAllowed, hidden.not_allowed);
  event.set(Attr::kNewest, hidden.newest);
  event.set(Attr::kNotUnderstood, hidden.skipped);
  event.set(Attr::kNotUnderstoodWhy, hidden.skipped_why);
  co_return co_await append(std::move(event));
}

Task<Result<void>> Decisions::report_page(std::string project, const Error& error) {
  if (is_told(pages_, project, error.message)) co_return Result<void>();
  record::Event event{.kind = record::Kind::kMirrorBlocked};
  event.outcome = record::Outcome::kFailed;
  event.code = error.code;
  event.message = error.message;
  event.set(Attr::kProject, project);
  co_return co_await append(std::move(event));
}

Task<Result<void>> Decisions::report_stranger(std::string client) {
  record::Event event{.kind = record::Kind::kAuthFailed};
  event.outcome = record::Outcome::kRefused;
  event.code = ErrorCode::kCredentialsInvalid;
  event.message = "a request to the mirror without a valid API key";
  event.set(Attr::kClientIp, client);
  co_return co_await append(std::move(event));
}

/// The record on disk is for people: it is written when the decision changes, and nobody waits for
/// it.
void Decisions::keep(const std::string& project, const ProjectFile& file,
                     const Decision& decision) {
  const std::string id = record_id(project, file);
  if (is_told(kept_, id, std::string(name_of(decision.action)) + "\n" + decision.reason)) return;
  const std::int64_t now_ms = clock_.now().time_since_epoch().count();
  asio::post(pool_, [this, id, project, file, decision, now_ms] {
    FileRecord record = store_.record(id).value_or(FileRecord{});
    if (record.project != project || record.filename != file.filename) record = {};
    record.project = project;
    record.version = file.version;
    record.filename = file.filename;
    record.sha256 = file.sha256;
    if (file.size_bytes) record.size_bytes = static_cast<std::int64_t>(*file.size_bytes);
    record.action = name_of(decision.action);
    record.code =
        decision.action == Action::kServe ? std::string() : std::string(name_of(decision.code));
    record.reason = decision.reason;
    record.decided_ms = now_ms;
    (void)store_.put_record(record);
  });
}

}  // namespace mlxguard::mirror
