// SPDX-License-Identifier: Apache-2.0
// Pages: the project pages that the mirror knows, each fetched once for all who ask, kept in memory
// and on disk, revalidated when they are old, and served old when upstream does not answer. Used on
// the event loop's thread; what blocks runs in the pool.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "flights.h"
#include "mirror/project_page.h"
#include "mirror/store.h"
#include "upstream.h"

namespace mlxguard::mirror {

struct PageOptions {
  std::chrono::milliseconds fresh_for{std::chrono::minutes(10)};
  std::chrono::milliseconds missing_for{std::chrono::minutes(1)};
  /// After a failure upstream is left alone for so long, and answers come from the cache.
  std::chrono::milliseconds rest_after_failure{std::chrono::seconds(15)};
  std::chrono::milliseconds wait{std::chrono::minutes(2)};
};

using Page = std::shared_ptr<const ProjectPage>;

/// A page, and how old it is if upstream could not be asked.
struct PageView {
  Page page;
  std::int64_t stale_ms = 0;
  std::optional<Error> trouble{};  ///< why it is not fresh
};

class Pages {
 public:
  Pages(asio::io_context& io, asio::thread_pool& pool, Store& store, Upstream& upstream,
        const Clock& clock, PageOptions options);

  /// Errors: kNotFound (upstream has no such project), kMirrorUpstream, kMirrorPage and kTooLarge
  /// (and there is no older page), kMirrorHeld (still waiting).
  [[nodiscard]] Task<Result<PageView>> get(std::string project, Patience& patience);

 private:
  struct Known {
    Page page;
    std::int64_t missing_until_ms = 0;
  };
  struct Fetched {
    Page page;                     ///< the best there is
    std::optional<Error> trouble;  ///< why it is not fresh
  };

  [[nodiscard]] Fetched refresh(const std::string& project, Page known);
  [[nodiscard]] Result<Page> ask_upstream(const std::string& project, const Page& known);
  [[nodiscard]] bool fresh(const ProjectPage& page) const;
  [[nodiscard]] std::int64_t now_ms() const { return clock_.now().time_since_epoch().count(); }
  void remember(const std::string& project, Known known);

  Store& store_;
  Upstream& upstream_;
  const Clock& clock_;
  PageOptions options_;
  Flights<Fetched> flights_;
  std::map<std::string, Known> known_;
  std::size_t files_known_ = 0;
  std::atomic<std::int64_t> rest_until_ms_{0};
};

}  // namespace mlxguard::mirror
