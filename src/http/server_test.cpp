// SPDX-License-Identifier: Apache-2.0
// Whole connections over the loopback interface: a server of this library on one side, a plain
// socket on the other.
#include "http/server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "async/event.h"

using namespace mlxguard;
using namespace mlxguard::http;
using async::Io;

namespace {

/// Answers by its target, and remembers what it saw.
class TestHandler final : public Handler {
 public:
  explicit TestHandler(Io& io) : release(io.get_executor()) {}

  Task<void> handle(Exchange& exchange) override {
    const std::string target = exchange.head().target;
    if (target == "/stream") co_return co_await stream(exchange);
    if (target == "/wait") co_return co_await wait(exchange);
    if (target == "/silent") co_return;
    if (target == "/broken") {
      ResponseHead head;
      (void)co_await exchange.begin(std::move(head));
      (void)co_await exchange.write("half");
      co_return;
    }
    auto body = co_await exchange.read_body();
    ResponseHead head;
    if (!body) head.status = 400;
    const std::string text =
        body ? "echo:" + std::string(*body) : std::string(name_of(body.error().code));
    sent_ok = (co_await exchange.respond(std::move(head), text)).has_value();
    bytes_sent = exchange.bytes_sent();
  }

  Task<void> refuse(Exchange& exchange, Error error) override {
    ResponseHead head;
    head.status = 400;
    const std::string text(name_of(error.code));
    (void)co_await exchange.respond(std::move(head), text);
  }

  async::Event release;
  bool waiting = false;
  bool gone = false;
  bool sent_ok = false;
  bool stream_done = false;
  std::uint64_t bytes_sent = 0;

 private:
  Task<void> stream(Exchange& exchange) {
    ResponseHead head;
    head.headers.add("Content-Type", "text/event-stream");
    (void)co_await exchange.begin(std::move(head));
    (void)co_await exchange.write("one ");
    waiting = true;
    exchange.when_gone([this] { gone = true, release.set(); });
    co_await release.wait();
    (void)co_await exchange.write("two");
    Headers trailers;
    trailers.add("X-End", "yes");
    stream_done = (co_await exchange.finish(std::move(trailers))).has_value();
    bytes_sent = exchange.bytes_sent();
  }
  Task<void> wait(Exchange& exchange) {
    exchange.when_gone([this] { gone = true, release.set(); });
    waiting = true;
    co_await release.wait();
    ResponseHead head;
    sent_ok = (co_await exchange.respond(std::move(head), "done")).has_value();
  }
};

class Fixture {
 public:
  explicit Fixture(ServerOptions options = {}) : handler(io), server(io, options, handler, {}) {
    UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listening.get(), raw(), size_) == 0);
    REQUIRE(::listen(listening.get(), 4096) == 0);
    REQUIRE(::getsockname(listening.get(), raw(), &size_) == 0);
    REQUIRE(server.listen(std::move(listening)).has_value());
  }
  ~Fixture() { io.drop_everything(); }

  UniqueFd connect() {
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), raw(), size_) == 0);
    return client;
  }
  static void send(const UniqueFd& client, std::string_view text) {
    REQUIRE(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  /// Runs the loop until `done` says so; fails the test after ten seconds.
  template <class Done>
  void run_until(Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      io.run_for(std::chrono::milliseconds(2));
    }
  }
  /// What came so far, without waiting.
  static std::string take(const UniqueFd& client, bool* ended = nullptr) {
    std::string text;
    char buffer[65536];
    for (;;) {
      const ssize_t count = ::recv(client.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (count <= 0) {
        if (ended != nullptr) *ended = count == 0 || errno != EAGAIN;
        return text;
      }
      text.append(buffer, static_cast<std::size_t>(count));
    }
  }
  std::string receive_until(const UniqueFd& client, std::string_view end) {
    std::string text;
    run_until([&] { return (text += take(client)).find(end) != std::string::npos; });
    return text;
  }
  std::string receive_all(const UniqueFd& client) {
    std::string text;
    bool ended = false;
    run_until([&] { return text += take(client, &ended), ended; });
    return text;
  }

  Io io;
  TestHandler handler;
  Server server;

 private:
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&address_); }
  sockaddr_in address_{};
  socklen_t size_ = sizeof(address_);
};

