// SPDX-License-Identifier: Apache-2.0
#include "artifact/model_folder.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/limits.h"
#include "codec/text.h"

using namespace mlxguard;
using namespace mlxguard::artifact;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kIgnored{".git", ".gitignore"};

struct TempFolder {
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "mlxguard-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TempFolder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  fs::path path;
};

ErrorCode enumerate_code(const TempFolder& folder) {
  const auto listed = ModelFolder::open(folder.path)->enumerate(kIgnored);
  REQUIRE(!listed.has_value());
  return listed.error().code;
}

std::string bytes_of(const SnapshotFile& file) {
  std::string text(file.size_bytes, '\0');
  REQUIRE(::pread(file.memory.get(), text.data(), text.size(), 0) ==
          static_cast<ssize_t>(text.size()));
  return text;
}

}  // namespace

TEST_CASE("enumerate: every file in byte order, without ignored paths and the bundle") {
  const TempFolder folder;
  for (const char* name : {"b", "a/b", "a-b", "z/y/x", ".git/config", ".gitignore", "model.sig",
                           "sub/model.sig", "sub/.gitignore", "gr\xc3\xbc\xc3\x9f e:1"}) {
    folder.write(name, "x");
  }
  const auto files = ModelFolder::open(folder.path)->enumerate(kIgnored).value();
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.name);
  CHECK(names == std::vector<std::string>{"a-b", "a/b", "b", "gr\xc3\xbc\xc3\x9f e:1",
                                          "sub/.gitignore", "sub/model.sig", "z/y/x"});
}

TEST_CASE("enumerate: refuses links, special files, odd names and an empty model") {
  SUBCASE("a link to a file inside") {
    const TempFolder folder;
    folder.write("a", "x");
    fs::create_symlink("a", folder.path / "b");
    const auto listed = ModelFolder::open(folder.path)->enumerate(kIgnored);
    CHECK(listed.error().code == ErrorCode::kArtifactSymlink);
    CHECK(listed.error().subject == "b");
  }
  SUBCASE("a link to a folder") {
    const TempFolder folder;
    folder.write("a/c", "x");
    fs::create_directory_symlink("/etc", folder.path / "d");
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactSymlink);
  }
  SUBCASE("a fifo") {
    const TempFolder folder;
    folder.write("a", "x");
    REQUIRE(::mkfifo((folder.path / "f").c_str(), 0600) == 0);
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactSpecial);
  }
  SUBCASE("a name that is not UTF-8") {
    const TempFolder folder;
    folder.write("bad\xff", "x");
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactName);
  }
  SUBCASE("a name with a line feed") {
    const TempFolder folder;
    folder.write("two\nlines", "x");
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactName);
  }
  SUBCASE("nothing but the bundle") {
    const TempFolder folder;
    folder.write("model.sig", "x");
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactEmpty);
  }
  SUBCASE("folders nested too deeply") {
    const TempFolder folder;
    std::string name = "d";
    for (std::size_t i = 0; i < limits::kModelDepthMax + 1; ++i) name += "/d";
    folder.write(name + "/f", "x");
    CHECK(enumerate_code(folder) == ErrorCode::kArtifactTooMany);
  }
}

TEST_CASE("open: a missing model, a link as the model, a device") {
  const TempFolder folder;
  folder.write("real/a", "x");
  fs::create_directory_symlink("real", folder.path / "link");
  CHECK(ModelFolder::open(folder.path / "nothing").error().code == ErrorCode::kArtifactNotFound);
  CHECK(ModelFolder::open(folder.path / "link").error().code == ErrorCode::kArtifactSymlink);
  CHECK(ModelFolder::open(folder.path / "link/").error().code == ErrorCode::kArtifactSymlink);
  CHECK(ModelFolder::open("/dev/null").error().code == ErrorCode::kArtifactSpecial);
  CHECK(ModelFolder::open(folder.path / "real/").value().base_name() == "real");
}

TEST_CASE("read_small: bounded, and never through a link") {
  const TempFolder folder;
  folder.write("model.sig", "12345");
  const auto model = ModelFolder::open(folder.path).value();
  CHECK(model.read_small("model.sig", 5).value() == "12345");
  CHECK(model.read_small("model.sig", 4).error().code == ErrorCode::kTooLarge);
  CHECK(model.read_small("nothing", 4).error().code == ErrorCode::kNotFound);
  CHECK(model.read_small("../model.sig", 4).error().code == ErrorCode::kArtifactSymlink);
  fs::remove(folder.path / "model.sig");
  fs::create_symlink("/etc/passwd", folder.path / "model.sig");
  CHECK(model.read_small("model.sig", 1 << 20).error().code == ErrorCode::kArtifactSymlink);
}

