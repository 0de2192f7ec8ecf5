// SPDX-License-Identifier: Apache-2.0
// Upstream: fetches from the index before which the mirror stands. Sole includer of the HTTP
// client. Trusted: the operator's choice of the index. Not trusted: all that it answers, so
// redirects are followed by hand, within a bound, never to another scheme, and never into the inner
// network unless the operator's own URL leads there; answers are bounded in bytes (after
// decompression) and in time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "mirror/url.h"

namespace mlxguard::mirror {

/// A host besides the index's own that links may lead to in the inner network, or at a port of its
/// own.
struct InnerHost {
  std::string host;
  std::uint16_t port = 0;  ///< 0: any of those that links may lead to anyway
};

struct UpstreamOptions {
  Url index;              ///< ".../simple/"
  std::string ca_bundle;  ///< PEM file; empty: the library's default
  std::string proxy;      ///< empty: none, whatever the environment says
  std::vector<InnerHost> inner_hosts;
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds stall_timeout{30};  ///< slower than 1 KiB/s for so long
  std::chrono::seconds page_timeout{60};
  std::chrono::seconds file_timeout{3600};
};

/// The TCP ports that upstream and its links may need: the index's own, those of https and (for a
/// plain http index) http, of the inner hosts and of the proxy.
[[nodiscard]] std::vector<std::uint16_t> connect_ports(const UpstreamOptions& options);

struct PageAnswer {
  unsigned status = 0;  ///< 200, 304 or 404
  std::string body;
  std::string content_type;
  std::string etag;
  std::string last_modified;
  Url url;  ///< where the answer came from, after redirects
};

class Upstream {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Upstream>> create(UpstreamOptions options);
  ~Upstream();

  /// A project's page, revalidated if it was there before. Thread-safe, blocks.
  /// Errors: kMirrorUpstream; kTooLarge.
  [[nodiscard]] Result<PageAnswer> fetch_page(const std::string& project, const std::string& etag,
                                              const std::string& last_modified);
  using Write = std::function<Result<void>(Bytes)>;
  /// A file's bytes as they come. Thread-safe, blocks. Errors: kMirrorUpstream (also for a body
  /// that ends early), and those of `write`.
  [[nodiscard]] Result<void> fetch_file(const std::string& url, const Write& write);

  [[nodiscard]] const Url& index() const;

 private:
  struct Impl;
  explicit Upstream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::mirror
