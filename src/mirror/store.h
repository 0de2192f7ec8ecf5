// SPDX-License-Identifier: Apache-2.0
// Store: what the mirror keeps on disk, below $STATE/mirror. Files by the sha256 of their bytes,
// written aside and named only when the digest is the expected one, so that a kill at any moment
// leaves whole files or none. Bytes are checked against their name again when this process uses
// them first.
//   files/ab/abcd...   bytes          records/abcd....json  what was found in them and decided
//   pages/NAME.json    index pages    metadata/ab/abcd...   PEP 658 files      incoming/ unfinished
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "mirror/project_page.h"
#include "mirror/scanner.h"

namespace mlxguard::mirror {

enum class BlobKind : std::uint8_t { kFile, kMetadata };

/// What is known of one file; for `deps mirror list` and so that files are inspected once.
struct FileRecord {
  std::string project;
  std::string version;
  std::string filename;
  std::string sha256;          ///< as the index says; empty where it says none
  std::string content_sha256;  ///< of the bytes in the cache; empty before the first download
  std::int64_t size_bytes = 0;
  std::string inspected_by;  ///< Scanner::inspection_identity(); empty: not inspected
  Judgement inspection;
  std::string action;  ///< the last decision: "served", "blocked", "held"
  std::string code;
  std::string reason;
  std::int64_t decided_ms = 0;
};

/// A file on its way into the store. Not committed: it leaves nothing behind.
class Incoming {
 public:
  Incoming(Incoming&&) noexcept = default;
  Incoming& operator=(Incoming&&) = delete;
  ~Incoming();
  /// Errors: kTooLarge beyond the bound, kNoSpace, kIo.
  [[nodiscard]] Result<void> write(Bytes bytes);
  /// Forgets what was written, for another try.
  [[nodiscard]] Result<void> restart();
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Of all that was written; for files whose digest nobody promised. Ends the digest.
  [[nodiscard]] const std::string& digest();

 private:
  friend class Store;
  Incoming(UniqueFd fd, std::string path, std::uint64_t bytes_max);
  UniqueFd fd_;
  std::string path_;
  std::uint64_t bytes_max_;
  std::uint64_t size_ = 0;
  std::unique_ptr<crypto::Hasher> hasher_;
  std::string digest_;
};

class Store {
 public:
  /// Makes the folders (0700) and removes what an earlier process left unfinished. One mirror at a
  /// time: kAlreadyExists if another holds the folder.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(std::filesystem::path mirror_folder,
                                                           crypto::Random& random);
  ~Store();

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // Pages. A damaged page is as if it was not there.
  [[nodiscard]] std::optional<ProjectPage> page(std::string_view project) const;
  [[nodiscard]] Result<void> put_page(const ProjectPage& page);
  [[nodiscard]] std::vector<std::string> projects() const;

  // Bytes. kNotFound; kMirrorDigest if they are no longer what their name says (and are removed).
  [[nodiscard]] Result<UniqueFd> open_blob(BlobKind kind, const std::string& sha256);
  [[nodiscard]] Result<Incoming> incoming(std::uint64_t bytes_max);
  /// Names the bytes after their digest. Errors: kMirrorDigest, kTruncated (size).
  [[nodiscard]] Result<void> commit(BlobKind kind, Incoming incoming, const std::string& sha256,
                                    std::optional<std::uint64_t> size_bytes);

  [[nodiscard]] std::optional<FileRecord> record(const std::string& id) const;
  [[nodiscard]] Result<void> put_record(const FileRecord& record);

 private:
  struct Lock;
  struct Checked {
    std::uint64_t inode = 0;
    std::int64_t modified_ns = 0;
    std::int64_t size = 0;
    bool operator==(const Checked&) const = default;
  };
  Store(std::filesystem::path folder, crypto::Random& random, std::unique_ptr<Lock> lock);
  [[nodiscard]] std::filesystem::path blob_path(BlobKind kind, const std::string& sha256) const;
  [[nodiscard]] Result<void> check_bytes(int fd, const std::string& sha256);

  std::filesystem::path folder_;
  crypto::Random& random_;
  std::unique_ptr<Lock> lock_;
  std::mutex mutex_;
  std::map<std::string, Checked> checked_;
};

/// Every record below a mirror's folder, by project and file name; for other processes than the
/// mirror.
[[nodiscard]] Result<std::vector<FileRecord>> read_records(
    const std::filesystem::path& mirror_folder);
/// How a record is named: by project, file name and the digest that the index promises. The same
/// bytes under another name are another file: what was found in them depends on the name.
[[nodiscard]] std::string record_id(std::string_view project, const ProjectFile& file);

}  // namespace mlxguard::mirror
