// SPDX-License-Identifier: Apache-2.0
#include "mirror/store.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

#include "codec/text.h"
#include "mirror/file_record.h"

using namespace mlxguard;
using namespace mlxguard::mirror;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  std::unique_ptr<Store> open() {
    auto store = Store::open(path, random);
    REQUIRE(store);
    return *std::move(store);
  }
  fs::path path = fs::temp_directory_path() / ("mirror_store_" + std::to_string(::getpid()));
  crypto::SystemRandom random;
};

std::string digest_of(std::string_view text) {
  return codec::to_hex(crypto::sha256(as_bytes(text)));
}

Result<void> put(Store& store, std::string_view bytes, const std::string& digest,
                 std::optional<std::uint64_t> size = {}) {
  auto incoming = store.incoming(1000);
  REQUIRE(incoming);
  REQUIRE(incoming->write(as_bytes(bytes)));
  return store.commit(BlobKind::kFile, *std::move(incoming), digest, size);
}

std::size_t files_below(const fs::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    count += entry.is_regular_file();
  return count;
}

}  // namespace

TEST_CASE("store: bytes are kept under their digest and found again") {
  Folder folder;
  const auto store = folder.open();
  CHECK(store->open_blob(BlobKind::kFile, digest_of("abc")).error().code == ErrorCode::kNotFound);
  REQUIRE(put(*store, "abc", digest_of("abc"), 3));
  CHECK(store->open_blob(BlobKind::kFile, digest_of("abc")));
  CHECK(files_below(folder.path / "incoming") == 0);
}

TEST_CASE("store: bytes of another digest or size are never named") {
  Folder folder;
  const auto store = folder.open();
  CHECK(put(*store, "abc", digest_of("abd")).error().code == ErrorCode::kMirrorDigest);
  CHECK(put(*store, "ab", digest_of("ab"), 3).error().code == ErrorCode::kTruncated);
  CHECK(files_below(folder.path / "incoming") == 0);
  CHECK(files_below(folder.path / "files") == 0);
}

TEST_CASE(
    "store: a download that is too large ends, and one begun again is judged by its last try") {
  Folder folder;
  const auto store = folder.open();
  auto incoming = store->incoming(4);
  REQUIRE(incoming->write(as_bytes("abc")));
  CHECK(incoming->write(as_bytes("de")).error().code == ErrorCode::kTooLarge);
  REQUIRE(incoming->restart());
  REQUIRE(incoming->write(as_bytes("xyz")));
  CHECK(store->commit(BlobKind::kFile, *std::move(incoming), digest_of("xyz"), {}));
}

TEST_CASE("store: bytes that changed on disk are found out and removed") {
  Folder folder;
  const std::string digest = digest_of("abc");
  const fs::path path = folder.path / "files" / digest.substr(0, 2) / digest;
  {
    const auto store = folder.open();
    REQUIRE(put(*store, "abc", digest));
  }
  std::ofstream(path) << "abX";
  const auto store = folder.open();
  CHECK(store->open_blob(BlobKind::kFile, digest).error().code == ErrorCode::kMirrorDigest);
  CHECK_FALSE(fs::exists(path));
  REQUIRE(put(*store, "abc", digest));
  REQUIRE(store->open_blob(BlobKind::kFile, digest));
  std::ofstream(path) << "abcd";  // while the process lives
  CHECK(store->open_blob(BlobKind::kFile, digest).error().code == ErrorCode::kMirrorDigest);
}

TEST_CASE("store: what a killed mirror left unfinished goes, what it finished stays") {
  Folder folder;
  (void)folder.open();
  std::ofstream(folder.path / "incoming" / "half") << "half";
  const auto store = folder.open();
  CHECK(files_below(folder.path / "incoming") == 0);
}

TEST_CASE("store: two mirrors do not work with one folder") {
  Folder folder;
  const auto first = folder.open();
  CHECK(Store::open(folder.path, folder.random).error().code == ErrorCode::kAlreadyExists);
}

TEST_CASE("store: pages and records read back; damaged ones are as if absent") {
  Folder folder;
  const auto store = folder.open();
  ProjectPage page;
  page.project = "name";
  page.etag = "x";
  REQUIRE(store->put_page(page));
  CHECK(store->page("name")->etag == "x");
  CHECK_FALSE(store->page("other"));
  CHECK(store->projects() == std::vector<std::string>{"name"});
  std::ofstream(folder.path / "pages" / "name.json") << "{";
  CHECK_FALSE(store->page("name"));

  FileRecord record;
  record.project = "name";
  record.filename = "name-1.0.tar.gz";
  record.sha256 = digest_of("abc");
  record.inspection.findings.push_back({Verdict::kQuarantined, "path-code", "text"});
  REQUIRE(store->put_record(record));
  ProjectFile file;
  file.filename = record.filename;
  file.sha256 = record.sha256;
  const auto again = store->record(record_id("name", file));
  REQUIRE(again);
  CHECK(again->inspection.verdict() == Verdict::kQuarantined);
  // The same bytes under another name are another file: what was found depends on the name.
  CHECK_FALSE(store->record(record_id("other", file)));
  file.filename = "name-2.0.tar.gz";
  CHECK_FALSE(store->record(record_id("name", file)));
  REQUIRE(read_records(folder.path)->size() == 1);
}
