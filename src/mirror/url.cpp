// SPDX-License-Identifier: Apache-2.0
#include "mirror/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/ascii.h"
#include "base/percent.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kUrlBytesMax = 4096;
constexpr std::size_t kHostBytesMax = 253;

Error refused(std::string message) {
  return make_error(ErrorCode::kMirrorPage, std::move(message));
}

/// Bytes that have no place in a URL, spaces and backslashes included: readers disagree about them.
bool has_unsafe_byte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>';
  });
}

/// "127.1", "0x7f.1" and "2130706433" are addresses to some readers and names to others. A host
/// whose last label is a number is accepted as an IPv4 address in its usual form only.
bool is_ambiguous_address(std::string_view host) {
  std::string_view last = host.substr(0, host.size() - (host.ends_with('.') ? 1 : 0));
  last = last.substr(last.rfind('.') + 1);  // the whole where there is no dot
  const bool hexadecimal = last.starts_with("0x");
  if (hexadecimal) last.remove_prefix(2);
  const char* const digits = hexadecimal ? "0123456789abcdef" : "0123456789";
  if (last.find_first_not_of(digits) != std::string_view::npos) return false;
  in_addr address{};
  return ::inet_pton(AF_INET, std::string(host).c_str(), &address) != 1;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
    return refused("expected a port from 1 to 65535 in a URL");
  }
  return static_cast<std::uint16_t>(port);
}

Result<void> parse_authority(std::string_view authority, Credentials credentials, Url& url) {
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    if (credentials == Credentials::kRefused) return refused("a link with credentials");
    url.credentials = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return refused("an IPv6 address without its bracket");
    url.host = ascii_lower(authority.substr(1, end - 1));
    if (url.host.find_first_not_of("0123456789abcdef:.") != std::string::npos) {
      return refused("not an IPv6 address in a URL");
    }
    port = authority.substr(end + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = ascii_lower(authority.substr(0, colon));
    const bool plain = std::all_of(url.host.begin(), url.host.end(), [](char c) {
      return is_ascii_alphanumeric(c) || c == '-' || c == '.' || c == '_';
    });
    if (!plain) return refused("a host name with other than letters, digits, '-', '.' and '_'");
    if (is_ambiguous_address(url.host)) return refused("an IPv4 address in an unusual form");
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (url.host.empty() || url.host.size() > kHostBytesMax)
    return refused("expected a host in a URL");
  url.port = url.scheme == "https" ? 443 : 80;
  if (!port.empty()) {
    if (port[0] != ':') return refused("expected a port after the host");
    MLXGUARD_TRY_ASSIGN(url.port, parse_port(port.substr(1)));
  }
  return {};
}

/// RFC 3986, 5.2.4.
std::string without_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  std::size_t at = 0;
  bool folder = false;
  while (at < path.size()) {
    const std::size_t slash = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = path.substr(at + 1, slash - at - 1);
    folder = false;
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
      folder = true;
    } else if (segment == ".") {
      folder = true;
    } else {
      kept.push_back(segment);
    }
    at = slash;
  }
  std::string out;
  for (const std::string_view segment : kept) out.append("/").append(segment);
  if (folder || out.empty()) out += '/';
  return out;
}

void set_path(Url& url, std::string_view rest) {
  const auto question = rest.find('?');
  std::string path(rest.substr(0, question));
  if (!path.starts_with('/')) path.insert(0, "/");
  url.path = without_dot_segments(path);
  url.query = question == std::string_view::npos ? "" : std::string(rest.substr(question + 1));
}

Result<std::string_view> checked(std::string_view text) {
  if (text.empty() || text.size() > kUrlBytesMax) {
    return refused("expected a URL of 1 to " + std::to_string(kUrlBytesMax) + " bytes");
  }
  if (has_unsafe_byte(text)) return refused("a URL with bytes that do not belong in one");
  return text.substr(0, text.find('#'));
}

/// The scheme of an absolute reference, lower case; empty for a relative one.
std::string scheme_of(std::string_view text) {
  const auto colon = text.find_first_of(":/?");
  if (colon == std::string_view::npos || text[colon] != ':') return {};
  return ascii_lower(text.substr(0, colon));
}

}  // namespace

std::string Url::text() const {
  std::string out = scheme + "://";
  out += host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (scheme == "https" ? 443 : 80)) out += ":" + std::to_string(port);
  out += path;
  if (!query.empty()) out += "?" + query;
  return out;
}

Result<Url> parse_url(std::string_view untrusted_text, Credentials credentials) {
  MLXGUARD_TRY_ASSIGN(std::string_view rest, checked(untrusted_text));
  Url url;
  url.scheme = scheme_of(rest);
  if (url.scheme != "http" && url.scheme != "https")
    return refused("expected an http or https URL");
  rest.remove_prefix(url.scheme.size() + 1);
  if (!rest.starts_with("//")) return refused("expected // after the scheme of a URL");
  rest.remove_prefix(2);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  MLXGUARD_TRY(parse_authority(rest.substr(0, end), credentials, url));
  set_path(url, rest.substr(end));
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view untrusted_reference) {
  MLXGUARD_TRY_ASSIGN(const std::string_view reference, checked(untrusted_reference));
  if (!scheme_of(reference).empty()) return parse_url(reference);
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  Url url = base;
  url.credentials.clear();
  if (reference.empty()) return url;
  if (reference.starts_with('/')) {
    set_path(url, reference);
  } else if (reference.starts_with('?')) {
    url.query = reference.substr(1);
  } else {
    set_path(url, base.path.substr(0, base.path.rfind('/') + 1) + std::string(reference));
  }
  return url;
}

Result<std::string> percent_decode(std::string_view text) {
  auto decoded = mlxguard::percent_decode(text);
  if (!decoded) return refused("a percent escape that is cut off or broken");
  if (text.find("%00") != std::string_view::npos) return refused("a percent escape of NUL");
  return *std::move(decoded);
}

std::string percent_encode(std::string_view text) { return mlxguard::percent_encode(text, "-._~"); }

}  // namespace mlxguard::mirror
