// SPDX-License-Identifier: Apache-2.0
#include "http_session.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <vector>

namespace mlxguard::gateway {
namespace {

using Tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using TlsStream = asio::ssl::stream<Socket>;

constexpr std::chrono::milliseconds kSweepInterval{50};
/// Connections over the bound that are told so before they are closed; further ones are just
/// closed.
constexpr std::size_t kTurnedAwayMax = 64;
constexpr std::chrono::seconds kTurnAwayTime{2};
/// After an error a client may still be sending: its bytes are read and thrown away for so long,
/// since closing at once would reset the connection before it has read why.
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::size_t kLingerBytesMax = 64u << 20;
constexpr std::size_t kReadBytes = 16u << 10;
constexpr std::size_t kLargeReadBytes = 256u << 10;
/// A body may come no slower than this, after the time of a header.
constexpr std::uint64_t kBodyBytesPerSecondMin = 1024;

enum class Welcome : std::uint8_t { kServe, kTurnAway };

Socket& socket_of(Socket& stream) { return stream; }
Socket& socket_of(TlsStream& stream) { return stream.next_layer(); }

template <class Stream>
class Session final : public Connected,
                      public IncomingRequest,
                      public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Stream stream, HttpServer& server, Client client)
      : stream_(std::move(stream)), server_(server), client_(std::move(client)) {
    server_.enter(*this);
  }
  ~Session() override {
    server_.let_go(held_);
    server_.leave(*this);
  }

  Task<void> run(Welcome welcome) {
    const auto self = this->shared_from_this();
    allow(welcome == Welcome::kServe ? options().header_timeout : kTurnAwayTime);
    if (!co_await handshake()) co_return;
    if (welcome == Welcome::kTurnAway) {
      co_await turn_away();
    } else {
      co_await serve();
    }
    close();
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

  // IncomingRequest
  [[nodiscard]] const RequestHead& head() const override { return parser_->head(); }
  [[nodiscard]] const Client& client() const override { return client_; }
  [[nodiscard]] Task<Result<std::string_view>> read_body() override;

 private:
  [[nodiscard]] const HttpServerOptions& options() const { return server_.options(); }
  void allow(std::chrono::milliseconds time) {
    expired_ = false;
    deadline_ = std::chrono::steady_clock::now() + time;
  }
  void cancel() {
    boost::system::error_code ignored;
    socket_of(stream_).cancel(ignored);
  }
  Task<bool> handshake();
  Task<void> serve();
  Task<void> turn_away();
  Task<bool> wait_for_bytes();
  Task<Result<void>> read_more(std::size_t bytes_max);
  Task<Result<bool>> read_head();
  [[nodiscard]] Result<void> parse_unread();
  [[nodiscard]] bool skip_received_body();
  Task<bool> respond(const Answered& answered, Connection connection);
  Task<void> linger();
  void close();

  Stream stream_;
  HttpServer& server_;
  Client client_;
  std::optional<HttpParser> parser_;
  std::vector<char> buffer_;  ///< [read_, filled_) is received and not yet parsed
  std::size_t read_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t held_ = 0;  ///< bytes of the body that are counted by the server
  SteadyTime deadline_ = SteadyTime::max();
  bool expired_ = false;
  bool idle_ = false;  ///< between two requests
};

template <class Stream>
Task<bool> Session<Stream>::handshake() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    const auto [error] = co_await stream_.async_handshake(TlsStream::server, kAwait);
    co_return !error;
  } else {
    co_return true;
  }
}

