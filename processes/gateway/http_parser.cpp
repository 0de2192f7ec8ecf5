// SPDX-License-Identifier: Apache-2.0
#include "http_parser.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace mlxguard::gateway {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using BeastError = boost::system::error_code;

/// More than this is reserved only as it arrives: a length is only a claim.
constexpr std::uint64_t kBodyReserveMax = 1u << 20;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// Headers that two readers could understand differently when they come twice.
enum Seen : unsigned {
  kHost = 1,
  kContentLength = 2,
  kTransferEncoding = 4,
  kAuthorization = 8,
  kApiKey = 16,
  kContentType = 32,
  kExpect = 64,
};

}  // namespace

class HttpParser::Impl final : public http::basic_parser<true> {
 public:
  explicit Impl(HttpLimits limits) : limits_(limits) {
    // The bounds are ours: the library's would be found before the route and the key are known.
    body_limit(boost::none);
    header_limit(static_cast<std::uint32_t>(limits.header_bytes_max + 1));
  }

  /// The library's parser may not be used again after an error, so the error stays.
  Result<std::size_t> feed(std::span<const char> bytes) {
    if (refusal_) return *refusal_;
    auto used = parse(bytes);
    if (!used) refusal_ = used.error();
    return used;
  }

  RequestHead head_;
  std::string body_;
  bool reading_body_ = false;

 private:
  static constexpr std::size_t kChunkHeaderBytesMax = 256;
  /// "0", CRLF, CRLF: no chunked body ends in less, so waiting for as much holds up none. The
  /// library asserts that a last chunk it has half seen comes with as much, and would abort.
  static constexpr std::size_t kLastChunkBytes = 5;

  Result<std::size_t> parse(std::span<const char> bytes) {
    std::size_t used = 0;
    while (used < bytes.size() && !is_done()) {
      const bool in_head = !is_header_done();
      if (!in_head && !reading_body_) break;
      BeastError error;
      const auto rest = bytes.subspan(used);
      if (!in_head && chunked() && rest.size() < kLastChunkBytes) break;
      const std::size_t count = put(boost::asio::const_buffer(rest.data(), rest.size()), error);
      used += count;
      if (in_head) header_bytes_ += count;
      if (refusal_) return *refusal_;
      const bool head_unfinished = !is_header_done();
      if (header_bytes_ + (head_unfinished ? rest.size() - count : 0) > limits_.header_bytes_max ||
          error == http::error::header_limit) {
        return make_error(
            ErrorCode::kHeadersTooLarge,
            "expected headers of at most " + std::to_string(limits_.header_bytes_max) + " bytes");
      }
      if (error == http::error::need_more) {
        // Only a chunk's header is read whole or not at all; it has no reason to be long.
        if (!head_unfinished && bytes.size() - used > kChunkHeaderBytesMax) {
          return make_error(ErrorCode::kRequestSyntax, "a chunk header that does not end");
        }
        break;
      }
      if (error) return make_error(ErrorCode::kRequestSyntax, "not a well-formed HTTP/1.1 request");
    }
    return used;
  }

  void refuse(ErrorCode code, std::string message, BeastError& error) {
    refusal_ = make_error(code, std::move(message));
    error = http::error::bad_field;
  }
  bool first(Seen header, BeastError& error) {
    if ((seen_ & header) != 0) {
      refuse(ErrorCode::kRequestSyntax, "a header that may come once came twice", error);
      return false;
    }
    seen_ |= header;
    return true;
  }

  void on_request_impl(http::verb, beast::string_view method, beast::string_view target,
                       int version, BeastError&) override {
    head_.method = view(method);
    head_.target = view(target);
    version_ = version;
  }
  void on_response_impl(int, beast::string_view, int, BeastError&) override {}

