// SPDX-License-Identifier: Apache-2.0
#include "mirror.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kRenderedBytesMax = 256u << 20;
constexpr std::int64_t kMinuteMs = 60'000;

/// Bytes that were in the cache, and were removed or changed behind this process's back.
bool is_lost(const Error& error) {
  return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kMirrorDigest;
}

/// Interim answers keep an installer's read timeout from passing.
class ClientPatience final : public Patience {
 public:
  explicit ClientPatience(http::Exchange& exchange) : exchange_(exchange) {}
  Task<bool> still_waiting() override {
    const auto sent = co_await exchange_.send_interim();
    co_return sent.has_value();
  }

 private:
  http::Exchange& exchange_;
};

}  // namespace

Mirror::Mirror(MirrorParts parts, MirrorOptions options, PageOptions page_options)
    : parts_(parts),
      options_(std::move(options)),
      pages_(parts.io, parts.pool, parts.store, parts.upstream, parts.clock, page_options),
      files_(parts.io, parts.pool, parts.store, parts.upstream, parts.scanner),
      decisions_(parts.io, parts.pool, parts.store, parts.log, parts.clock) {}

/// Installers send a key as the password of a URL, other clients as a bearer.
bool Mirror::may_ask(const Request& request) const {
  if (options_.api_keys.empty()) return true;
  const auto space = request.authorization.find(' ');
  if (space == std::string::npos) return false;
  std::string scheme = request.authorization.substr(0, space);
  std::string key = request.authorization.substr(space + 1);
  for (char& c : scheme) c = static_cast<char>(c | 0x20);
  if (scheme == "basic") {
    const auto decoded = codec::from_base64(key);
    if (!decoded) return false;
    const std::string both(decoded->begin(), decoded->end());
    const auto colon = both.find(':');
    if (colon == std::string::npos) return false;
    key = both.substr(colon + 1);
  } else if (scheme != "bearer") {
    return false;
  }
  const crypto::Sha256Digest given = crypto::sha256(as_bytes(key));
  bool known = false;
  for (const crypto::Sha256Digest& digest : options_.api_keys) {
    known |= crypto::equal_constant_time(digest, given);
  }
  return known;
}

Task<void> Mirror::handle(http::Exchange& exchange) {
  ClientPatience patience(exchange);
  Answer found;
  // Nothing here takes a body. One that comes anyway is not read: the connection closes.
  const http::RequestHead& head = exchange.head();
  if (head.has_body && head.content_length != 0) {
    found = problem(413, make_error(ErrorCode::kRequestTooLarge, "the mirror takes no bodies"));
  } else {
    const Request request = request_of(exchange);
    found = co_await answer(request, patience);
  }
  co_await send_answer(exchange, std::move(found));
}

Task<void> Mirror::refuse(http::Exchange& exchange, Error error) {
  Answer refused = problem(refusal_status_of(error.code), error);
  co_await send_answer(exchange, std::move(refused));
}

Task<Answer> Mirror::answer(const Request& request, Patience& patience) {
  if (request.method != "GET" && request.method != "HEAD") {
    Answer refused =
        problem(405, make_error(ErrorCode::kMethodNotAllowed, "the mirror takes GET and HEAD"));
    refused.with("Allow", "GET, HEAD");
    co_return refused;
  }
  if (!may_ask(request)) {
    const auto logged = co_await decisions_.report_stranger(request.client);
    if (!logged) co_return problem(503, logged.error());
    Answer refused = problem(401, make_error(ErrorCode::kCredentialsInvalid,
                                             "expected an API key as password or bearer"));
    refused.with("WWW-Authenticate", "Basic realm=\"mlxguard mirror\"");
    co_return refused;
  }
  co_return co_await route(request, patience);
}

/// The operator's list, read again when its file changed.
Result<const OperatorList*> Mirror::said() {
  const std::string path = OperatorList::file_in(parts_.store.folder()).string();
  struct stat status {};
  std::string identity = "none";
  if (::stat(path.c_str(), &status) == 0) {
    identity = std::to_string(status.st_ino) + " " + std::to_string(status.st_size) + " " +
               std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
  }
  if (identity == said_identity_) return &said_;
  MLXGUARD_TRY_ASSIGN(said_, OperatorList::load(parts_.store.folder()));
  said_identity_ = identity;
  ++said_version_;
  return &said_;
}

Task<Result<PageView>> Mirror::page_of(std::string project, Patience& patience) {
  auto view = co_await pages_.get(project, patience);
  // With an older page in its place, too.
  const std::optional<Error> trouble = view ? view->trouble : std::optional(view.error());
  const bool not_understood = trouble && trouble->code != ErrorCode::kNotFound &&
                              trouble->code != ErrorCode::kMirrorUpstream;
  if (!trouble) decisions_.page_is_understood(project);
  if (not_understood) {
    if (auto logged = co_await decisions_.report_page(project, *trouble); !logged) {
      co_return std::move(logged).error();
    }
    // Whatever the reader says of it, it is upstream's page that is at fault.
    if (!view) view = make_error(ErrorCode::kMirrorPage, trouble->message);
  }
  co_return view;
}

