// SPDX-License-Identifier: Apache-2.0
// Any bytes as a wheel, as a source distribution and as an archive: nothing is written, no path
// leads out.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/check.h"
#include "base/unique_fd.h"
#include "inventory/read.h"
#include "inventory/zip_file.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  if (const auto archive = inventory::ZipFile::open(bytes)) {
    for (const inventory::ZipEntry& entry : archive->entries()) {
      MLXGUARD_CHECK(!entry.name.empty() && !entry.name.starts_with('/'));
      MLXGUARD_CHECK(entry.name.find("../") == std::string::npos);
      static_cast<void>(archive->read(entry, 1u << 20));
    }
  }
  const UniqueFd file(::memfd_create("wheel", MFD_CLOEXEC));
  MLXGUARD_CHECK(file.is_open());
  MLXGUARD_CHECK(::write(file.get(), data, size) == static_cast<ssize_t>(size));
  inventory::ReadOptions options;
  options.threads = 1;
  static_cast<void>(inventory::read_wheel(file.get(), "a-1.0-py3-none-any.whl", options));
  static_cast<void>(inventory::read_sdist(file.get(), "a-1.0.tar.gz", options));
  static_cast<void>(inventory::read_sdist(file.get(), "a-1.0.zip", options));
  return 0;
}