/// Reads what is there, at most `bytes_max`. kTruncated at the end of the stream.
template <class Stream>
Task<Result<void>> Session<Stream>::read_more(std::size_t bytes_max) {
  if (read_ == filled_) read_ = filled_ = 0;
  if (buffer_.size() - filled_ < bytes_max) {
    std::move(buffer_.begin() + static_cast<std::ptrdiff_t>(read_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(filled_), buffer_.begin());
    filled_ -= read_;
    read_ = 0;
    buffer_.resize(std::max(buffer_.size(), filled_ + bytes_max));
  }
  const auto [error, count] =
      co_await stream_.async_read_some(asio::buffer(buffer_.data() + filled_, bytes_max), kAwait);
  if (error) {
    if (expired_) {
      co_return make_error(ErrorCode::kRequestTimeout, "the request did not arrive in time");
    }
    co_return make_error(ErrorCode::kTruncated, "the client closed the connection");
  }
  filled_ += count;
  co_return Result<void>();
}

template <class Stream>
Result<void> Session<Stream>::parse_unread() {
  MLXGUARD_TRY_ASSIGN(const std::size_t used,
                      parser_->feed({buffer_.data() + read_, filled_ - read_}));
  read_ += used;
  return {};
}

/// Waits for the first byte of a request; false if none comes.
template <class Stream>
Task<bool> Session<Stream>::wait_for_bytes() {
  if (read_ < filled_) co_return true;
  // An idle connection keeps no large buffer.
  if (buffer_.size() > kReadBytes) std::vector<char>(kReadBytes).swap(buffer_);
  idle_ = true;
  const auto received = co_await read_more(kReadBytes);
  idle_ = false;
  co_return received.has_value();
}

/// True when a head is there; false if the client went away before it was whole.
template <class Stream>
Task<Result<bool>> Session<Stream>::read_head() {
  for (;;) {
    MLXGUARD_CO_TRY(parse_unread());
    if (parser_->has_head()) co_return true;
    const auto received = co_await read_more(kReadBytes);
    if (!received && received.error().code == ErrorCode::kTruncated) co_return false;
    MLXGUARD_CO_TRY(received);
  }
}

template <class Stream>
Task<Result<std::string_view>> Session<Stream>::read_body() {
  const SteadyTime started = std::chrono::steady_clock::now();
  const SteadyTime last = started + options().request_timeout;
  parser_->read_body();
  if (parser_->head().expects_continue && read_ == filled_ && !parser_->done()) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    allow(options().header_timeout);
    co_await asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()), kAwait);
  }
  for (;;) {
    MLXGUARD_CO_TRY(parse_unread());
    const std::uint64_t size = parser_->body().size();
    if (size > held_ && !server_.hold(size - held_)) {
      co_return make_error(ErrorCode::kMemoryFull, "too many bytes of requests are held at once");
    }
    held_ = size;
    if (parser_->done()) {
      deadline_ = SteadyTime::max();
      co_return std::string_view(parser_->body());
    }
    const std::chrono::milliseconds earned(size * 1000 / kBodyBytesPerSecondMin);
    expired_ = false;
    deadline_ = std::min(last, started + options().header_timeout + earned);
    MLXGUARD_CO_TRY(co_await read_more(size > kReadBytes ? kLargeReadBytes : kReadBytes));
  }
}

template <class Stream>
Task<bool> Session<Stream>::respond(const Answered& answered, Connection connection) {
  const std::string head = head_of(answered.response, answered.request_id, connection);
  const bool bodiless = parser_ && parser_->head().method == "HEAD";
  allow(options().request_timeout);
  const std::array parts{
      asio::buffer(head),
      asio::buffer(answered.response.body.data(), bodiless ? 0 : answered.response.body.size())};
  const auto [error, count] = co_await asio::async_write(stream_, parts, kAwait);
  co_return !error;
}

/// A request refused before its body was read: true if all of the body is here already.
template <class Stream>
bool Session<Stream>::skip_received_body() {
  if (parser_->done()) return true;
  parser_->read_body();
  return parse_unread() && parser_->done();
}

template <class Stream>
Task<void> Session<Stream>::serve() {
  for (bool first = true;; first = false) {
    allow(first ? options().header_timeout : options().idle_timeout);
    if (!co_await wait_for_bytes()) co_return;
    parser_.emplace(options().limits);
    allow(options().header_timeout);
    const auto arrived = co_await read_head();
    if (arrived && !*arrived) co_return;
    deadline_ = SteadyTime::max();
    Answered answered;
    if (arrived) {
      answered = co_await server_.line().answer(*this);
    } else {
      answered = co_await server_.line().refuse(client_, parser_->head(), arrived.error());
    }
    server_.let_go(std::exchange(held_, 0));
    // A body that was not read to its end cannot be told from the next request.
    const bool whole = arrived && skip_received_body();
    const bool stays = whole && parser_->keep_alive() && !server_.draining();
    const bool sent =
        co_await respond(answered, stays ? Connection::kKeepAlive : Connection::kClose);
    if (!sent) co_return;
    if (!stays) {
      co_await linger();
      co_return;
    }
  }
}

