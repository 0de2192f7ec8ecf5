// SPDX-License-Identifier: Apache-2.0
#include "http_server.h"

#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cerrno>
#include <vector>

#include "base/copy_step.h"
#include "base/limits.h"

namespace mlxguard::mirror {
namespace {

namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using TlsStream = asio::ssl::stream<Socket>;

constexpr std::chrono::milliseconds kSweepInterval{100};
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::size_t kReadBytes = 16u << 10;
constexpr std::size_t kSendBytes = 4u << 20;
constexpr std::uint64_t kStretchBytes = 64u << 10;  // that a client takes within the write timeout
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Socket& socket_of(Socket& stream) { return stream; }
Socket& socket_of(TlsStream& stream) { return stream.next_layer(); }

using Parser = http::request_parser<http::empty_body>;

std::string text_of(const Parser& parser, http::field field) {
  const auto value = parser.get()[field];
  return {value.data(), value.size()};
}

/// Nothing here takes a body; one that comes could be mistaken for the next request. A transfer
/// coding that this reader does not know may be one that another reader before it does.
bool has_body(const Parser& parser) {
  const auto length = parser.content_length();
  return parser.get().count(http::field::transfer_encoding) > 0 || (length && *length > 0);
}

/// RFC 9112, 3.2: HTTP/1.1 has exactly one Host.
bool has_host(const Parser& parser) {
  const std::size_t hosts = parser.get().count(http::field::host);
  return hosts == 1 || (hosts == 0 && parser.get().version() < 11);
}

template <class Stream>
class Session final : public Connected,
                      public Patience,
                      public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Stream stream, HttpServer& server, std::string client)
      : stream_(std::move(stream)), server_(server), client_(std::move(client)) {
    server_.enter(*this);
  }
  ~Session() override { server_.leave(*this); }

  Task<void> run(bool welcome) {
    const auto self = this->shared_from_this();
    allow(server_.options().header_timeout);
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      const auto [error] = co_await stream_.async_handshake(TlsStream::server, kAwait);
      if (error) co_return;
    }
    if (welcome) {
      co_await serve();
    } else {
      Answer full = problem(503, make_error(ErrorCode::kConnectionsFull, "too many connections"));
      co_await respond(std::move(full), Connection::kClose, true);
      co_await linger();
    }
    boost::system::error_code ignored;
    socket_of(stream_).close(ignored);
  }

  // Connected
  [[nodiscard]] SteadyTime deadline() const override { return deadline_; }
  void expire() override {
    expired_ = true;
    deadline_ = SteadyTime::max();
    cancel();
  }
  void drain() override {
    if (idle_) cancel();
  }

  // Patience: an interim answer keeps the client's read timeout from passing (RFC 9110, 15.2: any
  // number of them may come before the answer, asked for or not).
  [[nodiscard]] Task<bool> still_waiting() override {
    if (version_ < 11) co_return true;
    allow(server_.options().write_timeout);
    const auto [error, count] = co_await asio::async_write(
        stream_, asio::buffer(kContinue.data(), kContinue.size()), kAwait);
    deadline_ = SteadyTime::max();
    co_return !error;
  }

 private:
  void allow(std::chrono::milliseconds time) {
    expired_ = false;
    deadline_ = std::chrono::steady_clock::now() + time;
  }
  void cancel() {
    boost::system::error_code ignored;
    socket_of(stream_).cancel(ignored);
  }
  Task<Result<bool>> read_head(Parser& parser);
  Task<void> serve();
  Task<bool> respond(Answer answer, Connection connection, bool with_body);
  Task<bool> send_file(const FileBody& file);
  Task<void> linger();

  Stream stream_;
  HttpServer& server_;
  std::string client_;
  std::string unread_;
  SteadyTime deadline_ = SteadyTime::max();
  unsigned version_ = 11;
  bool expired_ = false;
  bool idle_ = false;
};

/// True when a head is there; false if the client went away, or came too late.
template <class Stream>
Task<Result<bool>> Session<Stream>::read_head(Parser& parser) {
  std::size_t head_bytes = 0;
  for (;;) {
    if (!unread_.empty()) {
      boost::system::error_code error;
      const std::size_t used = parser.put(asio::buffer(unread_), error);
      unread_.erase(0, used);
      head_bytes += used;
      if (error && error != http::error::need_more) {
        const bool too_long = error == http::error::header_limit;
        co_return make_error(
            too_long ? ErrorCode::kHeadersTooLarge : ErrorCode::kRequestSyntax,
            too_long ? "a request head that is too large" : "not a well-formed HTTP/1.1 request");
      }
      if (parser.is_header_done()) co_return true;
      if (head_bytes + unread_.size() > limits::kMirrorHeadBytesMax) {
        co_return make_error(ErrorCode::kHeadersTooLarge, "a request head that is too large");
      }
    }
    std::array<char, kReadBytes> buffer;
    const auto [error, count] = co_await stream_.async_read_some(asio::buffer(buffer), kAwait);
    if (error) co_return false;
    if (std::exchange(idle_, false)) allow(server_.options().header_timeout);
    unread_.append(buffer.data(), count);
  }
}

