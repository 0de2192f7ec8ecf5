// SPDX-License-Identifier: Apache-2.0
#include "upstream.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "addresses.h"
#include "base/ascii.h"
#include "base/limits.h"

namespace mlxguard::mirror {
namespace {

constexpr const char* kAcceptPage =
    "Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1";
constexpr const char* kAgent = "mlxguard-mirror/" MLXGUARD_VERSION;
constexpr long kStallBytesPerSecond = 1024;
constexpr std::size_t kHeaderValueBytesMax = 1024;

struct EasyCloser {
  void operator()(CURL* easy) const { ::curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyCloser>;

struct ListCloser {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListCloser>;

Error failed(std::string message) {
  return make_error(ErrorCode::kMirrorUpstream, std::move(message));
}

/// One exchange: what its callbacks need, and what came of it.
struct Exchange {
  Upstream::Write write;
  bool inner_allowed = false;
  long status = 0;
  std::string location, content_type, etag, last_modified;
  std::optional<Error> refusal;  ///< why a callback ended it
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::size_t bytes = size * count;
  // The body of a redirect or an error is of no interest, and of unknown size: enough of it.
  if (exchange.status != 200) return 0;
  auto written = exchange.write({reinterpret_cast<const std::uint8_t*>(data), bytes});
  if (written) return bytes;
  exchange.refusal = std::move(written).error();
  return 0;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {
    const auto space = line.find(' ');
    exchange.status =
        space == std::string_view::npos
            ? 0
            : std::strtol(std::string(line.substr(space + 1, 3)).c_str(), nullptr, 10);
    return line.size();
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && static_cast<unsigned char>(value.back()) <= ' ') value.remove_suffix(1);
  if (value.size() > kHeaderValueBytesMax * 4) return line.size();
  const std::string name = ascii_lower(line.substr(0, colon));
  if (name == "location") exchange.location = value;
  if (value.size() > kHeaderValueBytesMax) return line.size();
  if (name == "content-type") exchange.content_type = value;
  if (name == "etag") exchange.etag = value;
  if (name == "last-modified") exchange.last_modified = value;
  return line.size();
}

/// Asked for each connection, with the address that it will really go to: a name that resolves to
/// another address between a check and a use finds no gap here.
curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (!exchange.inner_allowed && is_inner_address(&address->addr)) {
    exchange.refusal = failed("refused to follow upstream to an inner address");
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// "http://user:password@proxy:3128" and shorter forms, as the HTTP client reads them.
std::uint16_t port_of_proxy(std::string_view proxy) {
  constexpr std::uint16_t kDefault = 1080;
  const auto scheme = proxy.find("://");
  const bool https = proxy.substr(0, scheme) == "https" && scheme != std::string_view::npos;
  if (scheme != std::string_view::npos) proxy.remove_prefix(scheme + 3);
  proxy = proxy.substr(0, proxy.find('/'));
  const auto colon = proxy.rfind(':');
  const auto bracket = proxy.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return https ? 443 : kDefault;
  }
  std::uint16_t port = 0;
  const char* end = proxy.data() + proxy.size();
  const auto read = std::from_chars(proxy.data() + colon + 1, end, port);
  return read.ec == std::errc() && read.ptr == end && port > 0 ? port : kDefault;
}

}  // namespace

std::vector<std::uint16_t> connect_ports(const UpstreamOptions& options) {
  if (!options.proxy.empty()) return {port_of_proxy(options.proxy)};
  std::vector<std::uint16_t> ports = {options.index.port, 443};
  if (options.index.scheme == "http") ports.push_back(80);
  for (const InnerHost& inner : options.inner_hosts) {
    if (inner.port != 0) ports.push_back(inner.port);
  }
  return ports;
}

struct Upstream::Impl {
  explicit Impl(UpstreamOptions chosen) : options(std::move(chosen)) {}

  /// Handles keep their connections; one for each request that is under way.
  Easy borrow() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return Easy(::curl_easy_init());
    Easy easy = std::move(idle.back());
    idle.pop_back();
    return easy;
  }
  void give_back(Easy easy) {
    const std::lock_guard lock(mutex);
    if (idle.size() < kIdleMax) idle.push_back(std::move(easy));
  }
  [[nodiscard]] bool may_be_inner(const Url& url) const {
    return url.same_server(options.index) || is_inner_host(url, 0);
  }
  /// Named by the operator: without a port, or (`port`) with this one.
  [[nodiscard]] bool is_inner_host(const Url& url, std::uint16_t port) const {
    const auto names = [&](const InnerHost& inner) {
      const bool at_port = inner.port == url.port || (port == 0 && inner.port == 0);
      return inner.host == url.host && at_port;
    };
    return std::any_of(options.inner_hosts.begin(), options.inner_hosts.end(), names);
  }
  Result<void> check(const Url& url) const;
  Result<Url> fetch(Url url, const std::vector<std::string>& headers, bool compressed,
                    std::chrono::seconds timeout, Exchange& exchange);
  Result<void> exchange_once(CURL* easy, const Url& url, const std::vector<std::string>& headers,
                             bool compressed, std::chrono::seconds timeout, Exchange& exchange);

  static constexpr std::size_t kIdleMax = 32;
  UpstreamOptions options;
  std::mutex mutex;
  std::vector<Easy> idle;
};

Result<void> Upstream::Impl::check(const Url& url) const {
  if (url.scheme == "http" && options.index.scheme == "https") {
    return failed("refused to follow upstream from https to http");
  }
  // A proxy connects for us, and to names that only it resolves; what is an address is judged here.
  if (!options.proxy.empty() && !may_be_inner(url) && is_inner_text(url.host)) {
    return failed("refused to follow upstream to an inner address");
  }
  const bool usual = url.port == 443 || (url.scheme == "http" && url.port == 80);
  if (!usual && !url.same_server(options.index) && !is_inner_host(url, url.port)) {
    return failed("refused to follow upstream to port " + std::to_string(url.port) +
                  ": --inner-host HOST:PORT allows it")
        .about(url.host);
  }
  return {};
}

Result<void> Upstream::Impl::exchange_once(CURL* easy, const Url& url,
                                           const std::vector<std::string>& headers, bool compressed,
                                           std::chrono::seconds timeout, Exchange& exchange) {
  ::curl_easy_reset(easy);
  HeaderList list;
  for (const std::string& header : headers) {
    list.reset(::curl_slist_append(list.release(), header.c_str()));
  }
  const auto set = [easy](CURLoption option, auto value) {
    MLXGUARD_CHECK(::curl_easy_setopt(easy, option, value) == CURLE_OK);
  };
  set(CURLOPT_URL, url.text().c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_PROXY, options.proxy.c_str());  // an empty text: no proxy, not the environment's
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_bundle.empty()) set(CURLOPT_CAINFO, options.ca_bundle.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, kAgent);
  set(CURLOPT_HTTPHEADER, list.get());
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_TIMEOUT, static_cast<long>(timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  if (compressed) set(CURLOPT_ACCEPT_ENCODING, "gzip");
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &exchange);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &exchange);
  // Behind a proxy every connection goes to the proxy, which the operator named.
  exchange.inner_allowed = may_be_inner(url) || !options.proxy.empty();
  set(CURLOPT_OPENSOCKETFUNCTION, on_socket);
  set(CURLOPT_OPENSOCKETDATA, &exchange);
  if (url.same_server(options.index) && !options.index.credentials.empty()) {
    const std::string& both = options.index.credentials;
    const auto colon = std::min(both.find(':'), both.size());
    auto user = percent_decode(both.substr(0, colon));
    auto password = percent_decode(colon < both.size() ? both.substr(colon + 1) : "");
    if (!user || !password) return failed("the credentials of the upstream URL cannot be decoded");
    set(CURLOPT_USERNAME, user->c_str());
    set(CURLOPT_PASSWORD, password->c_str());
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
  }
  const CURLcode code = ::curl_easy_perform(easy);
  if (exchange.refusal) return std::move(*exchange.refusal);
  const bool cut_by_us = code == CURLE_WRITE_ERROR && exchange.status != 200;
  if (code != CURLE_OK && !cut_by_us) {
    return failed(std::string("upstream: ") + ::curl_easy_strerror(code)).about(url.host);
  }
  return {};
}

/// Follows redirects itself: each hop is checked like the first.
Result<Url> Upstream::Impl::fetch(Url url, const std::vector<std::string>& headers, bool compressed,
                                  std::chrono::seconds timeout, Exchange& exchange) {
  for (int hop = 0; hop <= limits::kMirrorRedirectsMax; ++hop) {
    MLXGUARD_TRY(check(url));
    exchange.status = 0;
    exchange.location.clear();
    Easy easy = borrow();
    if (!easy) return make_error(ErrorCode::kInternal, "the HTTP client could not start");
    MLXGUARD_TRY(exchange_once(easy.get(), url, headers, compressed, timeout, exchange));
    give_back(std::move(easy));
    const long status = exchange.status;
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
      return url;
    auto next = resolve_url(url, exchange.location);
    if (!next) return failed("refused a redirect of upstream: " + next.error().message);
    url = *std::move(next);
  }
  return failed("upstream redirects more than " + std::to_string(limits::kMirrorRedirectsMax) +
                " times");
}

Upstream::Upstream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Upstream::~Upstream() = default;

Result<std::unique_ptr<Upstream>> Upstream::create(UpstreamOptions options) {
  if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return make_error(ErrorCode::kInternal, "the HTTP client could not start");
  }
  if (!options.index.path.ends_with('/')) options.index.path += '/';
  return std::unique_ptr<Upstream>(new Upstream(std::make_unique<Impl>(std::move(options))));
}

