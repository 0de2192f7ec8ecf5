// SPDX-License-Identifier: Apache-2.0
// /pypi/NAME/VERSION/json: what auditors read. `vulnerabilities` comes from the mirror's own
// database. Where it could not be told, the answer is an error: an empty list would read as
// "clean".
#pragma once

#include <string>

#include "exchange.h"

namespace mlxguard::mirror {

[[nodiscard]] Answer release_answer(const ProjectPage& page, const std::string& version,
                                    const Scanner& scanner, const Policy& policy);

}  // namespace mlxguard::mirror