template <class Stream>
Task<void> Session<Stream>::serve() {
  for (bool first = true;; first = false) {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits::kMirrorHeadBytesMax));
    parser.body_limit(boost::none);
    if (!first) allow(server_.options().idle_timeout);
    idle_ = !first && unread_.empty();
    const auto arrived = co_await read_head(parser);
    idle_ = false;
    deadline_ = SteadyTime::max();
    if (arrived && !*arrived) co_return;
    Connection connection = Connection::kClose;
    Answer answer;
    std::string method;
    if (!arrived) {
      answer =
          problem(arrived.error().code == ErrorCode::kHeadersTooLarge ? 431 : 400, arrived.error());
    } else if (!has_host(parser)) {
      answer = problem(400, make_error(ErrorCode::kRequestSyntax, "expected one Host header"));
    } else if (has_body(parser)) {
      answer = problem(413, make_error(ErrorCode::kRequestTooLarge, "the mirror takes no bodies"));
    } else {
      const auto target = parser.get().target();
      const auto verb = parser.get().method_string();
      method = {verb.data(), verb.size()};
      version_ = parser.get().version();
      const Request request{method,
                            {target.data(), target.size()},
                            text_of(parser, http::field::accept),
                            text_of(parser, http::field::range),
                            text_of(parser, http::field::if_range),
                            text_of(parser, http::field::if_none_match),
                            text_of(parser, http::field::authorization),
                            client_};
      answer = co_await server_.handler().answer(request, *this);
      if (parser.get().keep_alive() && !server_.draining()) connection = Connection::kKeepAlive;
    }
    const bool sent = co_await respond(std::move(answer), connection, method != "HEAD");
    if (!sent) co_return;
    if (connection == Connection::kClose) {
      co_await linger();
      co_return;
    }
  }
}

template <class Stream>
Task<bool> Session<Stream>::respond(Answer answer, Connection connection, bool with_body) {
  const std::string head = head_of(answer, connection);
  std::string_view body;
  if (with_body && answer.body != nullptr) body = *answer.body;
  const auto stretch = [&body] {
    return asio::const_buffer(body.data(), std::min(body.size(), kSendBytes));
  };
  std::array parts{asio::const_buffer(head.data(), head.size()), stretch()};
  bool sent = true;
  do {  // a long page in stretches: a slow client has the same time for each
    allow(server_.options().write_timeout);
    const auto [error, count] = co_await asio::async_write(stream_, parts, kAwait);
    sent = !error;
    body.remove_prefix(parts[1].size());
    parts = {asio::const_buffer(), stretch()};
  } while (sent && !body.empty());
  if (sent && with_body && answer.file) sent = co_await send_file(*answer.file);
  deadline_ = SteadyTime::max();
  co_return sent;
}

template <class Stream>
Task<bool> Session<Stream>::send_file(const FileBody& file) {
  auto offset = static_cast<off_t>(file.offset);
  std::uint64_t left = file.length;
  std::uint64_t since = 0;  // sent since the client was given more time
  allow(server_.options().write_timeout);
  if constexpr (std::is_same_v<Stream, Socket>) {
    boost::system::error_code ignored;
    stream_.native_non_blocking(true, ignored);
    while (left > 0) {
      const ssize_t count = ::sendfile(stream_.native_handle(), file.fd->get(), &offset,
                                       std::min<std::uint64_t>(left, kSendBytes));
      if (count > 0) {
        left -= static_cast<std::uint64_t>(count);
        since += static_cast<std::uint64_t>(count);
        // Bytes that trickle buy no time: so many connections are all there are.
        if (since >= kStretchBytes) {
          allow(server_.options().write_timeout);
          since = 0;
        }
        continue;
      }
      if (count == 0 || (errno != EAGAIN && errno != EINTR)) co_return false;
      const auto [error] = co_await stream_.async_wait(Socket::wait_write, kAwait);
      if (error) co_return false;
    }
  } else {
    std::vector<char> buffer(kCopyStepBytes);
    while (left > 0) {
      const ssize_t count = ::pread(file.fd->get(), buffer.data(),
                                    std::min<std::uint64_t>(left, buffer.size()), offset);
      if (count <= 0) co_return false;
      allow(server_.options().write_timeout);
      const auto [error, written] = co_await asio::async_write(
          stream_, asio::buffer(buffer.data(), static_cast<std::size_t>(count)), kAwait);
      if (error) co_return false;
      offset += count;
      left -= static_cast<std::uint64_t>(count);
    }
  }
  co_return true;
}