TEST_CASE("hash and snapshot: the same digests, of the bytes that are held") {
  const TempFolder folder;
  folder.write("empty", "");
  folder.write("small", "hello\n");
  folder.write("large", std::string(40u << 20, 'w'));  // large enough for the second thread
  const auto model = ModelFolder::open(folder.path).value();
  const auto files = model.enumerate(kIgnored).value();
  const auto hashed = model.hash(files, crypto::HashAlgorithm::kSha256).value();
  std::vector<FileDigest> digests;
  const auto held = model.snapshot(files, crypto::HashAlgorithm::kSha256, digests).value();
  REQUIRE(held.size() == 3);
  for (std::size_t i = 0; i < held.size(); ++i) {
    CHECK(hashed[i].digest == digests[i].digest);
    const auto again = crypto::sha256(as_bytes(bytes_of(held[i])));
    CHECK(again == held[i].digest);
  }
  CHECK(codec::to_hex(digests[2].digest) ==
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
}

TEST_CASE("hash and snapshot: called off in the middle, on every thread") {
  const TempFolder folder;
  folder.write("a", std::string(6 << 20, 'a'));
  folder.write("b", std::string(6 << 20, 'b'));
  const auto model = ModelFolder::open(folder.path).value();
  const auto files = model.enumerate(kIgnored).value();
  std::atomic<std::uint64_t> furthest{0};
  const Progress progress([&](std::uint64_t done, std::uint64_t) { furthest = done; },
                          [&] { return furthest.load() >= (1u << 20); });
  for (const auto algorithm : {crypto::HashAlgorithm::kSha256, crypto::HashAlgorithm::kBlake3}) {
    furthest = 0;
    CHECK(model.hash(files, algorithm, progress).error().code == ErrorCode::kIo);
    CHECK(furthest < (8u << 20));
    furthest = 0;
    std::vector<FileDigest> digests;
    CHECK(model.snapshot(files, algorithm, digests, progress).error().code == ErrorCode::kIo);
  }
}

TEST_CASE("snapshot: what is held can no longer be changed by anyone") {
  const TempFolder folder;
  folder.write("a", "hello");
  const auto model = ModelFolder::open(folder.path).value();
  std::vector<FileDigest> digests;
  const auto held =
      model.snapshot(model.enumerate(kIgnored).value(), crypto::HashAlgorithm::kSha256, digests)
          .value();
  const int fd = held[0].memory.get();
  CHECK(::pwrite(fd, "x", 1, 0) == -1);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(fd, 0) == -1);
  CHECK(::ftruncate(fd, 100) == -1);
  CHECK(::fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == -1);
  CHECK(::mmap(nullptr, 5, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

TEST_CASE("single file: one entry named '.'") {
  const TempFolder folder;
  folder.write("m.safetensors", "weights");
  const auto model = ModelFolder::open(folder.path / "m.safetensors").value();
  CHECK(model.is_single_file());
  CHECK(model.base_name() == "m.safetensors");
  const auto files = model.enumerate(kIgnored).value();
  REQUIRE(files.size() == 1);
  CHECK(files[0].name == ".");
  std::vector<FileDigest> digests;
  const auto held = model.snapshot(files, crypto::HashAlgorithm::kSha256, digests).value();
  CHECK(bytes_of(held[0]) == "weights");
  CHECK(model.hash(files, crypto::HashAlgorithm::kSha256).value()[0].digest == digests[0].digest);
}

TEST_CASE(
    "race: whatever others do to the files, a digest is that of the bytes that are held (T3)") {
  const TempFolder folder;
  const std::string good(300'000, 'g');
  const std::string evil(300'000, 'e');
  folder.write("weights", good);
  folder.write("other", "o");
  std::atomic<bool> stop{false};
  std::thread attacker([&] {
    const std::string target = (folder.path / "weights").string();
    const std::string prepared = (folder.path.string() + "-prepared");
    for (int round = 0; !stop; ++round) {
      switch (round % 5) {
        case 0: {  // in place, byte by byte in the middle of a read
          const UniqueFd fd(::open(target.c_str(), O_WRONLY));
          if (fd.is_open()) [[maybe_unused]]
            auto n = ::pwrite(fd.get(), evil.data(), 4096, 150'000);
          break;
        }
        case 1: {  // by rename
          std::ofstream(prepared, std::ios::binary) << evil;
          ::rename(prepared.c_str(), target.c_str());
          break;
        }
        case 2: {
          [[maybe_unused]] auto r = ::truncate(target.c_str(), 1000);
          break;
        }
        case 3: {  // a link in its place
          ::unlink(prepared.c_str());
          if (::symlink("/etc/passwd", prepared.c_str()) == 0)
            ::rename(prepared.c_str(), target.c_str());
          break;
        }
        default: {
          std::ofstream(prepared, std::ios::binary) << good;
          ::rename(prepared.c_str(), target.c_str());
        }
      }
    }
    ::unlink(prepared.c_str());
  });
  int held_rounds = 0, refused_rounds = 0;
  for (int round = 0; round < 400; ++round) {
    const auto model = ModelFolder::open(folder.path).value();
    const auto files = model.enumerate(kIgnored);
    std::vector<FileDigest> digests;
    auto held = files ? model.snapshot(*files, crypto::HashAlgorithm::kSha256, digests)
                      : Result<std::vector<SnapshotFile>>(files.error());
    if (!held) {
      ++refused_rounds;
      const ErrorCode code = held.error().code;
      const bool expected = code == ErrorCode::kArtifactChanged ||
                            code == ErrorCode::kArtifactSymlink || code == ErrorCode::kNotFound;
      CHECK(expected);
      continue;
    }
    ++held_rounds;
    for (const SnapshotFile& file : *held) {
      CHECK(crypto::sha256(as_bytes(bytes_of(file))) == file.digest);
    }
  }
  stop = true;
  attacker.join();
  CHECK(held_rounds > 0);
  MESSAGE(held_rounds << " held, " << refused_rounds << " refused");
}
