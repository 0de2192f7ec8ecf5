// SPDX-License-Identifier: Apache-2.0
// What both cgroup back-ends need of the kernel's text files: where this process's cgroups are, and
// reading, writing and removing in them. The parsers are pure; their input is the kernel's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::sandbox {

/// The folder of this process's own cgroup of a controller, "" for the v2 tree; nothing if not
/// mounted. `mountinfo` and `own` are the texts of /proc/self/mountinfo and /proc/self/cgroup.
[[nodiscard]] std::optional<std::string> find_own_cgroup(std::string_view mountinfo,
                                                         std::string_view own,
                                                         std::string_view controller);

/// The same, from this process's files.
[[nodiscard]] std::optional<std::string> own_cgroup(std::string_view controller);

/// The number after `key ` at a line's start ("oom_kill 1"), or of the whole text if `key` is
/// empty.
[[nodiscard]] std::optional<std::uint64_t> find_counter(std::string_view text,
                                                        std::string_view key);

[[nodiscard]] Result<std::string> read_cgroup_file(const std::string& path);
Result<void> write_cgroup_file(const std::string& path, std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> read_counter(const std::string& path,
                                                        std::string_view key = {});

/// mkdir. A leftover of this name is a dead predecessor's with our pid: removed first, if it is
/// empty.
Result<void> make_cgroup(const std::string& folder);

/// rmdir, with a little patience: the kernel may still be letting go of a process just reaped.
void remove_cgroup(const std::string& folder);

/// Removes empty leaves below `parent` whose maker is dead.
void sweep_leaves(const std::string& parent);

/// A leaf's folder name carries its maker's pid, for the sweep.
[[nodiscard]] std::string leaf_name(std::string_view name);

}  // namespace mlxguard::sandbox
