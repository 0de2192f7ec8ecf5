// SPDX-License-Identifier: Apache-2.0
#include "inspect/content_kind.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/ascii.h"
#include "codec/text.h"

namespace mlxguard::inspect {
namespace {

using std::literals::string_view_literals::operator""sv;

struct Magic {
  ContentKind kind;
  std::string_view bytes;
  std::size_t offset = 0;
};

// A longer or surer mark stands before a shorter one.
constexpr std::array kMagics{
    Magic{ContentKind::kGguf, "GGUF"sv},
    Magic{ContentKind::kNpy, "\x93NUMPY"sv},
    Magic{ContentKind::kElf,
          "\x7f"
          "ELF"sv},
    Magic{ContentKind::kMachO, "\xcf\xfa\xed\xfe"sv},
    Magic{ContentKind::kMachO, "\xce\xfa\xed\xfe"sv},
    Magic{ContentKind::kMachO, "\xfe\xed\xfa\xcf"sv},
    Magic{ContentKind::kMachO, "\xfe\xed\xfa\xce"sv},
    Magic{ContentKind::kMachO, "\xca\xfe\xba\xbe"sv},
    Magic{ContentKind::kMachO, "\xca\xfe\xba\xbf"sv},
    Magic{ContentKind::kWasm, "\0asm"sv},
    Magic{ContentKind::kZip, "PK\x03\x04"sv},
    Magic{ContentKind::kZip, "PK\x05\x06"sv},
    Magic{ContentKind::kZip, "PK\x07\x08"sv},
    Magic{ContentKind::kTar, "ustar"sv, 257},
    Magic{ContentKind::kCompressed, "\x1f\x8b"sv},
    Magic{ContentKind::kCompressed, "BZh"sv},
    Magic{ContentKind::kCompressed,
          "\xfd"
          "7zXZ\0"sv},
    Magic{ContentKind::kCompressed, "\x28\xb5\x2f\xfd"sv},
    Magic{ContentKind::kCompressed, "\x04\x22\x4d\x18"sv},
    Magic{ContentKind::kOtherArchive, "7z\xbc\xaf\x27\x1c"sv},
    Magic{ContentKind::kOtherArchive, "Rar!\x1a\x07"sv},
    Magic{ContentKind::kOtherArchive, "!<arch>\n"sv},
    Magic{ContentKind::kOtherArchive, "MSCF"sv},
    Magic{ContentKind::kForeign, "\x89HDF\r\n\x1a\n"sv},
    Magic{ContentKind::kForeign, "TFL3"sv, 4},
    Magic{ContentKind::kImage, "\x89PNG\r\n\x1a\n"sv},
    Magic{ContentKind::kImage, "\xff\xd8\xff"sv},
    Magic{ContentKind::kImage, "GIF8"sv},
    Magic{ContentKind::kImage, "WEBP"sv, 8},
    Magic{ContentKind::kImage, "WAVE"sv, 8},
    Magic{ContentKind::kImage, "ftyp"sv, 4},
    Magic{ContentKind::kDocument, "%PDF-"sv},
};

bool has(Bytes file, std::string_view bytes, std::size_t offset) {
  return file.size() >= offset + bytes.size() &&
         std::memcmp(file.data() + offset, bytes.data(), bytes.size()) == 0;
}

bool is_pe(Bytes file) {
  constexpr std::size_t kHeaderPlace = 0x3C;
  if (!has(file, "MZ", 0) || file.size() < kHeaderPlace + 4) return false;
  std::uint32_t header = 0;
  std::memcpy(&header, file.data() + kHeaderPlace, sizeof header);
  return header <= file.size() && has(file, "PE\0\0"sv, header);
}

/// 8 bytes of length, then a JSON object.
bool is_safetensors(Bytes file) {
  std::uint64_t header = 0;
  if (file.size() < 9) return false;
  std::memcpy(&header, file.data(), sizeof header);
  return file[8] == '{' && header >= 2 && header < (1ull << 40);
}

bool is_text(Bytes file) {
  constexpr std::size_t kLooked = 1 << 16;
  std::string_view head = as_text(file.first(std::min(file.size(), kLooked)));
  // The cut may have split a character.
  for (std::size_t cut = 0; cut < 4 && !codec::is_utf8(head) && head.size() == kLooked; ++cut) {
    head.remove_suffix(1);
  }
  return codec::is_utf8(head) && head.find('\0') == head.npos;
}

/// Protocol 2 and later say so. Older ones are text: told apart by their opcodes, not by a mark.
bool is_pickle(Bytes file, std::string_view name) {
  constexpr std::uint8_t kProtoOpcode = 0x80, kNewest = 5;
  if (file.size() >= 2 && file[0] == kProtoOpcode && file[1] >= 2 && file[1] <= kNewest)
    return true;
  const std::string_view text = as_text(file);
  // Protocol 0: GLOBAL "cmodule\nname\n", or a mark and then it; ends with STOP.
  const bool stops =
      !text.empty() && (text.back() == '.' || text.substr(0, 1 << 16).find("\n.") != text.npos);
  const std::string_view head = text.starts_with("(") ? text.substr(1) : text;
  const std::size_t line = head.find('\n');
  const bool global = head.starts_with("c") && line != head.npos && line > 1 && line < 256 &&
                      std::all_of(head.begin() + 1, head.begin() + line, [](char c) {
                        return c == '_' || c == '.' || is_ascii_alphanumeric(c);
                      });
  if (global && stops && head.find('\n', line + 1) != head.npos) return true;
  constexpr std::array<std::string_view, 7> kNames{".pkl",  ".pickle", ".pt",  ".pth",
                                                   ".ckpt", ".joblib", ".dill"};
  // What is named so is read as one: whatever is wrong with it is then told.
  // (.pth also names lists of paths, which are text.)
  const bool named = std::any_of(kNames.begin(), kNames.end(),
                                 [&](std::string_view one) { return has_extension(name, one); });
  return named && (stops || !has_extension(name, ".pth") || !is_text(file));
}

/// Python 3's magic number: two bytes of version, then CR LF.
bool is_byte_code(Bytes file) {
  constexpr std::uint8_t kOldest = 0x0B, kNewest = 0x0E;
  return file.size() >= 16 && file[2] == '\r' && file[3] == '\n' && file[1] >= kOldest &&
         file[1] <= kNewest;
}

/// zlib's two bytes, as joblib and others write them; text may begin like it.
bool is_zlib(Bytes file) {
  return file.size() >= 6 && file[0] == 0x78 && (file[0] * 256 + file[1]) % 31 == 0;
}

ContentKind kind_of_text(std::string_view text, std::string_view name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.starts_with("#!") && text.find('/') < text.find('\n')) return ContentKind::kScript;
  for (const std::string_view extension :
       {".sh", ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".command"}) {
    if (has_extension(name, extension)) return ContentKind::kScript;
  }
  for (const std::string_view extension : {".py", ".pyw", ".pyi", ".pth"}) {
    if (has_extension(name, extension)) return ContentKind::kPython;
  }
  for (const std::string_view extension : {".jinja", ".jinja2", ".j2"}) {
    if (has_extension(name, extension)) return ContentKind::kTemplate;
  }
  for (const std::string_view extension : {".yaml", ".yml"}) {
    if (has_extension(name, extension)) return ContentKind::kYaml;
  }
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (has_extension(name, ".json") || has_extension(name, ".ipynb")) return ContentKind::kJson;
  if (first != text.npos && text[first] == '{') {
    const std::size_t next = text.find_first_not_of(" \t\r\n", first + 1);
    if (next != text.npos && (text[next] == '"' || text[next] == '}')) return ContentKind::kJson;
  }
  return ContentKind::kText;
}

/// Formats that carry graphs or code of their own; some of them may read like text.
bool is_foreign(std::string_view name) {
  for (const std::string_view extension : {".onnx", ".pb", ".h5", ".hdf5", ".keras", ".tflite",
                                           ".mlmodel", ".msgpack", ".ot", ".nemo", ".caffemodel"}) {
    if (has_extension(name, extension)) return true;
  }
  return false;
}

ContentKind kind_by_name(Bytes file, std::string_view name) {
  if (has_extension(name, ".mlxfn")) return ContentKind::kMlxfn;
  if ((has_extension(name, ".model") || has_extension(name, ".spm")) && file[0] == 0x0A) {
    return ContentKind::kSentencePiece;
  }
  return ContentKind::kUnknown;
}

}  // namespace

