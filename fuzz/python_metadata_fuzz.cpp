// SPDX-License-Identifier: Apache-2.0
// Any bytes as METADATA, RECORD and a .pth file of an installed package.
#include <cstdint>
#include <set>

#include "base/check.h"
#include "inventory/distribution.h"
#include "inventory/files.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text(Bytes(data, size)));
  if (const auto metadata = inventory::parse_metadata(text)) {
    MLXGUARD_CHECK(!metadata->name.empty() && !metadata->version.empty());
  }
  if (const auto rows = inventory::parse_record(text)) {
    std::set<std::string> paths;
    for (const inventory::RecordRow& row : *rows) {
      MLXGUARD_CHECK(paths.insert(row.path).second);
      if (const auto hash = inventory::parse_file_hash(row.hash))
        MLXGUARD_CHECK(!hash->digest.empty());
      const std::string inside = inventory::join_inside("lib/site-packages", row.path);
      MLXGUARD_CHECK(!inside.starts_with('/') && !inside.starts_with("../"));
      MLXGUARD_CHECK(inside.find("/../") == std::string::npos);
    }
    MLXGUARD_CHECK(inventory::content_digest(*rows).starts_with("sha256:"));
  }
  inventory::Builder builder;
  inventory::observe_path_file(text, "", "x.pth", builder);
  const inventory::FileReader read = [&](const std::string& path,
                                         std::uint64_t) -> Result<std::string> {
    if (path.ends_with("INSTALLER") || path.ends_with("REQUESTED")) {
      return make_error(ErrorCode::kNotFound, "none");
    }
    return text;
  };
  if (const auto one =
          inventory::read_distribution("a-1.dist-info", read, {"a-1.dist-info/sboms/x"}, builder)) {
    static_cast<void>(inventory::add_distribution(*one, builder));
    static_cast<void>(std::move(builder).build("x", "x"));
  }
  return 0;
}
