// SPDX-License-Identifier: Apache-2.0
// A bounded Mach-O reader: thin and fat files, 32 and 64 bits, little-endian slices.
#include <bit>

#include "codec/text.h"
#include "inventory/image.h"
#include "inventory/native_file.h"

namespace mlxguard::inventory {
namespace {

constexpr std::uint32_t kMagic32 = 0xfeedface, kMagic64 = 0xfeedfacf;
constexpr std::uint32_t kMagicFat = 0xcafebabe, kMagicFat64 = 0xcafebabf;
constexpr std::uint32_t kCommandSymbols = 0x2, kCommandLoad = 0xc, kCommandIdentity = 0xd,
                        kCommandSegment = 0x1, kCommandSegment64 = 0x19, kCommandUuid = 0x1b,
                        kCommandLazyLoad = 0x20, kCommandWeakLoad = 0x80000018,
                        kCommandRpath = 0x8000001c, kCommandReexport = 0x8000001f,
                        kCommandUpward = 0x80000023;
constexpr std::uint32_t kCommandsMax = 65'536;

/// Whether a load command's bytes hold everything that is read from it.
Error too_small(const char* what) {
  return make_error(ErrorCode::kMachO, std::string("a load command is too small for ") + what);
}

class SliceReader {
 public:
  explicit SliceReader(Bytes bytes) : image_(bytes, ErrorCode::kMachO) {}

  Result<NativeFile> read() {
    file_.format = NativeFile::Format::kMachO;
    MLXGUARD_TRY_ASSIGN(const auto magic, image_.at<std::uint32_t>(0));
    if (magic != kMagic32 && magic != kMagic64) {
      return make_error(ErrorCode::kMachO,
                        "expected a little-endian Mach-O file, found other bytes");
    }
    wide_ = magic == kMagic64;
    MLXGUARD_TRY_ASSIGN(const auto cpu, image_.at<std::uint32_t>(4));
    file_.architecture = architecture(cpu);
    MLXGUARD_TRY_ASSIGN(const auto count, image_.at<std::uint32_t>(16));
    MLXGUARD_TRY_ASSIGN(const auto total, image_.at<std::uint32_t>(20));
    if (count > kCommandsMax) return make_error(ErrorCode::kTooLarge, "too many load commands");
    std::uint64_t at = wide_ ? 32 : 28;
    MLXGUARD_TRY_ASSIGN(const Bytes all, image_.slice(at, total));
    const std::uint64_t end = at + all.size();
    for (std::uint32_t i = 0; i < count; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto kind, image_.at<std::uint32_t>(at));
      MLXGUARD_TRY_ASSIGN(const auto bytes, image_.at<std::uint32_t>(at + 4));
      if (bytes < 8 || bytes > end - at) {
        return make_error(ErrorCode::kMachO, "a load command does not fit among the others");
      }
      MLXGUARD_TRY_ASSIGN(const Bytes command, image_.slice(at, bytes));
      MLXGUARD_TRY(read_command(kind, command));
      at += bytes;
      if (end - at < 8 && i + 1 < count) {
        return make_error(ErrorCode::kMachO, "fewer load commands than the header says");
      }
    }
    return std::move(file_);
  }

 private:
  static std::string architecture(std::uint32_t cpu) {
    switch (cpu) {
      case 0x01000007:
        return "x86_64";
      case 0x0100000c:
        return "arm64";
      case 7:
        return "i386";
      case 12:
        return "arm";
      default:
        return "cpu " + std::to_string(cpu);
    }
  }

