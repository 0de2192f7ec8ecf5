// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <algorithm>

namespace mlxguard::mirror {
namespace {

/// Pages in memory, by their number and by the files in them.
constexpr std::size_t kPagesKnownMax = 8192;
constexpr std::size_t kFilesKnownMax = 1'000'000;

bool is_json(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  return content_type == "application/vnd.pypi.simple.v1+json" ||
         content_type == "application/json";
}

bool is_html(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  return content_type == "text/html" || content_type == "application/vnd.pypi.simple.v1+html";
}

}  // namespace

Pages::Pages(asio::io_context& io, asio::thread_pool& pool, Store& store, Upstream& upstream,
             const Clock& clock, PageOptions options)
    : store_(store), upstream_(upstream), clock_(clock), options_(options), flights_(io, pool) {}

bool Pages::fresh(const ProjectPage& page) const {
  const std::int64_t age = now_ms() - page.fetched_ms;
  return age >= 0 && age < options_.fresh_for.count();
}

Task<Result<PageView>> Pages::get(std::string project, Patience& patience) {
  Page known;
  if (const auto found = known_.find(project); found != known_.end()) {
    known = found->second.page;
    if (known && fresh(*known)) co_return PageView{known};
    if (found->second.missing_until_ms > now_ms()) {
      co_return make_error(ErrorCode::kNotFound, "upstream has no project " + project);
    }
  }
  // Named, not temporaries inside of co_await: g++ 12 destroys those twice.
  Flights<Fetched>::Job job = [this, project, known] { return refresh(project, known); };
  const auto outcome = co_await flights_.join(project, std::move(job), options_.wait, patience);
  if (!outcome) co_return make_error(ErrorCode::kMirrorUpstream, "upstream is still being asked");
  if (!outcome->trouble) {
    remember(project, {outcome->page, 0});
    co_return PageView{outcome->page};
  }
  const bool missing = outcome->trouble->code == ErrorCode::kNotFound;
  if (missing) remember(project, {nullptr, now_ms() + options_.missing_for.count()});
  if (missing || !outcome->page) co_return *outcome->trouble;
  co_return PageView{outcome->page, std::max<std::int64_t>(1, now_ms() - outcome->page->fetched_ms),
                     outcome->trouble};
}

void Pages::remember(const std::string& project, Known known) {
  if (known_.size() >= kPagesKnownMax || files_known_ >= kFilesKnownMax) {
    known_.clear();  // rare, and all of it is on disk
    files_known_ = 0;
  }
  if (known.page) files_known_ += known.page->files.size();
  known_[project] = std::move(known);
}

/// In the pool. What was known, what the disk has, or what upstream says: the first that is fresh.
Pages::Fetched Pages::refresh(const std::string& project, Page known) {
  if (!known) {
    if (auto stored = store_.page(project)) {
      known = std::make_shared<const ProjectPage>(*std::move(stored));
    }
  }
  if (known && fresh(*known)) return {known, {}};
  if (known && rest_until_ms_ > now_ms()) {
    return {known, make_error(ErrorCode::kMirrorUpstream, "upstream did not answer a moment ago")};
  }
  auto asked = ask_upstream(project, known);
  if (!asked) {
    if (asked.error().code == ErrorCode::kMirrorUpstream) {
      rest_until_ms_ = now_ms() + options_.rest_after_failure.count();
    }
    return {known, std::move(asked).error()};
  }
  return {*std::move(asked), {}};
}

Result<Page> Pages::ask_upstream(const std::string& project, const Page& known) {
  MLXGUARD_TRY_ASSIGN(const PageAnswer answer,
                      upstream_.fetch_page(project, known ? known->etag : std::string(),
                                           known ? known->last_modified : std::string()));
  if (answer.status == 404) {
    return make_error(ErrorCode::kNotFound, "upstream has no project " + project);
  }
  ProjectPage page;
  if (answer.status == 304) {
    if (!known)
      return make_error(ErrorCode::kMirrorUpstream, "upstream answers 304 to a first request");
    page = *known;
  } else if (is_json(answer.content_type)) {
    MLXGUARD_TRY_ASSIGN(page, parse_json_page(project, answer.url, answer.body));
  } else if (is_html(answer.content_type)) {
    MLXGUARD_TRY_ASSIGN(page, parse_html_page(project, answer.url, answer.body));
  } else {
    return make_error(ErrorCode::kMirrorPage, "upstream's page is neither JSON nor HTML");
  }
  if (answer.status == 200) {
    keep_first_seen(page, known.get(), now_ms());
    page.etag = answer.etag;
    page.last_modified = answer.last_modified;
  }
  page.fetched_ms = now_ms();
  MLXGUARD_TRY(store_.put_page(page));
  return std::make_shared<const ProjectPage>(std::move(page));
}

}  // namespace mlxguard::mirror