const Mirror::Rendered& Mirror::render(const PageView& view, PageFormat format) {
  const WallTime now = parts_.clock.now();
  const std::int64_t minute = now.time_since_epoch().count() / kMinuteMs;
  const std::string key = view.page->project + (format == PageFormat::kJson ? "/json" : "/html");
  const bool stale = view.stale_ms > 0;
  if (const auto found = rendered_.find(key); found != rendered_.end()) {
    const Rendered& known = found->second;
    // A minute is how exact the end of a cooldown and the age of a stale page are.
    if (known.page == view.page && known.said_version == said_version_ && known.minute == minute &&
        (known.stale_ms > 0) == stale) {
      return known;
    }
    rendered_bytes_ -= known.body->size();
    rendered_.erase(found);
  }
  if (rendered_bytes_ > kRenderedBytesMax) {
    rendered_.clear();
    rendered_bytes_ = 0;
  }
  Rendered fresh{view.page, said_version_, minute, view.stale_ms, nullptr, {}, 0, 0, {}};
  FileList shown;
  for (const ProjectFile& file : view.page->files) {
    switch (parts_.policy.shown(view.page->project, file, said_, now)) {
      case Policy::Shown::kYes:
        shown.push_back(&file);
        break;
      case Policy::Shown::kInCooldown:
        ++fresh.held;
        fresh.newest_hidden = file.filename;
        decisions_.keep_hidden(view.page->project, file,
                               parts_.policy.decide(view.page->project, file, said_, {}, nullptr,
                                                    now));
        break;
      case Policy::Shown::kNotAllowed:
        ++fresh.not_allowed;
        break;
    }
  }
  const RenderNotes notes{view.stale_ms, fresh.held, fresh.not_allowed};
  fresh.body = std::make_shared<const std::string>(format == PageFormat::kJson
                                                       ? render_json(*view.page, shown, notes)
                                                       : render_html(*view.page, shown, notes));
  fresh.etag = '"' + codec::to_hex(crypto::sha256(as_bytes(*fresh.body))).substr(0, 32) + '"';
  rendered_bytes_ += fresh.body->size();
  return rendered_[key] = std::move(fresh);
}

Task<Answer> Mirror::project_page(const Request& request, std::string project, PageFormat format,
                                  Patience& patience) {
  if (auto list = said(); !list) co_return problem(503, list.error());
  const auto view = co_await page_of(project, patience);
  if (!view) co_return problem(status_of(view.error()), view.error());
  const Rendered rendered = render(*view, format);
  if (rendered.held + rendered.not_allowed + view->page->skipped > 0) {
    const Decisions::Hidden hidden{rendered.held, rendered.not_allowed, rendered.newest_hidden,
                                   view->page->skipped, view->page->skipped_why};
    const auto logged = co_await decisions_.report_hidden(project, hidden);
    if (!logged) co_return problem(503, logged.error());
  }
  Answer answer;
  answer.with("ETag", rendered.etag).with("Vary", "Accept").with("Cache-Control", "no-cache");
  if (view->stale_ms > 0) {
    answer.with("X-Mlxguard-Stale-Seconds", std::to_string(view->stale_ms / 1000));
    answer.with("Age", std::to_string(view->stale_ms / 1000));
  }
  if (names_etag(request.if_none_match, rendered.etag)) {
    answer.status = 304;
    answer.reason = "Not Modified";
    co_return answer;
  }
  answer.with("Content-Type", std::string(media_type(format)));
  answer.body = rendered.body;
  co_return answer;
}

Task<Answer> Mirror::refuse(const Request& request, std::string project, ProjectFile file,
                            Decision decision) {
  const auto logged = co_await decisions_.report(project, file, decision, request.client);
  if (!logged) co_return problem(503, logged.error());
  const Error error = make_error(decision.code, decision.reason);
  Answer answer = problem(decision.action == Action::kBlock ? 403 : 423, error, decision.findings);
  if (decision.until_ms) {
    const std::int64_t left = *decision.until_ms - parts_.clock.now().time_since_epoch().count();
    answer.with("Retry-After", std::to_string(std::max<std::int64_t>(1, left / 1000)));
  }
  co_return answer;
}

Task<Answer> Mirror::fail(const Request& request, std::string project, ProjectFile file,
                          Error error) {
  if (error.code == ErrorCode::kMirrorHeld) {
    Decision held;
    held.reason = error.message;
    const auto logged = co_await decisions_.report(project, file, held, request.client);
    if (!logged) co_return problem(503, logged.error());
    Answer answer = problem(423, error);
    answer.with("Retry-After", "5");
    co_return answer;
  }
  const auto logged = co_await decisions_.report_failure(project, file, error, request.client);
  if (!logged) co_return problem(503, logged.error());
  co_return problem(status_of(error), error);
}

