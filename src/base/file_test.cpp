// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <thread>

using namespace mlxguard;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "mlxguard-file-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path write(const std::string& name, std::string_view text) const {
    const UniqueFd fd(::open((path_ / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(write_all(fd.get(), text, name));
    return path_ / name;
  }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("file: reads a file of exactly the bound, refuses one byte more") {
  const Folder folder;
  const fs::path file = folder.write("f", std::string(70'000, 'x'));
  CHECK(read_file(file, 70'000).value() == std::string(70'000, 'x'));
  CHECK(read_file(file, 69'999).error().code == ErrorCode::kTooLarge);
  CHECK(read_file(folder.write("empty", ""), 0).value().empty());
}

TEST_CASE("file: a folder, a socket and an absent file are errors about their name") {
  const Folder folder;
  const auto error = read_file(folder.path(), 100).error();
  CHECK(error.code == ErrorCode::kIo);
  CHECK(error.subject == folder.path().string());
  CHECK(error.message.find("found a folder") != std::string::npos);
  CHECK(read_file(folder / "absent", 100).error().code == ErrorCode::kNotFound);
  CHECK(read_file("", 100).error().code == ErrorCode::kNotFound);
}

TEST_CASE("file: a device that never ends stops at the bound") {
  CHECK(read_file("/dev/zero", 1000).error().code == ErrorCode::kTooLarge);
  CHECK(read_file("/dev/null", 1000).value().empty());
  CHECK(read_file("/dev/zero", 1000, FileKind::kRegular).error().code == ErrorCode::kIo);
}

TEST_CASE("file: what /proc says has no size and is read whole") {
  CHECK(!read_file("/proc/self/status", 1 << 20).value().empty());
}

TEST_CASE("file: links are followed or refused as asked") {
  const Folder folder;
  folder.write("f", "text");
  fs::create_symlink("f", folder / "link");
  CHECK(read_file(folder / "link", 100).value() == "text");
  CHECK(read_file(folder / "link", 100, FileKind::kRegular, Links::kRefuse).error().code ==
        ErrorCode::kIo);
}

TEST_CASE("file: a named pipe is waited for, and refused where a regular file is wanted") {
  const Folder folder;
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(read_file(pipe, 100, FileKind::kRegular).error().code == ErrorCode::kIo);
  std::thread writer([&] {
    const UniqueFd fd(::open(pipe.c_str(), O_WRONLY | O_CLOEXEC));
    (void)write_all(fd.get(), "first ", "pipe");
    (void)write_all(fd.get(), "second", "pipe");
  });
  CHECK(read_file(pipe, 100).value() == "first second");
  writer.join();
}

TEST_CASE("file: an empty pipe whose writer has gone is empty") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd reader(ends[0]);
  ::close(ends[1]);
  CHECK(read_to_end(reader.get(), 100, "pipe").value().empty());
}
