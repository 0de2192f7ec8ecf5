// SPDX-License-Identifier: Apache-2.0
// What mirror/url checks is what libcurl fetches: every URL that ours accepts, curl takes apart in
// the same way.
#include <curl/curl.h>
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>

#include "mirror/url.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {

struct CurlUrlCloser {
  void operator()(CURLU* handle) const { ::curl_url_cleanup(handle); }
};

/// One part of a URL as curl reads it; empty where there is none.
std::string part_of(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(handle, part, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, void (*)(void*)> owner(text, &::curl_free);
  return text;
}

/// The same URL as curl takes it apart.
std::optional<Url> as_curl_reads(const std::string& text) {
  const std::unique_ptr<CURLU, CurlUrlCloser> handle(::curl_url());
  if (::curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  Url url;
  url.scheme = part_of(handle.get(), CURLUPART_SCHEME);
  url.host = part_of(handle.get(), CURLUPART_HOST);
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  const std::string port = part_of(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.port = static_cast<std::uint16_t>(std::strtoul(port.c_str(), nullptr, 10));
  url.path = part_of(handle.get(), CURLUPART_PATH);
  url.query = part_of(handle.get(), CURLUPART_QUERY);
  return url;
}

}  // namespace

TEST_CASE("mirror url: curl takes every URL that is accepted apart in the same way") {
  int accepted = 0;
  for (const std::string scheme : {"http://", "HTTPS://", "http:///", "https:\\\\"}) {
    for (const std::string host :
         {"host.example", "Host.Example.", "127.0.0.1", "127.1", "0x7f.1", "2130706433",
          "017.0.0.1", "host.0x1", "[::1]", "[::ffff:127.0.0.1]", "[::1%25lo]", "h%6fst", "a_b-c",
          "..", "1and1", "user@host", "ho\tst"}) {
      for (const std::string port :
           {"", ":", ":80", ":8443", ":0080", ":+80", ":443@evil.example"}) {
        for (const std::string path :
             {"", "/", "/a/../b", "/a/%2e%2e/b", "//a", "/a;b=c", "/..", "/a/.", "/a?b", "?x=/../y",
              "/a?b?c#d", "#e", "/a\\b", "/%", "/a@b:1/c"}) {
          const std::string text = scheme + host + port + path;
          const auto ours = parse_url(text);
          if (!ours) continue;
          CAPTURE(text);
          const auto theirs = as_curl_reads(ours->text());
          REQUIRE(theirs);
          CHECK(theirs->scheme == ours->scheme);
          CHECK(theirs->host == ours->host);
          CHECK(theirs->port == ours->port);
          CHECK(theirs->path == ours->path);
          CHECK(theirs->query == ours->query);
          ++accepted;
        }
      }
    }
  }
  CHECK(accepted > 100);
}
