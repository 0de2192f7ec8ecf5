// SPDX-License-Identifier: Apache-2.0
// Packages that another package carries as copies in a folder of its own (pip/_vendor,
// setuptools/_vendor): imported like others, and listed in no metadata of the environment. What
// they are is told by dist-info folders, an SBOM or a list of requirements among the copies; a
// folder without any of these is observed as unreadable.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/builder.h"
#include "inventory/distribution.h"

namespace mlxguard::inventory {

/// Whether the component is only there as a copy inside of another package.
[[nodiscard]] bool is_vendored(const Component& component);

/// `files` are all paths of an environment or wheel, sorted; `owner_of` gives the purl of the
/// package that a file belongs to, or nothing. Distributions must be in the builder already.
void add_vendored(const std::vector<std::string>& files,
                  const std::function<std::string(const std::string&)>& owner_of,
                  const FileReader& read, Builder& builder);

}  // namespace mlxguard::inventory
