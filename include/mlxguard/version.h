// SPDX-License-Identifier: Apache-2.0
// The public API's namespace and version. Everything is in mlxguard::v1, which users reach as
// mlxguard:: as long as it is the newest.
#pragma once

#define MLXGUARD_VERSION_MAJOR 0
#define MLXGUARD_VERSION_MINOR 1

#ifdef MLXGUARD_BUILDING_API
#define MLXGUARD_V1 namespace v1  // inside the library, ::mlxguard holds other types of these names
#define MLXGUARD_EXPORT __attribute__((visibility("default")))
#else
#define MLXGUARD_V1 inline namespace v1
#define MLXGUARD_EXPORT
#endif

namespace mlxguard {
MLXGUARD_V1 {

/// "0.1.0": of the library that is loaded, which may be newer than the headers.
[[nodiscard]] MLXGUARD_EXPORT const char* version() noexcept;

}  // namespace v1
}  // namespace mlxguard