const Url& Upstream::index() const { return impl_->options.index; }

Result<PageAnswer> Upstream::fetch_page(const std::string& project, const std::string& etag,
                                        const std::string& last_modified) {
  PageAnswer answer;
  MLXGUARD_TRY_ASSIGN(answer.url, resolve_url(index(), project + "/"));
  std::vector<std::string> headers = {kAcceptPage};
  if (!etag.empty()) {
    headers.push_back("If-None-Match: " + etag);
  } else if (!last_modified.empty()) {
    headers.push_back("If-Modified-Since: " + last_modified);
  }
  Exchange exchange;
  exchange.write = [&](Bytes bytes) -> Result<void> {
    // Bytes after decompression: a small bomb is as large here as it would become.
    if (bytes.size() > limits::kMirrorPageBytesMax - answer.body.size()) {
      return make_error(ErrorCode::kTooLarge, "an index page that is too large");
    }
    answer.body.append(as_text(bytes));
    return {};
  };
  MLXGUARD_TRY_ASSIGN(
      answer.url, impl_->fetch(answer.url, headers, true, impl_->options.page_timeout, exchange));
  answer.status = static_cast<unsigned>(exchange.status);
  if (answer.status != 200 && answer.status != 304 && answer.status != 404) {
    return failed("upstream answers " + std::to_string(answer.status)).about(answer.url.host);
  }
  answer.content_type = std::move(exchange.content_type);
  answer.etag = std::move(exchange.etag);
  answer.last_modified = std::move(exchange.last_modified);
  return answer;
}

Result<void> Upstream::fetch_file(const std::string& url, const Write& write) {
  MLXGUARD_TRY_ASSIGN(const Url parsed, parse_url(url));
  Exchange exchange;
  exchange.write = write;
  MLXGUARD_TRY(impl_->fetch(parsed, {"Accept: */*"}, false, impl_->options.file_timeout, exchange));
  if (exchange.status != 200) {
    return failed("upstream answers " + std::to_string(exchange.status) + " for a file")
        .about(parsed.host);
  }
  return {};
}

}  // namespace mlxguard::mirror