std::string get(std::string_view target, std::string_view extra = {}) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n" + std::string(extra) + "\r\n";
}

std::string post(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

}  // namespace

TEST_CASE("server: answers carry a date and a length; requests in a row are answered in order") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, post("/a", "1") + post("/b", "22") + get("/c"));
  const std::string text = fixture.receive_until(client, "Content-Length: 5\r\n");
  CHECK(text.starts_with("HTTP/1.1 200 OK\r\nDate: "));
  CHECK(text.find("echo:1HTTP/1.1 200 OK") < text.find("echo:22HTTP/1.1 200 OK"));
  CHECK(text.find("echo:22HTTP/1.1 200 OK") != std::string::npos);
}

TEST_CASE("server: a streamed answer arrives while its handler still works") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, get("/stream"));
  const std::string start = fixture.receive_until(client, "4\r\none \r\n");
  CHECK(start.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK_FALSE(fixture.handler.stream_done);
  fixture.handler.release.set();
  CHECK(fixture.receive_until(client, "0\r\n\r\n") == "3\r\ntwo\r\n0\r\n\r\n");
  CHECK(fixture.handler.stream_done);
  CHECK(fixture.handler.bytes_sent == 7);
  CHECK_FALSE(fixture.handler.gone);
  Fixture::send(client, post("/again", "x"));  // the connection stays
  CHECK(fixture.receive_until(client, "echo:x").starts_with("HTTP/1.1 200 OK\r\nDate: "));
}

TEST_CASE("server: trailers go to those who take them") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, get("/stream", "TE: trailers\r\n"));
  fixture.run_until([&] { return fixture.handler.waiting; });
  fixture.handler.release.set();
  CHECK(fixture.receive_until(client, "0\r\n").ends_with("0\r\nX-End: yes\r\n\r\n"));
}

TEST_CASE("server: a client that closes its socket is noticed while its handler waits") {
  for (const char* target : {"/wait", "/stream"}) {
    CAPTURE(target);
    Fixture fixture;
    UniqueFd client = fixture.connect();
    Fixture::send(client, get(target));
    fixture.run_until([&] { return fixture.handler.waiting; });
    if (std::string_view(target) == "/stream") (void)fixture.receive_until(client, "one ");
    client.reset();
    if (std::string_view(target) == "/stream") {
      // An interim answer cannot stand inside of an answer: the next bytes find out.
      fixture.io.run_for(std::chrono::milliseconds(20));
      fixture.handler.release.set();
      fixture.run_until([&] { return fixture.handler.bytes_sent > 0; });
    } else {
      fixture.run_until([&] { return fixture.handler.gone; });
    }
    CHECK_FALSE(fixture.handler.sent_ok);
  }
}

TEST_CASE("server: a client that resets is noticed at once") {
  Fixture fixture;
  UniqueFd client = fixture.connect();
  Fixture::send(client, get("/stream"));
  fixture.run_until([&] { return fixture.handler.waiting; });
  const linger hard{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  client.reset();
  fixture.run_until([&] { return fixture.handler.gone; });
}

TEST_CASE("server: a client that only stops sending gets its answer") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, get("/wait"));
  fixture.run_until([&] { return fixture.handler.waiting; });
  ::shutdown(client.get(), SHUT_WR);
  CHECK(fixture.receive_until(client, "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK_FALSE(fixture.handler.gone);
  fixture.handler.release.set();
  CHECK(fixture.receive_all(client).ends_with("\r\n\r\ndone"));
  CHECK(fixture.handler.sent_ok);
}

TEST_CASE("server: the next request may come while one is answered") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, get("/wait"));
  fixture.run_until([&] { return fixture.handler.waiting; });
  Fixture::send(client, post("/next", "n"));
  fixture.io.run_for(std::chrono::milliseconds(5));
  fixture.handler.release.set();
  const std::string text = fixture.receive_until(client, "echo:n");
  CHECK(text.find("done") < text.find("echo:n"));
}

