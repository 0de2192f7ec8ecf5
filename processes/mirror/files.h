// SPDX-License-Identifier: Apache-2.0
// Files: from upstream into the cache, and looked into, once for all who ask. What comes out has
// the digest that the index promised and an inspection by the scanner of today. Used on the event
// loop's thread; what blocks runs in the pool.
#pragma once

#include <map>
#include <string>

#include "flights.h"
#include "mirror/project_page.h"
#include "mirror/scanner.h"
#include "mirror/store.h"
#include "upstream.h"

namespace mlxguard::mirror {

struct Inspected {
  std::string sha256;  ///< of the bytes in the cache
  std::uint64_t size_bytes = 0;
  std::string inspected_by;
  Judgement inspection;
  bool from_cache = true;
};

class Files {
 public:
  Files(asio::io_context& io, asio::thread_pool& pool, Store& store, Upstream& upstream,
        const Scanner& scanner);

  /// Errors: kMirrorUpstream, kMirrorDigest, kTruncated, kTooLarge, kMirrorHeld (still scanning),
  /// and those of the disk.
  [[nodiscard]] Task<Result<Inspected>> get(const std::string& project, const ProjectFile& file,
                                            std::chrono::milliseconds wait, Patience& patience);
  /// The file of PEP 658; its digest stands in the index.
  [[nodiscard]] Task<Result<Inspected>> get_metadata(const ProjectFile& file, Patience& patience);
  /// Known without waiting, or nullptr.
  [[nodiscard]] const Inspected* find(const std::string& project, const ProjectFile& file) const;
  /// The bytes are no longer in the cache: the next who asks has them fetched and looked into.
  void forget(const std::string& project, const ProjectFile& file);

 private:
  [[nodiscard]] Result<Inspected> obtain(const std::string& project, const ProjectFile& file);
  [[nodiscard]] Result<Inspected> obtain_metadata(const ProjectFile& file);
  /// Opens the bytes in the cache, or downloads them; sets `found.sha256` and `size_bytes`.
  [[nodiscard]] Result<UniqueFd> bytes_of(const ProjectFile& file, Inspected& found);
  [[nodiscard]] Result<void> download(BlobKind kind, const std::string& url,
                                      std::optional<std::uint64_t> size_bytes,
                                      std::uint64_t bytes_max, std::string& sha256);

  Store& store_;
  Upstream& upstream_;
  const Scanner& scanner_;
  Flights<Result<Inspected>> flights_;
  std::map<std::string, Inspected> known_;
};

}  // namespace mlxguard::mirror