  Result<void> read_command(std::uint32_t kind, Bytes command) {
    switch (kind) {
      case kCommandLoad:
      case kCommandWeakLoad:
      case kCommandReexport:
      case kCommandUpward:
      case kCommandLazyLoad:
      case kCommandIdentity:
        return read_dylib(kind, command);
      case kCommandRpath: {
        MLXGUARD_TRY_ASSIGN(std::string path, text_of(command));
        file_.search.push_back(std::move(path));
        return {};
      }
      case kCommandSymbols:
        return read_symbols(command);
      case kCommandSegment:
      case kCommandSegment64:
        return read_segment(kind, command);
      case kCommandUuid:
        if (command.size() < 24) return too_small("a UUID");
        file_.build_id = codec::to_hex(command.subspan(8, 16));
        return {};
      default:
        return {};
    }
  }

  static std::uint32_t word(Bytes command, std::size_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, command.data() + offset, sizeof(value));
    return value;
  }

  /// The string whose offset stands at byte 8 of a load command.
  Result<std::string> text_of(Bytes command) {
    if (command.size() < 12) return too_small("a path");
    MLXGUARD_TRY_ASSIGN(const std::string_view name, image_.name(command, word(command, 8)));
    return std::string(name);
  }

  Result<void> read_dylib(std::uint32_t kind, Bytes command) {
    if (command.size() < 24) return too_small("a library");
    MLXGUARD_TRY_ASSIGN(std::string name, text_of(command));
    const std::uint32_t packed = word(command, 16);
    std::string version = std::to_string(packed >> 16) + "." +
                          std::to_string((packed >> 8) & 0xff) + "." +
                          std::to_string(packed & 0xff);
    if (kind == kCommandIdentity) {
      file_.soname = std::move(name);
      file_.version = std::move(version);
      return {};
    }
    if (file_.needed.size() >= limits::kNativeNeededMax) {
      return make_error(ErrorCode::kTooLarge, "the file needs too many libraries");
    }
    file_.needed.push_back({std::move(name), std::move(version)});
    return {};
  }

  Result<void> read_symbols(Bytes command) {
    if (command.size() < 24) return too_small("a symbol table");
    const std::uint64_t step = wide_ ? 16 : 12;
    const std::uint64_t at = word(command, 8), count = word(command, 12);
    MLXGUARD_TRY_ASSIGN(const Bytes names, image_.slice(word(command, 16), word(command, 20)));
    MLXGUARD_TRY(image_.slice(at, count * step));
    if (file_.symbols.size() + count > limits::kNativeSymbolsMax) {
      return make_error(ErrorCode::kTooLarge, "the file has too many symbols");
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto name_at, image_.at<std::uint32_t>(at + i * step));
      MLXGUARD_TRY_ASSIGN(const auto type, image_.at<std::uint8_t>(at + i * step + 4));
      if (name_at == 0 || (type & 0xe0) != 0) continue;  // 0xe0: debugging entries
      MLXGUARD_TRY_ASSIGN(std::string_view name, image_.name(names, name_at));
      if (name.starts_with('_')) name.remove_prefix(1);  // what C compilers put before every name
      if (name.empty()) continue;
      file_.symbols.push_back({name, (type & 0x0e) == 0 ? NativeSymbol::State::kUndefined
                                                        : NativeSymbol::State::kDefined});
    }
    return {};
  }

  Result<void> read_segment(std::uint32_t kind, Bytes command) {
    const bool wide = kind == kCommandSegment64;
    const std::size_t head = wide ? 72 : 56, step = wide ? 80 : 68;
    if (command.size() < head) return too_small("a segment");
    const std::uint32_t count = word(command, head - 8);
    if (count > (command.size() - head) / step) return too_small("its sections");
    for (std::uint32_t i = 0; i < count; ++i) {
      const Bytes section = command.subspan(head + i * step, step);
      const std::string_view name = fixed(section.first(16)),
                             segment = fixed(section.subspan(16, 16));
      if (segment != "__TEXT" || (name != "__cstring" && name != "__const")) continue;
      const std::uint64_t bytes =
          wide ? word(section, 40) | (std::uint64_t{word(section, 44)} << 32) : word(section, 36);
      MLXGUARD_TRY_ASSIGN(const Bytes area, image_.slice(word(section, wide ? 48 : 40), bytes));
      file_.string_areas.push_back(area);
    }
    return {};
  }

  static std::string_view fixed(Bytes name) {
    const std::string_view text = as_text(name);
    return text.substr(0, std::min(text.find('\0'), text.size()));
  }

  Image image_;
  bool wide_ = true;
  NativeFile file_;
};

