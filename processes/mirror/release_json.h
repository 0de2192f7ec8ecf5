// SPDX-License-Identifier: Apache-2.0
// /pypi/NAME/VERSION/json: what auditors read. `vulnerabilities` comes from the mirror's own
// database. Where it could not be told, the answer is an error: an empty list would read as
// "clean", and so would "no such release", for which auditors skip the package. Upstream is not
// asked: what is installed may come from elsewhere.
#pragma once

#include <string>

#include "exchange.h"

namespace mlxguard::mirror {

/// `project` is normalised; `untrusted_version` is what the client asked for.
[[nodiscard]] Answer release_answer(const std::string& project,
                                    const std::string& untrusted_version, const Scanner& scanner,
                                    const Policy& policy);

}  // namespace mlxguard::mirror
