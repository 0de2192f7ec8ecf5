// SPDX-License-Identifier: Apache-2.0
#include "http/listener.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace mlxguard;
using namespace mlxguard::http;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/mlxguard-listener-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] std::string socket() const { return (path_ / "s").string(); }
  [[nodiscard]] http::ListenAddress address() const {
    return http::parse_listen("unix:" + socket()).value();
  }

 private:
  fs::path path_;
};

bool can_connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

TEST_CASE("listener: a Unix socket gives no rights to others, whatever the umask") {
  const Folder folder;
  const mode_t before = ::umask(0);
  const auto listener = listen_on(folder.address());
  ::umask(before);
  REQUIRE(listener.has_value());
  struct stat status {};
  REQUIRE(::stat(folder.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0660);
  CHECK(listener->reach == http::Reach::kThisMachine);
  CHECK(url_of(*listener, Scheme::kHttp) == "unix:" + folder.socket());
  CHECK(can_connect(folder.socket()));
}

TEST_CASE("listener: a stale socket is replaced, a live one and a file are not") {
  const Folder folder;
  {
    const auto first = listen_on(folder.address());
    REQUIRE(first.has_value());
    const auto second = listen_on(folder.address());
    CHECK(second.error().code == ErrorCode::kListen);
    CHECK_FALSE(second.error().hint.empty());
    CHECK(can_connect(folder.socket()));
  }
  CHECK_FALSE(can_connect(folder.socket()));
  CHECK(listen_on(folder.address()).has_value());

  fs::remove(folder.socket());
  std::ofstream(folder.socket()) << "precious";
  CHECK(listen_on(folder.address()).error().code == ErrorCode::kListen);
  CHECK(fs::file_size(folder.socket()) == 8);

  fs::remove(folder.socket());
  fs::create_symlink("elsewhere", folder.socket());
  CHECK(listen_on(folder.address()).error().code == ErrorCode::kListen);
  CHECK(fs::is_symlink(folder.socket()));
}

TEST_CASE("listener: a path that is too long is refused, not cut") {
  http::ListenAddress address;
  address.unix_path = "/tmp/" + std::string(200, 'x');
  CHECK(listen_on(address).error().code == ErrorCode::kListen);
}

TEST_CASE("listener: an inherited descriptor must be a listening stream socket") {
  const auto take = [](int fd) {
    return listen_on(http::parse_listen("fd://" + std::to_string(fd)).value());
  };
  CHECK(take(987).error().code == ErrorCode::kListen);
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(take(file.get()).error().code == ErrorCode::kListen);
  UniqueFd idle(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(take(idle.get()).error().code == ErrorCode::kListen);
  REQUIRE(::listen(idle.get(), 1) == 0);  // on 0.0.0.0 and a port of the kernel's choice
  const auto listener = take(idle.release());
  REQUIRE(listener.has_value());
  CHECK(listener->reach == http::Reach::kNetwork);
  CHECK(listener->where.starts_with("0.0.0.0:"));
  CHECK((::fcntl(listener->socket.get(), F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("listener: TCP says which port it got and who can reach it") {
  const auto listener = listen_on(http::parse_listen("127.0.0.1:0").value());
  REQUIRE(listener.has_value());
  CHECK(listener->reach == http::Reach::kThisMachine);
  CHECK(url_of(*listener, Scheme::kHttps).starts_with("https://127.0.0.1:"));
  CHECK_FALSE(listener->where.ends_with(":0"));
}
