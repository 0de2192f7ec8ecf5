// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 load generator: N connections, kept alive, one request at a time on each, one
// thread. The same program asks mlxguard and its peers, so that what it costs itself is the same
// for both.
//
//   http_load HOST PORT PATH --body FILE [--header 'Name: value']... [--connections N] [--seconds
//   S]
//             [--warmup S]
//
// Prints one JSON line: requests, errors (not 200), requests per second, latencies in microseconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "http_load: %s\n", what.c_str());
  std::exit(2);
}

struct Options {
  std::string host, port, path, body;
  std::vector<std::string> headers;
  int connections = 1;
  double seconds = 5;
  double warmup = 1;
};

Options parse(int argc, char** argv) {
  if (argc < 4) die("usage: http_load HOST PORT PATH --body FILE [options]");
  Options options{argv[1], argv[2], argv[3], "", {}, 1, 5, 1};
  for (int i = 4; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--body") {
      std::ifstream file(value, std::ios::binary);
      std::stringstream text;
      text << file.rdbuf();
      options.body = text.str();
    } else if (name == "--header") {
      options.headers.push_back(value);
    } else if (name == "--connections") {
      options.connections = std::atoi(value.c_str());
    } else if (name == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (name == "--warmup") {
      options.warmup = std::atof(value.c_str());
    } else {
      die("unknown option " + name);
    }
  }
  return options;
}

std::string request_of(const Options& options) {
  std::string text = (options.body.empty() ? "GET " : "POST ") + options.path +
                     " HTTP/1.1\r\nHost: " + options.host + "\r\n";
  for (const std::string& header : options.headers) text += header + "\r\n";
  if (!options.body.empty()) {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(options.body.size()) +
        "\r\n";
  }
  return text + "\r\n" + options.body;
}

struct Connection {
  int fd = -1;
  std::string received;
  std::size_t sent = 0;
  Clock::time_point started;
};

int connect_to(const Options& options) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(options.port.c_str())));
  if (::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1)
    die("not an IPv4 address");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    die("cannot connect");
  return fd;
}

/// Bytes of the whole response if it is all there, else 0.
std::size_t response_bytes(const std::string& text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  std::string head = text.substr(0, end);
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t at = head.find("content-length:");
  if (at == std::string::npos) die("a response without Content-Length");
  const std::size_t total = end + 4 + std::strtoull(head.c_str() + at + 15, nullptr, 10);
  return text.size() >= total ? total : 0;
}

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)), request_(request_of(options_)) {}

  void run() {
    const int poll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<Connection> connections(static_cast<std::size_t>(options_.connections));
    for (std::size_t i = 0; i < connections.size(); ++i) {
      connections[i].fd = connect_to(options_);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event);
    }
    begin_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(options_.warmup));
    end_ = begin_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(options_.seconds));
    for (Connection& connection : connections) ask(connection);
    std::vector<epoll_event> events(connections.size());
    while (Clock::now() < end_) {
      const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 100);
      for (int i = 0; i < count; ++i)
        hear(connections[events[static_cast<std::size_t>(i)].data.u64]);
    }
    report();
  }

 private:
  void ask(Connection& connection) {
    connection.started = Clock::now();
    std::size_t sent = 0;
    while (sent < request_.size()) {
      const ssize_t count =
          ::send(connection.fd, request_.data() + sent, request_.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) die("the server closed the connection");
      sent += static_cast<std::size_t>(count);
    }
  }

  void hear(Connection& connection) {
    char bytes[65536];
    const ssize_t count = ::recv(connection.fd, bytes, sizeof(bytes), 0);
    if (count <= 0) die("the server closed the connection");
    connection.received.append(bytes, static_cast<std::size_t>(count));
    const std::size_t whole = response_bytes(connection.received);
    if (whole == 0) return;
    const auto now = Clock::now();
    if (connection.started >= begin_) {
      latencies_us_.push_back(
          std::chrono::duration<double, std::micro>(now - connection.started).count());
      if (!connection.received.starts_with("HTTP/1.1 200")) {
        ++errors_;
        if (errors_ == 1) std::fprintf(stderr, "%s\n", connection.received.c_str());
      }
    }
    connection.received.erase(0, whole);
    ask(connection);
  }

  void report() {
    std::sort(latencies_us_.begin(), latencies_us_.end());
    const auto at = [&](double share) {
      if (latencies_us_.empty()) return 0.0;
      return latencies_us_[static_cast<std::size_t>(share *
                                                    static_cast<double>(latencies_us_.size() - 1))];
    };
    std::printf(
        "{\"connections\":%d,\"requests\":%zu,\"errors\":%zu,\"req_per_s\":%.1f,\"p50_us\":%.1f,"
        "\"p99_us\":%.1f,\"min_us\":%.1f}\n",
        options_.connections, latencies_us_.size(), errors_,
        static_cast<double>(latencies_us_.size()) / options_.seconds, at(0.5), at(0.99), at(0));
  }

  Options options_;
  std::string request_;
  Clock::time_point begin_, end_;
  std::vector<double> latencies_us_;
  std::size_t errors_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Load(parse(argc, argv)).run();
  return 0;
}