  void on_field_impl(http::field field, beast::string_view name, beast::string_view value,
                     BeastError& error) override {
    if (is_header_done()) return refuse(ErrorCode::kRequestSyntax, "trailers are not taken", error);
    switch (field) {
      case http::field::host:
        first(kHost, error);
        return;
      case http::field::content_length:
        if (first(kContentLength, error)) on_content_length(view(value), error);
        return;
      case http::field::transfer_encoding:
        if (first(kTransferEncoding, error)) on_transfer_encoding(value, error);
        return;
      case http::field::authorization:
        if (first(kAuthorization, error)) head_.authorization = view(value);
        return;
      case http::field::content_type:
        if (first(kContentType, error)) head_.content_type = view(value);
        return;
      case http::field::content_encoding:
        head_.has_content_encoding = true;
        return;
      case http::field::origin:
        head_.has_origin = true;
        return;
      case http::field::expect:
        if (first(kExpect, error)) on_expect(value, error);
        return;
      default:
        on_other_field(name, value, error);
    }
  }
  /// The library takes a list of equal numbers as one; only digits are left here.
  void on_content_length(std::string_view value, BeastError& error) {
    const bool digits = !value.empty() && value.size() <= 19 &&
                        value.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits)
      return refuse(ErrorCode::kRequestSyntax, "a Content-Length that is no number", error);
    head_.has_length = true;
    for (const char digit : value) {
      head_.content_length = head_.content_length * 10 + static_cast<std::uint64_t>(digit - '0');
    }
  }
  void on_transfer_encoding(beast::string_view value, BeastError& error) {
    if (version_ < 11 || !beast::iequals(value, "chunked")) {
      return refuse(ErrorCode::kRequestSyntax, "expected no transfer coding but chunked", error);
    }
    head_.has_length = true;
  }
  void on_expect(beast::string_view value, BeastError& error) {
    if (!beast::iequals(value, "100-continue")) {
      return refuse(ErrorCode::kRequestSyntax, "an expectation that is not known", error);
    }
    head_.expects_continue = version_ >= 11;
  }
  void on_other_field(beast::string_view name, beast::string_view value, BeastError& error) {
    if (beast::iequals(name, "x-api-key")) {
      if (first(kApiKey, error)) head_.x_api_key = view(value);
    } else if (beast::iequals(name, "inference-header-content-length")) {
      head_.has_binary_tensors = true;
    }
  }
  void on_header_impl(BeastError& error) override {
    if (version_ >= 11 && (seen_ & kHost) == 0) {
      refuse(ErrorCode::kRequestSyntax, "expected a Host header", error);
    } else if ((seen_ & kContentLength) != 0 && (seen_ & kTransferEncoding) != 0) {
      refuse(ErrorCode::kRequestSyntax, "both Content-Length and Transfer-Encoding", error);
    }
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, BeastError&) override {
    if (length) body_.reserve(static_cast<std::size_t>(std::min(*length, kBodyReserveMax)));
  }
  std::size_t on_body_impl(beast::string_view bytes, BeastError& error) override {
    if (bytes.size() > limits_.body_bytes_max - std::min(limits_.body_bytes_max, body_.size())) {
      refuse(ErrorCode::kRequestTooLarge,
             "expected a body of at most " + std::to_string(limits_.body_bytes_max) + " bytes",
             error);
      return 0;
    }
    body_.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view extensions,
                            BeastError& error) override {
    if (!extensions.empty()) refuse(ErrorCode::kRequestSyntax, "a chunk with extensions", error);
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes,
                                 BeastError& error) override {
    return on_body_impl(bytes, error);
  }
  void on_finish_impl(BeastError&) override {}

  HttpLimits limits_;
  std::optional<Error> refusal_;
  std::size_t header_bytes_ = 0;
  unsigned seen_ = 0;
  int version_ = 0;
};

HttpParser::HttpParser(HttpLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
HttpParser::~HttpParser() = default;

Result<std::size_t> HttpParser::feed(std::span<const char> bytes) { return impl_->feed(bytes); }
bool HttpParser::has_head() const { return impl_->is_header_done(); }
void HttpParser::read_body() { impl_->reading_body_ = true; }
bool HttpParser::done() const { return impl_->is_done(); }
bool HttpParser::keep_alive() const { return impl_->is_done() && impl_->keep_alive(); }
const RequestHead& HttpParser::head() const { return impl_->head_; }
const std::string& HttpParser::body() const { return impl_->body_; }

}  // namespace mlxguard::gateway