std::uint32_t big_endian(std::uint32_t value) { return __builtin_bswap32(value); }

Result<std::vector<NativeFile>> read_fat(const Image& image, bool wide) {
  MLXGUARD_TRY_ASSIGN(const auto raw_count, image.at<std::uint32_t>(4));
  const std::uint32_t count = big_endian(raw_count);
  if (count == 0 || count > limits::kNativeSlicesMax) {
    return make_error(ErrorCode::kMachO, "a fat file with an impossible number of slices");
  }
  std::vector<NativeFile> slices;
  std::uint64_t bytes_left = image.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t row = 8 + std::uint64_t{i} * (wide ? 32 : 20);
    std::uint64_t offset = 0, bytes = 0;
    if (wide) {
      MLXGUARD_TRY_ASSIGN(const auto raw_offset, image.at<std::uint64_t>(row + 8));
      MLXGUARD_TRY_ASSIGN(const auto raw_bytes, image.at<std::uint64_t>(row + 16));
      offset = __builtin_bswap64(raw_offset);
      bytes = __builtin_bswap64(raw_bytes);
    } else {
      MLXGUARD_TRY_ASSIGN(const auto raw_offset, image.at<std::uint32_t>(row + 8));
      MLXGUARD_TRY_ASSIGN(const auto raw_bytes, image.at<std::uint32_t>(row + 12));
      offset = big_endian(raw_offset);
      bytes = big_endian(raw_bytes);
    }
    MLXGUARD_TRY_ASSIGN(const Bytes slice, image.slice(offset, bytes));
    // Slices over the same bytes would be read once each.
    if (bytes > bytes_left) return make_error(ErrorCode::kMachO, "a fat file's slices overlap");
    bytes_left -= bytes;
    MLXGUARD_TRY_ASSIGN(NativeFile file, SliceReader(slice).read());
    slices.push_back(std::move(file));
  }
  return slices;
}

}  // namespace

Result<std::vector<NativeFile>> read_macho(Bytes file) {
  if (file.size() > limits::kNativeFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "the file is too large to be looked into");
  }
  const Image image(file, ErrorCode::kMachO);
  MLXGUARD_TRY_ASSIGN(const auto magic, image.at<std::uint32_t>(0));
  if (big_endian(magic) == kMagicFat) return read_fat(image, false);
  if (big_endian(magic) == kMagicFat64) return read_fat(image, true);
  MLXGUARD_TRY_ASSIGN(NativeFile thin, SliceReader(file).read());
  std::vector<NativeFile> slices;
  slices.push_back(std::move(thin));
  return slices;
}

bool is_native(Bytes head) {
  if (head.size() < 8) return false;
  if (as_text(head.first(4)) == "\177ELF") return true;
  std::uint32_t magic = 0, second = 0;
  std::memcpy(&magic, head.data(), 4);
  std::memcpy(&second, head.data() + 4, 4);
  if (magic == kMagic32 || magic == kMagic64) return true;
  // A Java class begins alike; its next word is a version, larger than any number of slices.
  return (big_endian(magic) == kMagicFat || big_endian(magic) == kMagicFat64) &&
         big_endian(second) <= limits::kNativeSlicesMax;
}

Result<std::vector<NativeFile>> read_native(Bytes file) {
  if (file.size() >= 4 && as_text(file.first(4)) == "\177ELF") {
    MLXGUARD_TRY_ASSIGN(NativeFile elf, read_elf(file));
    std::vector<NativeFile> one;
    one.push_back(std::move(elf));
    return one;
  }
  return read_macho(file);
}

}  // namespace mlxguard::inventory
