// SPDX-License-Identifier: Apache-2.0
#include "inspect/inspector.h"

#include <sys/mman.h>

namespace mlxguard::inspect {
namespace {

class Mapping {
 public:
  Mapping(int fd, std::size_t size) : size_(size) {
    if (size != 0) data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  ~Mapping() {
    if (data_ != nullptr && data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] bool failed() const { return data_ == MAP_FAILED; }
  [[nodiscard]] Bytes bytes() const {
    return data_ == nullptr ? Bytes{} : Bytes{static_cast<const std::uint8_t*>(data_), size_};
  }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

}  // namespace

Result<FileReport> LocalInspector::inspect(int fd, std::uint64_t size_bytes,
                                           const FileContext& context) {
  // A file that shrinks while it is read kills this process: its parent tells that as a gap.
  const Mapping mapping(fd, size_bytes);
  if (mapping.failed()) {
    FileReport report;
    report.gap = "could not be mapped";
    return report;
  }
  return inspect_file(mapping.bytes(), context);
}

}  // namespace mlxguard::inspect