std::string_view name_of(ContentKind kind) {
  constexpr std::array kNames{
#define MLXGUARD_CONTENT_NAME(enumerator, name) std::string_view(name),
      MLXGUARD_CONTENT_KINDS(MLXGUARD_CONTENT_NAME)
#undef MLXGUARD_CONTENT_NAME
  };
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string_view last_part(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == name.npos ? name : name.substr(slash + 1);
}

bool has_extension(std::string_view name, std::string_view extension) {
  if (name.size() < extension.size()) return false;
  return equals_ignoring_case(name.substr(name.size() - extension.size()), extension);
}

ContentKind content_kind_of(Bytes file, std::string_view name) {
  if (file.empty()) return ContentKind::kEmpty;
  for (const Magic& magic : kMagics) {
    if (has(file, magic.bytes, magic.offset)) return magic.kind;
  }
  if (is_pe(file)) return ContentKind::kPe;
  if (is_safetensors(file)) return ContentKind::kSafetensors;
  if (is_byte_code(file)) return ContentKind::kByteCode;
  // Its first byte is no opcode: whatever the name says, this is no pickle as it stands.
  if (is_zlib(file) && !is_text(file)) return ContentKind::kCompressed;
  if (is_pickle(file, name)) return ContentKind::kPickle;
  if (is_foreign(name)) return ContentKind::kForeign;
  if (is_text(file)) return kind_of_text(as_text(file), name);
  return kind_by_name(file, name);
}

std::optional<ContentKind> promised_by_name(std::string_view name) {
  struct Promise {
    std::string_view extension;
    ContentKind kind;
  };
  constexpr std::array kPromises{Promise{".safetensors", ContentKind::kSafetensors},
                                 Promise{".gguf", ContentKind::kGguf},
                                 Promise{".npy", ContentKind::kNpy},
                                 Promise{".npz", ContentKind::kZip},
                                 Promise{".json", ContentKind::kJson},
                                 Promise{".yaml", ContentKind::kYaml},
                                 Promise{".yml", ContentKind::kYaml},
                                 Promise{".jinja", ContentKind::kTemplate},
                                 Promise{".txt", ContentKind::kText},
                                 Promise{".md", ContentKind::kText},
                                 Promise{".csv", ContentKind::kText},
                                 Promise{".mlxfn", ContentKind::kMlxfn},
                                 Promise{".png", ContentKind::kImage},
                                 Promise{".jpg", ContentKind::kImage},
                                 Promise{".jpeg", ContentKind::kImage},
                                 Promise{".gif", ContentKind::kImage},
                                 Promise{".py", ContentKind::kPython},
                                 Promise{".pdf", ContentKind::kDocument}};
  for (const Promise& promise : kPromises) {
    if (has_extension(name, promise.extension)) return promise.kind;
  }
  return std::nullopt;
}

bool keeps_promise(ContentKind promised, ContentKind found) {
  if (promised == found || found == ContentKind::kEmpty) return true;
  const auto textual = [](ContentKind kind) {
    return kind == ContentKind::kText || kind == ContentKind::kJson || kind == ContentKind::kYaml ||
           kind == ContentKind::kTemplate || kind == ContentKind::kPython;
  };
  // A script's first line is told by its own rule; what is not text at all is a disguise.
  return textual(promised) && (textual(found) || found == ContentKind::kScript);
}

}  // namespace mlxguard::inspect
