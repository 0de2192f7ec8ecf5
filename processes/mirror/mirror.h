// SPDX-License-Identifier: Apache-2.0
// Mirror: a request's way to its answer. Index pages, files, metadata, vulnerability data. Every
// file passes Policy twice: before it is fetched, and when it has been looked into.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "decisions.h"
#include "exchange.h"
#include "files.h"
#include "http/exchange.h"
#include "mirror/policy.h"
#include "mirror/render.h"
#include "pages.h"

namespace mlxguard::mirror {

struct MirrorOptions {
  std::chrono::milliseconds scan_wait{std::chrono::minutes(5)};
  std::vector<crypto::Sha256Digest> api_keys;  ///< digests; empty: nobody is asked
};

struct MirrorParts {
  asio::io_context& io;
  asio::thread_pool& pool;
  Store& store;
  Upstream& upstream;
  const Scanner& scanner;
  const Policy& policy;
  log::EventLog& log;
  const Clock& clock;
};

class Mirror final : public http::Handler {
 public:
  Mirror(MirrorParts parts, MirrorOptions options, PageOptions page_options);

  [[nodiscard]] Task<void> handle(http::Exchange& exchange) override;
  [[nodiscard]] Task<void> refuse(http::Exchange& exchange, Error error) override;

 private:
  [[nodiscard]] Task<Answer> answer(const Request& request, Patience& patience);
  struct Rendered {
    Page page;
    std::uint64_t said_version = 0;
    std::int64_t minute = 0;
    std::int64_t stale_ms = 0;
    std::shared_ptr<const std::string> body;
    std::string etag;
    std::size_t held = 0, not_allowed = 0;
    std::string newest_hidden;
  };

  [[nodiscard]] Task<Answer> route(const Request& request, Patience& patience);
  [[nodiscard]] Task<Answer> project_page(const Request& request, std::string project,
                                          PageFormat format, Patience& patience);
  [[nodiscard]] Task<Answer> file(const Request& request, std::string project, std::string filename,
                                  Patience& patience);
  [[nodiscard]] Task<Answer> metadata(const Request& request, std::string project,
                                      std::string filename, Patience& patience);
  [[nodiscard]] Task<Answer> refuse(const Request& request, std::string project, ProjectFile file,
                                    Decision decision);
  [[nodiscard]] Task<Answer> fail(const Request& request, std::string project, ProjectFile file,
                                  Error error);
  [[nodiscard]] Task<Result<PageView>> page_of(std::string project, Patience& patience);
  [[nodiscard]] Answer projects(PageFormat format) const;
  [[nodiscard]] Answer status() const;
  [[nodiscard]] const Rendered& render(const PageView& view, PageFormat format);
  [[nodiscard]] Result<const OperatorList*> said();
  [[nodiscard]] Result<Answer> send(const Request& request, BlobKind kind, const Inspected& found);
  [[nodiscard]] bool may_ask(const Request& request) const;

  MirrorParts parts_;
  MirrorOptions options_;
  Pages pages_;
  Files files_;
  Decisions decisions_;
  std::map<std::string, Rendered> rendered_;
  std::size_t rendered_bytes_ = 0;
  OperatorList said_;
  std::string said_identity_;
  std::uint64_t said_version_ = 0;
};

}  // namespace mlxguard::mirror