/// After an error a client may still be sending; closing at once could reset the connection before
/// it has read why.
template <class Stream>
Task<void> Session<Stream>::linger() {
  allow(kLingerTime);
  if constexpr (std::is_same_v<Stream, TlsStream>) co_await stream_.async_shutdown(kAwait);
  Socket& socket = socket_of(stream_);
  boost::system::error_code ignored;
  socket.shutdown(Socket::shutdown_send, ignored);
  std::array<char, kReadBytes> buffer;
  while (!expired_) {
    const auto [error, count] = co_await socket.async_read_some(asio::buffer(buffer), kAwait);
    if (error) co_return;
  }
}

template <class Stream>
void start(std::shared_ptr<Session<Stream>> session, asio::io_context& io, bool welcome) {
  asio::co_spawn(
      io.get_executor(), [session, welcome] { return session->run(welcome); }, asio::detached);
}

}  // namespace

HttpServer::HttpServer(asio::io_context& io, HttpServerOptions options, Handler& handler,
                       std::shared_ptr<asio::ssl::context> tls)
    : io_(io),
      options_(options),
      handler_(handler),
      tls_(std::move(tls)),
      acceptor_(io.get_executor()),
      sweep_timer_(io.get_executor()) {
  asio::co_spawn(io_.get_executor(), [this] { return sweep(); }, asio::detached);
}

HttpServer::~HttpServer() = default;

Result<void> HttpServer::listen(UniqueFd listening_socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(listening_socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return make_error(ErrorCode::kListen, "expected a listening TCP socket");
  }
  boost::system::error_code error;
  acceptor_.assign(address.ss_family == AF_INET ? Tcp::v4() : Tcp::v6(), listening_socket.get(),
                   error);
  if (error) return make_error(ErrorCode::kListen, "the listening socket cannot be used");
  (void)listening_socket.release();  // the acceptor owns it now
  asio::co_spawn(io_.get_executor(), [this] { return accept(); }, asio::detached);
  return {};
}

Task<void> HttpServer::accept() {
  Timer pause(io_.get_executor());
  while (!draining_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (draining_) co_return;
    if (error) {
      // Out of descriptors or memory: connections wait in the kernel until there is room again.
      pause.expires_after(kSweepInterval);
      co_await pause.async_wait(kAwait);
      continue;
    }
    admit(std::move(socket));
  }
}

void HttpServer::admit(Socket socket) {
  constexpr std::size_t kTurnedAwayMax = 64;
  if (connections_.size() >= options_.connections_max + kTurnedAwayMax) return;  // closes it
  const bool welcome = connections_.size() < options_.connections_max;
  boost::system::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  const auto endpoint = socket.remote_endpoint(ignored);
  std::string client = ignored ? std::string() : endpoint.address().to_string();
  if (tls_) {
    TlsStream stream(std::move(socket), *tls_);
    start(std::make_shared<Session<TlsStream>>(std::move(stream), *this, std::move(client)), io_,
          welcome);
  } else {
    start(std::make_shared<Session<Socket>>(std::move(socket), *this, std::move(client)), io_,
          welcome);
  }
}

Task<void> HttpServer::sweep() {
  for (;;) {
    sweep_timer_.expires_after(kSweepInterval);
    const auto [error] = co_await sweep_timer_.async_wait(kAwait);
    if (error) co_return;
    const SteadyTime now = std::chrono::steady_clock::now();
    for (Connected* connection : connections_) {
      if (connection->deadline() <= now) connection->expire();
    }
  }
}

void HttpServer::leave(Connected& connection) {
  connections_.erase(&connection);
  if (draining_ && connections_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void HttpServer::drain(std::function<void()> done) {
  if (draining_) return;
  draining_ = true;
  drained_ = std::move(done);
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (Connected* connection : connections_) connection->drain();
  if (connections_.empty() && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace mlxguard::mirror
