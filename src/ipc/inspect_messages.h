// SPDX-License-Identifier: Apache-2.0
// Messages between whoever inspects a model and the inspector process. They stand apart from
// messages.h since no server speaks them: the two parties are the command line and
// mlxguard-inspector.
//
//   parent <-> inspector   control channel, descriptor 3 of the inspector; one file at a time
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/messages.h"

namespace mlxguard::ipc {

inline constexpr wire::ReceiveBounds kFromInspector{16u << 20, 0};
inline constexpr wire::ReceiveBounds kToInspector{limits::kIpcPayloadBytesMax, 1};

inline constexpr auto kInspectorLockedType = static_cast<MessageType>(200);
inline constexpr auto kInspectFileType = static_cast<MessageType>(201);
inline constexpr auto kFileInspectedType = static_cast<MessageType>(202);

// ---- inspector -> parent -----------------------------------------------------------------------

/// First message: it is locked and waits for a file.
struct InspectorLocked {
  static constexpr MessageType kType = kInspectorLockedType;
  std::uint32_t mechanisms = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(mechanisms);
  }
};

struct WireFinding {
  std::uint8_t rule = 0;
  std::uint8_t severity = 0;
  std::string inside;
  bool has_offset = false;
  std::uint64_t offset = 0;
  bool has_line = false;
  std::uint64_t line = 0;
  std::string reason;
  std::string evidence;
  template <class Archive>
  void visit(Archive& archive) {
    archive(rule), archive(severity), archive(inside), archive(has_offset), archive(offset),
        archive(has_line), archive(line), archive(reason), archive(evidence);
  }
};

struct FileInspected {
  static constexpr MessageType kType = kFileInspectedType;
  std::uint64_t id = 0;
  std::string format;
  std::string gap;
  std::vector<WireFinding> findings;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(format), archive(gap), archive(findings);
  }
};

// ---- parent -> inspector -----------------------------------------------------------------------

/// The file's descriptor, opened for reading only, comes with it.
struct InspectFile {
  static constexpr MessageType kType = kInspectFileType;
  std::uint64_t id = 0;
  std::string name;
  std::uint64_t size_bytes = 0;
  std::vector<std::string> siblings;
  template <class Archive>
  void visit(Archive& archive) {
    archive(id), archive(name), archive(size_bytes), archive(siblings);
  }
};

}  // namespace mlxguard::ipc
