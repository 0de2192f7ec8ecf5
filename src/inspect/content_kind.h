// SPDX-License-Identifier: Apache-2.0
// What a file is by its content; its name is only asked where content cannot tell (text). Loaders
// differ in which of the two they believe, so a disagreement is a finding of its own. Input: bytes
// chosen by an attacker.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/byte_reader.h"

namespace mlxguard::inspect {

// Row: X(enumerator, "name"). The name is what reports say of a file.
#define MLXGUARD_CONTENT_KINDS(X)                                                                  \
  X(kEmpty, "empty")                                                                               \
  X(kSafetensors, "safetensors")                                                                   \
  X(kGguf, "gguf")                                                                                 \
  X(kNpy, "npy") X(kZip, "zip") X(kTar, "tar") X(kCompressed, "compressed")                        \
      X(kOtherArchive, "archive") X(kPickle, "pickle") X(kElf, "elf") X(kMachO, "mach-o")          \
          X(kPe, "pe") X(kWasm, "wasm") X(kByteCode, "python-bytecode") X(kScript, "script")       \
              X(kPython, "python") X(kJson, "json") X(kYaml, "yaml") X(kTemplate, "template")      \
                  X(kText, "text") X(kImage, "image") X(kDocument, "document")                     \
                      X(kSentencePiece, "sentencepiece") X(kMlxfn, "mlxfn") X(kForeign, "foreign") \
                          X(kUnknown, "unknown")

enum class ContentKind : std::uint8_t {
#define MLXGUARD_CONTENT_ENUM(enumerator, name) enumerator,
  MLXGUARD_CONTENT_KINDS(MLXGUARD_CONTENT_ENUM)
#undef MLXGUARD_CONTENT_ENUM
};

[[nodiscard]] std::string_view name_of(ContentKind kind);

/// The kind of these bytes. `name` decides between kinds of text, and between blobs without a mark.
[[nodiscard]] ContentKind content_kind_of(Bytes file, std::string_view name);

/// What the name promises, where a name promises something that content can break.
[[nodiscard]] std::optional<ContentKind> promised_by_name(std::string_view name);

/// Whether loaders that go by the name would read this content as what the name says.
[[nodiscard]] bool keeps_promise(ContentKind promised, ContentKind found);

[[nodiscard]] bool has_extension(std::string_view name, std::string_view extension);
/// The part after the last '/'.
[[nodiscard]] std::string_view last_part(std::string_view name);

}  // namespace mlxguard::inspect