TEST_CASE("server: clients that vanish at any byte leave nothing behind") {
  Fixture fixture;
  const std::string whole = post("/e", std::string(100, 'x'));
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    UniqueFd client = fixture.connect();
    if (size % 2 == 0) fixture.io.run_for(std::chrono::microseconds(100));
    Fixture::send(client, std::string_view(whole).substr(0, size));
    client.reset();
  }
  fixture.io.run_for(std::chrono::milliseconds(20));
  const UniqueFd client = fixture.connect();
  Fixture::send(client, post("/e", "alive"));
  CHECK(fixture.receive_until(client, "echo:alive").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("server: no answer is 500, and half an answer is not taken for a whole one") {
  Fixture fixture;
  const UniqueFd silent = fixture.connect();
  Fixture::send(silent, get("/silent"));
  CHECK(fixture.receive_until(silent, "\r\n\r\n").starts_with("HTTP/1.1 500 "));
  const UniqueFd broken = fixture.connect();
  Fixture::send(broken, get("/broken"));
  CHECK(fixture.receive_all(broken).find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("server: an answer to HEAD has the length and no body; HTTP/1.0 ends with the stream") {
  Fixture fixture;
  const UniqueFd client = fixture.connect();
  Fixture::send(client, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = fixture.receive_until(client, "\r\n\r\n");
  CHECK(head.find("Content-Length: 5\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  const UniqueFd old = fixture.connect();
  Fixture::send(old, "GET /stream HTTP/1.0\r\n\r\n");
  fixture.run_until([&] { return fixture.handler.waiting; });
  fixture.handler.release.set();
  const std::string text = fixture.receive_all(old);
  CHECK(text.find("chunked") == std::string::npos);
  CHECK(text.ends_with("\r\n\r\none two"));
}

TEST_CASE("server: a client that does not read holds up its handler, and is given up in time") {
  ServerOptions options;
  options.limits.body_bytes_max = 64u << 20;
  options.write_timeout = std::chrono::milliseconds(200);
  Fixture fixture(options);
  const UniqueFd client = fixture.connect();
  const std::string large(32u << 20, 'x');
  std::string_view left = large;
  Fixture::send(client, "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                            std::to_string(large.size()) + "\r\n\r\n");
  fixture.run_until([&] {
    const ssize_t count =
        ::send(client.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) left.remove_prefix(static_cast<std::size_t>(count));
    return fixture.handler.bytes_sent > 0;
  });
  CHECK(left.empty());
  CHECK_FALSE(fixture.handler.sent_ok);
  CHECK(fixture.handler.bytes_sent < large.size());
}

TEST_CASE("server: bodies together stay within their budget, which is given back") {
  ServerOptions options;
  options.held_bytes_max = 10;
  Fixture fixture(options);
  const UniqueFd client = fixture.connect();
  Fixture::send(client, post("/a", "0123456789"));
  CHECK(fixture.receive_until(client, "echo:0123456789").find(" 200 ") != std::string::npos);
  Fixture::send(client, post("/a", "0123456789"));
  CHECK(fixture.receive_until(client, "echo:0123456789").find(" 200 ") != std::string::npos);
  Fixture::send(client, post("/a", "01234567890"));
  CHECK(fixture.receive_until(client, "overload.memory").find(" 400 ") != std::string::npos);
}

TEST_CASE("server: a drain ends idle connections and lets a request in progress end") {
  Fixture fixture;
  const UniqueFd idle = fixture.connect();
  const UniqueFd busy = fixture.connect();
  Fixture::send(idle, get("/x"));
  (void)fixture.receive_until(idle, "echo:");
  Fixture::send(busy, get("/wait"));
  fixture.run_until([&] { return fixture.handler.waiting; });
  bool done = false;
  fixture.server.drain([&] { done = true; });
  CHECK(fixture.receive_all(idle).empty());
  CHECK_FALSE(done);
  fixture.handler.release.set();
  CHECK(fixture.receive_all(busy).find("Connection: close\r\n") != std::string::npos);
  fixture.run_until([&] { return done; });
}
