// SPDX-License-Identifier: Apache-2.0
#include "http/parser.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <vector>

namespace mlxguard::http {
namespace {

namespace beast = boost::beast;
using BeastError = boost::system::error_code;

/// More than this is reserved only as it arrives: a length is only a claim.
constexpr std::uint64_t kBodyReserveMax = 1u << 20;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// Headers that this parser acts on itself, or that are about the connection alone.
bool is_ours(beast::http::field field) {
  switch (field) {
    case beast::http::field::host:
    case beast::http::field::content_length:
    case beast::http::field::transfer_encoding:
    case beast::http::field::expect:
    case beast::http::field::te:
    case beast::http::field::trailer:
    case beast::http::field::connection:
    case beast::http::field::keep_alive:
    case beast::http::field::proxy_connection:
    case beast::http::field::upgrade:
      return true;
    default:
      return false;
  }
}

}  // namespace

class RequestParser::Impl final : public beast::http::basic_parser<true> {
 public:
  explicit Impl(RequestLimits limits) : limits_(limits) {
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
  bool expects_continue_ = false;
  bool takes_trailers_ = false;

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
          error == beast::http::error::header_limit) {
        return make_error(
            ErrorCode::kHeadersTooLarge,
            "expected headers of at most " + std::to_string(limits_.header_bytes_max) + " bytes");
      }
      if (error == beast::http::error::need_more) {
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
    error = beast::http::error::bad_field;
  }
  /// False, with `error` set, if a header that may come once comes for the second time.
  bool is_first(std::string_view name, BeastError& error) {
    if (!is_single_header(name)) return true;
    for (const std::string& seen : seen_) {
      if (!beast::iequals(seen, name)) continue;
      refuse(ErrorCode::kRequestSyntax, "a header that may come once came twice", error);
      return false;
    }
    seen_.emplace_back(name);
    return true;
  }

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, BeastError& error) override {
    head_.method = view(method);
    head_.target = view(target);
    if (version != 10 && version != 11) {
      return refuse(ErrorCode::kRequestSyntax, "expected HTTP/1.1 or HTTP/1.0", error);
    }
    head_.version = version == 11 ? Version::kHttp11 : Version::kHttp10;
  }
  void on_response_impl(int, beast::string_view, int, BeastError&) override {}

  void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value,
                     BeastError& error) override {
    if (is_header_done()) return refuse(ErrorCode::kRequestSyntax, "trailers are not taken", error);
    if (++headers_ > kHeadersMax) {
      return refuse(ErrorCode::kHeadersTooLarge,
                    "expected at most " + std::to_string(kHeadersMax) + " headers", error);
    }
    if (!is_first(view(name), error)) return;
    if (field == beast::http::field::host) {
      head_.authority = view(value);
      has_host_ = true;
    } else if (field == beast::http::field::content_length) {
      on_content_length(view(value), error);
    } else if (field == beast::http::field::transfer_encoding) {
      on_transfer_encoding(value, error);
    } else if (field == beast::http::field::expect) {
      on_expect(value, error);
    } else if (field == beast::http::field::te) {
      takes_trailers_ = beast::iequals(value, "trailers");
    }
    if (!is_ours(field)) head_.headers.add(std::string(view(name)), std::string(view(value)));
  }
  /// The library takes a list of equal numbers as one; only digits are left here.
  void on_content_length(std::string_view value, BeastError& error) {
    const bool digits = !value.empty() && value.size() <= 19 &&
                        value.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits)
      return refuse(ErrorCode::kRequestSyntax, "a Content-Length that is no number", error);
    std::uint64_t length = 0;
    for (const char digit : value) length = length * 10 + static_cast<std::uint64_t>(digit - '0');
    head_.content_length = length;
    head_.has_body = true;
  }
  void on_transfer_encoding(beast::string_view value, BeastError& error) {
    if (head_.version != Version::kHttp11 || !beast::iequals(value, "chunked")) {
      return refuse(ErrorCode::kRequestSyntax, "expected no transfer coding but chunked", error);
    }
    is_chunked_ = true;
    head_.has_body = true;
  }
  void on_expect(beast::string_view value, BeastError& error) {
    if (!beast::iequals(value, "100-continue")) {
      return refuse(ErrorCode::kRequestSyntax, "an expectation that is not known", error);
    }
    expects_continue_ = head_.version == Version::kHttp11;
  }
  void on_header_impl(BeastError& error) override {
    if (head_.version == Version::kHttp11 && !has_host_) {
      refuse(ErrorCode::kRequestSyntax, "expected a Host header", error);
    } else if (head_.content_length && is_chunked_) {
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

  RequestLimits limits_;
  std::optional<Error> refusal_;
  std::size_t header_bytes_ = 0;
  std::size_t headers_ = 0;
  std::vector<std::string> seen_;  ///< names of headers that may not come again
  bool has_host_ = false;
  bool is_chunked_ = false;
};

RequestParser::RequestParser(RequestLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

Result<std::size_t> RequestParser::feed(std::span<const char> bytes) { return impl_->feed(bytes); }
bool RequestParser::has_head() const { return impl_->is_header_done(); }
void RequestParser::read_body() { impl_->reading_body_ = true; }
bool RequestParser::done() const { return impl_->is_done(); }
bool RequestParser::keep_alive() const { return impl_->is_done() && impl_->keep_alive(); }
const RequestHead& RequestParser::head() const { return impl_->head_; }
const std::string& RequestParser::body() const { return impl_->body_; }
bool RequestParser::expects_continue() const { return impl_->expects_continue_; }
bool RequestParser::takes_trailers() const { return impl_->takes_trailers_; }
void RequestParser::drop_body() { std::string().swap(impl_->body_); }

}  // namespace mlxguard::http
