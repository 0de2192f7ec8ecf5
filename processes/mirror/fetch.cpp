// SPDX-License-Identifier: Apache-2.0
#include "fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "mirror_sandbox.h"
#include "upstream.h"

namespace mlxguard::mirror {
namespace {

bool is_this_machine(const std::string& host) {
  return host == "localhost" || host == "127.0.0.1" || host == "::1";
}

}  // namespace

Result<void> fetch_to_file(const FetchOptions& options) {
  MLXGUARD_TRY_ASSIGN(Url url, parse_url(options.url));
  if (url.scheme != "https" && !is_this_machine(url.host)) {
    return make_error(ErrorCode::kUsage,
                      "expected an https URL: over plain http anyone on the way "
                      "could write the advisories")
        .about(url.text());
  }
  const UniqueFd file(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open())
    return os_error("create", options.file.string()).about(options.file.string());
  UpstreamOptions upstream_options;
  upstream_options.index = url;
  upstream_options.ca_bundle = options.ca_bundle;
  const std::vector<std::uint16_t> ports = connect_ports(upstream_options);
  MLXGUARD_TRY_ASSIGN(const auto upstream, Upstream::create(std::move(upstream_options)));
  MLXGUARD_TRY_ASSIGN(const auto isolation,
                      lock_this_mirror({options.file.parent_path(), options.ca_bundle, ports}));
  static_cast<void>(isolation);  // every fetch is locked as far as this machine can
  std::uint64_t total = 0;
  auto fetched = upstream->fetch_file(options.url, [&](Bytes bytes) -> Result<void> {
    total += bytes.size();
    if (total > limits::kAdvisoryDatabaseBytesMax) {
      return make_error(ErrorCode::kTooLarge, "a download longer than any advisory database");
    }
    return write_all(file.get(), as_text(bytes), "the download");
  });
  if (fetched && ::fsync(file.get()) != 0) fetched = os_error("write", options.file.string());
  if (!fetched) ::unlink(options.file.c_str());
  return fetched;
}

}  // namespace mlxguard::mirror
