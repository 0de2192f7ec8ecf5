// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <sys/stat.h>

#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kKnownMax = 100'000;
constexpr int kAttempts = 2;
constexpr std::chrono::minutes kMetadataWait{1};

Error still_scanning() {
  return make_error(ErrorCode::kMirrorHeld, "the file is still being downloaded and scanned")
      .hinting("ask again in a moment");
}

}  // namespace

Files::Files(asio::io_context& io, asio::thread_pool& pool, Store& store, Upstream& upstream,
             const Scanner& scanner)
    : store_(store), upstream_(upstream), scanner_(scanner), flights_(io, pool) {}

const Inspected* Files::find(const std::string& project, const ProjectFile& file) const {
  const auto found = known_.find(record_id(project, file));
  if (found == known_.end() || found->second.inspected_by != scanner_.inspection_identity()) {
    return nullptr;
  }
  return &found->second;
}

void Files::forget(const std::string& project, const ProjectFile& file) {
  known_.erase(record_id(project, file));
}

Task<Result<Inspected>> Files::get(const std::string& project, const ProjectFile& file,
                                   std::chrono::milliseconds wait, Patience& patience) {
  const std::string id = record_id(project, file);
  if (const Inspected* known = find(project, file)) co_return *known;
  // Named, not temporaries inside of co_await: g++ 12 destroys those twice.
  Flights<Result<Inspected>>::Job job = [this, project, file] { return obtain(project, file); };
  const auto outcome = co_await flights_.join(id, std::move(job), wait, patience);
  if (!outcome) co_return still_scanning();
  if (outcome->has_value()) {
    if (known_.size() >= kKnownMax) known_.clear();
    Inspected& known = known_[id];
    known = **outcome;
    known.from_cache = true;
  }
  co_return *outcome;
}

Task<Result<Inspected>> Files::get_metadata(const ProjectFile& file, Patience& patience) {
  std::string key = "metadata/" + file.metadata_sha256;
  Flights<Result<Inspected>>::Job job = [this, file] { return obtain_metadata(file); };
  const auto outcome =
      co_await flights_.join(std::move(key), std::move(job), kMetadataWait, patience);
  if (!outcome) co_return still_scanning();
  co_return *outcome;
}

Result<void> Files::download(BlobKind kind, const std::string& url,
                             std::optional<std::uint64_t> size_bytes, std::uint64_t bytes_max,
                             std::string& sha256) {
  MLXGUARD_TRY_ASSIGN(Incoming incoming, store_.incoming(size_bytes.value_or(bytes_max)));
  for (int attempt = 1;; ++attempt) {
    auto fetched = upstream_.fetch_file(url, [&](Bytes bytes) { return incoming.write(bytes); });
    if (fetched) break;
    // A connection that broke is worth another try; what is wrong with the bytes is not.
    if (fetched.error().code != ErrorCode::kMirrorUpstream || attempt == kAttempts) {
      return std::move(fetched).error();
    }
    MLXGUARD_TRY(incoming.restart());
  }
  if (sha256.empty()) sha256 = incoming.digest();
  return store_.commit(kind, std::move(incoming), sha256, size_bytes);
}

Result<UniqueFd> Files::bytes_of(const ProjectFile& file, Inspected& found) {
  if (!found.sha256.empty()) {
    auto fd = store_.open_blob(BlobKind::kFile, found.sha256);
    if (fd) return fd;
    const ErrorCode code = fd.error().code;
    if (code != ErrorCode::kNotFound && code != ErrorCode::kMirrorDigest) return fd;
  }
  found.from_cache = false;
  MLXGUARD_TRY(download(BlobKind::kFile, file.url, file.size_bytes, limits::kMirrorFileBytesMax,
                        found.sha256));
  return store_.open_blob(BlobKind::kFile, found.sha256);
}

/// In the pool.
Result<Inspected> Files::obtain(const std::string& project, const ProjectFile& file) {
  Inspected found;
  found.sha256 = file.sha256;
  auto record = store_.record(record_id(project, file));
  // Where the index gives no digest, the bytes that were seen first are the ones that stay.
  if (record && found.sha256.empty()) found.sha256 = record->content_sha256;
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, bytes_of(file, found));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.filename);
  found.size_bytes = static_cast<std::uint64_t>(status.st_size);
  found.inspected_by = scanner_.inspection_identity();
  if (record && record->inspected_by == found.inspected_by &&
      record->content_sha256 == found.sha256 && record->filename == file.filename &&
      record->project == project) {
    found.inspection = record->inspection;
    return found;
  }
  found.inspection = scanner_.inspect(fd.get(), project, file.filename);
  FileRecord fresh;
  if (record && record->project == project) fresh = *std::move(record);
  fresh.project = project;
  fresh.version = file.version;
  fresh.filename = file.filename;
  fresh.sha256 = file.sha256;
  fresh.content_sha256 = found.sha256;
  fresh.size_bytes = static_cast<std::int64_t>(found.size_bytes);
  fresh.inspected_by = found.inspected_by;
  fresh.inspection = found.inspection;
  MLXGUARD_TRY(store_.put_record(fresh));
  return found;
}

Result<Inspected> Files::obtain_metadata(const ProjectFile& file) {
  Inspected found;
  found.sha256 = file.metadata_sha256;
  auto fd = store_.open_blob(BlobKind::kMetadata, found.sha256);
  if (!fd) {
    MLXGUARD_TRY_ASSIGN(Url url, parse_url(file.url));
    url.path += ".metadata";
    MLXGUARD_TRY(download(BlobKind::kMetadata, url.text(), {}, limits::kMirrorMetadataBytesMax,
                          found.sha256));
    fd = store_.open_blob(BlobKind::kMetadata, found.sha256);
    if (!fd) return std::move(fd).error();
  }
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return os_error("stat", file.filename);
  found.size_bytes = static_cast<std::uint64_t>(status.st_size);
  return found;
}

}  // namespace mlxguard::mirror