Result<Answer> Mirror::send(const Request& request, BlobKind kind, const Inspected& found) {
  MLXGUARD_TRY_ASSIGN(UniqueFd fd, parts_.store.open_blob(kind, found.sha256));
  Answer answer;
  const std::string etag = '"' + found.sha256 + '"';
  answer.with("Content-Type", "application/octet-stream").with("ETag", etag);
  answer.with("Accept-Ranges", "bytes").with("Cache-Control", "no-cache");
  FileBody body{std::make_shared<const UniqueFd>(std::move(fd)), 0, found.size_bytes};
  if (names_etag(request.if_none_match, etag)) {
    answer.status = 304;
    answer.reason = "Not Modified";
    return answer;
  }
  // Half a file is continued only where it is still the same one (RFC 9110, 13.1.5).
  const bool same = request.if_range.empty() || request.if_range == etag;
  const Range range = same ? parse_range(request.range, found.size_bytes) : Range{};
  if (range.kind == Range::Kind::kUnsatisfiable) {
    Answer refused =
        problem(416, make_error(ErrorCode::kRequestRange, "a range that the file does not have"));
    refused.with("Content-Range", "bytes */" + std::to_string(found.size_bytes));
    return refused;
  }
  if (range.kind == Range::Kind::kPart) {
    body.offset = range.offset;
    body.length = range.length;
    answer.status = 206;
    answer.reason = "Partial Content";
    answer.with("Content-Range", "bytes " + std::to_string(body.offset) + "-" +
                                     std::to_string(body.offset + body.length - 1) + "/" +
                                     std::to_string(found.size_bytes));
  }
  answer.file = std::move(body);
  return answer;
}

Task<Answer> Mirror::file(const Request& request, std::string project, std::string filename,
                          Patience& patience) {
  const auto view = co_await page_of(project, patience);
  if (!view) co_return problem(status_of(view.error()), view.error());
  const Page page = view->page;
  const ProjectFile* entry = page->find(filename);
  if (entry == nullptr) co_return not_found("upstream's page has no file of this name");
  auto list = said();
  if (!list) co_return problem(503, list.error());
  const Judgement release = parts_.scanner.judge_release(project, entry->version);
  Decision decision =
      parts_.policy.decide(project, *entry, **list, release, nullptr, parts_.clock.now());
  if (decision.action != Action::kServe) {
    co_return co_await refuse(request, project, *entry, std::move(decision));
  }
  for (bool again = false;; again = true) {
    const auto found = co_await files_.get(project, *entry, options_.scan_wait, patience);
    if (!found) co_return co_await fail(request, project, *entry, found.error());
    ProjectFile file = *entry;
    file.content_sha256 = found->sha256;
    // Again with what was found inside, and with whatever the operator said in the meantime.
    list = said();
    if (!list) co_return problem(503, list.error());
    decision = parts_.policy.decide(project, file, **list,
                                    parts_.scanner.judge_release(project, entry->version),
                                    &found->inspection, parts_.clock.now());
    if (decision.action != Action::kServe) {
      co_return co_await refuse(request, project, *entry, std::move(decision));
    }
    auto answer = send(request, BlobKind::kFile, *found);
    if (!answer && !again && is_lost(answer.error())) {
      files_.forget(project, *entry);
      continue;
    }
    if (!answer) co_return co_await fail(request, project, *entry, answer.error());
    const auto logged = co_await decisions_.report(project, *entry, decision, request.client);
    if (!logged) co_return problem(503, logged.error());
    if (decision.verdict != Verdict::kClean || decision.by_operator) {
      answer->with("X-Mlxguard-Verdict", std::string(name_of(decision.verdict)));
    }
    co_return *std::move(answer);
  }
}

/// METADATA is what a resolver reads of a file: refused where the file would be, as far as that is
/// known before its bytes are here. That it is the file's own is found out when they are.
Task<Answer> Mirror::metadata(const Request& request, std::string project, std::string filename,
                              Patience& patience) {
  const auto view = co_await page_of(project, patience);
  if (!view) co_return problem(status_of(view.error()), view.error());
  const Page page = view->page;
  const ProjectFile* entry = page->find(filename);
  if (entry == nullptr || entry->metadata_sha256.empty()) {
    co_return not_found("upstream's page has no metadata of this file");
  }
  const auto list = said();
  if (!list) co_return problem(503, list.error());
  const Inspected* known = files_.find(project, *entry);
  Decision decision = parts_.policy.decide(
      project, *entry, **list, parts_.scanner.judge_release(project, entry->version),
      known == nullptr ? nullptr : &known->inspection, parts_.clock.now());
  if (decision.action != Action::kServe) {
    co_return co_await refuse(request, project, *entry, std::move(decision));
  }
  const auto found = co_await files_.get_metadata(*entry, patience);
  if (!found) co_return co_await fail(request, project, *entry, found.error());
  auto answer = send(request, BlobKind::kMetadata, *found);
  if (!answer) co_return co_await fail(request, project, *entry, answer.error());
  const auto logged = co_await decisions_.report_metadata(project, *entry, request.client);
  if (!logged) co_return problem(503, logged.error());
  co_return *std::move(answer);
}

}  // namespace mlxguard::mirror