template <class Stream>
Task<void> Session<Stream>::turn_away() {
  const RequestHead no_head;
  Error full = make_error(ErrorCode::kConnectionsFull, "too many connections");
  const Answered answered =
      co_await server_.line().refuse(client_, no_head, std::move(full));
  if (co_await respond(answered, Connection::kClose)) co_await linger();
}

template <class Stream>
Task<void> Session<Stream>::linger() {
  allow(kLingerTime);
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    // Says that nothing follows, without waiting for the client to say the same.
    co_await stream_.async_shutdown(kAwait);
  }
  boost::system::error_code ignored;
  Socket& socket = socket_of(stream_);
  socket.shutdown(Socket::shutdown_send, ignored);
  buffer_.resize(kReadBytes);
  for (std::size_t thrown_away = 0; thrown_away < kLingerBytesMax && !expired_;) {
    const auto [error, count] = co_await socket.async_read_some(asio::buffer(buffer_), kAwait);
    if (error) co_return;
    thrown_away += count;
  }
}

template <class Stream>
void Session<Stream>::close() {
  boost::system::error_code ignored;
  socket_of(stream_).close(ignored);
}

Client client_of(const Socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return {};
  return {endpoint.address().to_string(), endpoint.port()};
}

template <class Stream>
void start(const std::shared_ptr<Session<Stream>>& session, Io& io, Welcome welcome) {
  asio::co_spawn(
      io.get_executor(), [session, welcome] { return session->run(welcome); }, asio::detached);
}

}  // namespace

HttpServer::HttpServer(Io& io, HttpServerOptions options, RequestLine& line,
                       std::optional<TlsContext> tls)
    : io_(io),
      options_(options),
      line_(line),
      tls_(std::move(tls)),
      sweep_timer_(io.get_executor()) {
  asio::co_spawn(io_.get_executor(), [this] { return sweep(); }, asio::detached);
}

HttpServer::~HttpServer() = default;

Result<void> HttpServer::listen(UniqueFd listening_socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(listening_socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      (address.ss_family != AF_INET && address.ss_family != AF_INET6)) {
    return make_error(ErrorCode::kListen, "expected a listening TCP socket");
  }
  auto acceptor = std::make_shared<Acceptor>(io_.get_executor());
  boost::system::error_code error;
  acceptor->assign(address.ss_family == AF_INET ? Tcp::v4() : Tcp::v6(), listening_socket.get(),
                   error);
  if (error) return make_error(ErrorCode::kListen, "the listening socket cannot be used");
  (void)listening_socket.release();  // the acceptor owns it now
  acceptors_.push_back(acceptor);
  asio::co_spawn(io_.get_executor(), [this, acceptor] { return accept(acceptor); }, asio::detached);
  return {};
}

Task<void> HttpServer::accept(std::shared_ptr<Acceptor> acceptor) {
  Timer pause(io_.get_executor());
  while (!draining_) {
    auto [error, socket] = co_await acceptor->async_accept(kAwait);
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
  if (connections_.size() >= options_.connections_max + kTurnedAwayMax) return;  // closes it
  const Welcome welcome =
      connections_.size() < options_.connections_max ? Welcome::kServe : Welcome::kTurnAway;
  boost::system::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  Client client = client_of(socket);
  if (tls_) {
    TlsStream stream(std::move(socket), tls_->get());
    start(std::make_shared<Session<TlsStream>>(std::move(stream), *this, std::move(client)), io_,
          welcome);
  } else {
    start(std::make_shared<Session<Socket>>(std::move(socket), *this, std::move(client)), io_,
          welcome);
  }
}

bool HttpServer::hold(std::uint64_t bytes) {
  if (bytes > options_.held_bytes_max - std::min(options_.held_bytes_max, held_bytes_))
    return false;
  held_bytes_ += bytes;
  return true;
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
  for (const auto& acceptor : acceptors_) {
    boost::system::error_code ignored;
    acceptor->close(ignored);
  }
  for (Connected* connection : connections_) connection->drain();
  if (connections_.empty() && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace mlxguard::gateway
