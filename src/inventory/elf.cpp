// SPDX-License-Identifier: Apache-2.0
// A bounded ELF reader. The dynamic section is found as the loader finds it, by program header;
// symbol tables by section header, since only those tell their size.
#include "codec/text.h"
#include "inventory/image.h"
#include "inventory/native_file.h"

namespace mlxguard::inventory {
namespace {

constexpr std::uint16_t kTypeExecutable = 2, kTypeShared = 3;
constexpr std::uint32_t kSegmentLoad = 1, kSegmentDynamic = 2;
constexpr std::uint32_t kSectionBits = 1, kSectionSymbols = 2, kSectionNote = 7,
                        kSectionDynamicSymbols = 11;
constexpr std::uint64_t kFlagWrite = 1, kFlagAllocate = 2, kFlagExecute = 4;
constexpr std::uint64_t kTagNull = 0, kTagNeeded = 1, kTagStrings = 5, kTagStringBytes = 10,
                        kTagSoname = 14, kTagRpath = 15, kTagRunpath = 29;
constexpr std::uint32_t kNoteBuildId = 3;
constexpr std::size_t kDynamicEntriesMax = 100'000;

struct Segment {
  std::uint32_t type;
  std::uint64_t offset, address, file_bytes;
};

struct Section {
  std::uint32_t name, type, link;
  std::uint64_t flags, offset, bytes, entry_bytes;
};

struct Header {
  std::uint64_t segments_at, sections_at;
  std::uint16_t machine, segment_bytes, segments, section_bytes, sections, names_index;
};

enum class Width : std::uint8_t { k32, k64 };

class ElfReader {
 public:
  explicit ElfReader(Bytes bytes) : image_(bytes, ErrorCode::kElf) {}

  Result<NativeFile> read() {
    MLXGUARD_TRY(read_header());
    MLXGUARD_TRY(read_segments());
    MLXGUARD_TRY(read_sections());
    MLXGUARD_TRY(read_dynamic());
    for (const Section& section : sections_) MLXGUARD_TRY(read_section(section));
    return std::move(file_);
  }

 private:
  /// A field that is 4 bytes wide in 32-bit files and 8 in 64-bit ones.
  Result<std::uint64_t> word(std::uint64_t offset32, std::uint64_t offset64, std::uint64_t base) {
    if (width_ == Width::k64) return image_.at<std::uint64_t>(base + offset64);
    MLXGUARD_TRY_ASSIGN(const std::uint32_t narrow, image_.at<std::uint32_t>(base + offset32));
    return std::uint64_t{narrow};
  }

  Result<void> read_header() {
    MLXGUARD_TRY_ASSIGN(const Bytes identity, image_.slice(0, 16));
    if (as_text(identity.first(4)) != "\177ELF") {
      return make_error(ErrorCode::kElf, "expected an ELF file, found other bytes");
    }
    if ((identity[4] != 1 && identity[4] != 2) || identity[5] != 1) {
      return make_error(ErrorCode::kElf, "expected a little-endian ELF file of 32 or 64 bits");
    }
    width_ = identity[4] == 2 ? Width::k64 : Width::k32;
    const bool wide = width_ == Width::k64;
    MLXGUARD_TRY_ASSIGN(const auto type, image_.at<std::uint16_t>(16));
    if (type != kTypeShared && type != kTypeExecutable) {
      return make_error(ErrorCode::kElf,
                        "expected a shared library or program, found type " + std::to_string(type));
    }
    MLXGUARD_TRY_ASSIGN(header_.machine, image_.at<std::uint16_t>(18));
    MLXGUARD_TRY_ASSIGN(header_.segments_at, word(28, 32, 0));
    MLXGUARD_TRY_ASSIGN(header_.sections_at, word(32, 40, 0));
    const std::uint64_t counts = wide ? 54 : 42;
    MLXGUARD_TRY_ASSIGN(header_.segment_bytes, image_.at<std::uint16_t>(counts));
    MLXGUARD_TRY_ASSIGN(header_.segments, image_.at<std::uint16_t>(counts + 2));
    MLXGUARD_TRY_ASSIGN(header_.section_bytes, image_.at<std::uint16_t>(counts + 4));
    MLXGUARD_TRY_ASSIGN(header_.sections, image_.at<std::uint16_t>(counts + 6));
    MLXGUARD_TRY_ASSIGN(header_.names_index, image_.at<std::uint16_t>(counts + 8));
    file_.architecture = architecture(header_.machine);
    return {};
  }

  static std::string architecture(std::uint16_t machine) {
    switch (machine) {
      case 3:
        return "i686";
      case 40:
        return "armv7l";
      case 62:
        return "x86_64";
      case 183:
        return "aarch64";
      case 243:
        return "riscv64";
      default:
        return "machine " + std::to_string(machine);
    }
  }

  Result<void> read_segments() {
    const bool wide = width_ == Width::k64;
    if (header_.segments > 0 && header_.segment_bytes < (wide ? 56 : 32)) {
      return make_error(ErrorCode::kElf, "program headers are smaller than they must be");
    }
    for (std::uint64_t i = 0; i < header_.segments; ++i) {
      const auto base = checked_add(header_.segments_at, i * header_.segment_bytes);
      if (!base) return make_error(ErrorCode::kElf, "program headers outside of the file");
      MLXGUARD_TRY(image_.slice(*base, header_.segment_bytes));
      Segment segment{};
      MLXGUARD_TRY_ASSIGN(segment.type, image_.at<std::uint32_t>(*base));
      MLXGUARD_TRY_ASSIGN(segment.offset, word(4, 8, *base));
      MLXGUARD_TRY_ASSIGN(segment.address, word(8, 16, *base));
      MLXGUARD_TRY_ASSIGN(segment.file_bytes, word(16, 32, *base));
      segments_.push_back(segment);
    }
    return {};
  }

  Result<void> read_sections() {
    const bool wide = width_ == Width::k64;
    if (header_.sections_at == 0 || header_.sections == 0) return {};
    if (header_.section_bytes < (wide ? 64 : 40)) {
      return make_error(ErrorCode::kElf, "section headers are smaller than they must be");
    }
    for (std::uint64_t i = 0; i < header_.sections; ++i) {
      const auto base = checked_add(header_.sections_at, i * header_.section_bytes);
      if (!base) return make_error(ErrorCode::kElf, "section headers outside of the file");
      MLXGUARD_TRY(image_.slice(*base, header_.section_bytes));
      Section section{};
      MLXGUARD_TRY_ASSIGN(section.name, image_.at<std::uint32_t>(*base));
      MLXGUARD_TRY_ASSIGN(section.type, image_.at<std::uint32_t>(*base + 4));
      MLXGUARD_TRY_ASSIGN(section.flags, word(8, 8, *base));
      MLXGUARD_TRY_ASSIGN(section.offset, word(16, 24, *base));
      MLXGUARD_TRY_ASSIGN(section.bytes, word(20, 32, *base));
      MLXGUARD_TRY_ASSIGN(section.link, image_.at<std::uint32_t>(*base + (wide ? 40 : 24)));
      MLXGUARD_TRY_ASSIGN(section.entry_bytes, word(36, 56, *base));
      sections_.push_back(section);
    }
    return {};
  }

  /// Where the loader would find these bytes of memory in the file.
  Result<Bytes> mapped(std::uint64_t address, std::uint64_t count) {
    for (const Segment& segment : segments_) {
      if (segment.type != kSegmentLoad || address < segment.address) continue;
      const std::uint64_t inside = address - segment.address;
      if (inside >= segment.file_bytes || count > segment.file_bytes - inside) continue;
      const auto offset = checked_add(segment.offset, inside);
      if (!offset) break;
      return image_.slice(*offset, count);
    }
    return make_error(ErrorCode::kElf, "the dynamic section names an address outside of the file");
  }

  Result<void> read_dynamic() {
    const auto dynamic = std::find_if(segments_.begin(), segments_.end(),
                                      [](const Segment& s) { return s.type == kSegmentDynamic; });
    if (dynamic == segments_.end()) return {};
    const std::uint64_t step = width_ == Width::k64 ? 16 : 8;
    const std::uint64_t count = dynamic->file_bytes / step;
    if (count > kDynamicEntriesMax) {
      return make_error(ErrorCode::kTooLarge, "the dynamic section has too many entries");
    }
    std::vector<std::pair<std::uint64_t, std::uint64_t>> names;
    std::uint64_t strings_at = 0, string_bytes = 0;
    MLXGUARD_TRY(image_.slice(dynamic->offset, dynamic->file_bytes));
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t base = dynamic->offset + i * step;
      MLXGUARD_TRY_ASSIGN(const std::uint64_t tag, word(0, 0, base));
      MLXGUARD_TRY_ASSIGN(const std::uint64_t value, word(4, 8, base));
      if (tag == kTagNull) break;
      if (tag == kTagStrings) strings_at = value;
      if (tag == kTagStringBytes) string_bytes = value;
      if (tag == kTagNeeded || tag == kTagSoname || tag == kTagRpath || tag == kTagRunpath) {
        names.emplace_back(tag, value);
      }
    }
    if (names.empty()) return {};
    if (names.size() > limits::kNativeNeededMax) {
      return make_error(ErrorCode::kTooLarge, "the file needs too many libraries");
    }
    MLXGUARD_TRY_ASSIGN(const Bytes strings, mapped(strings_at, string_bytes));
    return take_names(names, strings);
  }

  Result<void> take_names(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& names,
                          Bytes strings) {
    std::string rpath, runpath;
    for (const auto& [tag, offset] : names) {
      MLXGUARD_TRY_ASSIGN(const std::string_view name, image_.name(strings, offset));
      if (tag == kTagNeeded) file_.needed.push_back({std::string(name), ""});
      if (tag == kTagSoname) file_.soname = name;
      if (tag == kTagRpath) rpath = name;
      if (tag == kTagRunpath) runpath = name;
    }
    // As the loader: RPATH is ignored where there is a RUNPATH.
    const std::string& search = runpath.empty() ? rpath : runpath;
    for (std::size_t start = 0; start < search.size();) {
      const std::size_t end = std::min(search.find(':', start), search.size());
      if (end > start) file_.search.push_back(search.substr(start, end - start));
      start = end + 1;
    }
    return {};
  }

  Result<void> read_section(const Section& section) {
    if (section.type == kSectionSymbols || section.type == kSectionDynamicSymbols) {
      return read_symbols(section);
    }
    if (section.type == kSectionNote) return read_note(section);
    if (section.type != kSectionBits) return {};
    MLXGUARD_TRY_ASSIGN(const Bytes bytes, image_.slice(section.offset, section.bytes));
    if (file_.comment.empty() && section.flags != 0 && !bytes.empty() &&
        (section.flags & kFlagAllocate) == 0 && section_name(section) == ".comment") {
      file_.comment = comment(bytes);
    }
    const bool data =
        (section.flags & kFlagAllocate) != 0 && (section.flags & (kFlagExecute | kFlagWrite)) == 0;
    if (data && !section_name(section).starts_with(".eh_frame"))
      file_.string_areas.push_back(bytes);
    return {};
  }

  std::string_view section_name(const Section& section) {
    if (header_.names_index >= sections_.size()) return {};
    const Section& names = sections_[header_.names_index];
    const auto table = image_.slice(names.offset, names.bytes);
    if (!table) return {};
    auto name = image_.name(*table, section.name);
    return name ? *name : std::string_view{};
  }

  static std::string comment(Bytes bytes) {
    std::string text(as_text(bytes.first(std::min<std::size_t>(bytes.size(), 512))));
    std::replace(text.begin(), text.end(), '\0', ';');
    while (text.ends_with(';')) text.pop_back();
    return text;
  }

  Result<void> read_symbols(const Section& section) {
    const std::uint64_t step = width_ == Width::k64 ? 24 : 16;
    if (section.entry_bytes != step) {
      return make_error(ErrorCode::kElf, "a symbol table's entries have an impossible size");
    }
    if (section.link >= sections_.size()) {
      return make_error(ErrorCode::kElf, "a symbol table names no string table");
    }
    const Section& strings = sections_[section.link];
    MLXGUARD_TRY_ASSIGN(const Bytes table, image_.slice(strings.offset, strings.bytes));
    MLXGUARD_TRY(image_.slice(section.offset, section.bytes));
    const std::uint64_t count = section.bytes / step;
    if (file_.symbols.size() + count > limits::kNativeSymbolsMax) {
      return make_error(ErrorCode::kTooLarge, "the file has too many symbols");
    }
    file_.symbols.reserve(file_.symbols.size() + count);
    for (std::uint64_t i = 1; i < count; ++i) {
      const std::uint64_t base = section.offset + i * step;
      MLXGUARD_TRY_ASSIGN(const auto name_at, image_.at<std::uint32_t>(base));
      if (name_at == 0) continue;
      MLXGUARD_TRY_ASSIGN(const auto home,
                          image_.at<std::uint16_t>(base + (width_ == Width::k64 ? 6 : 14)));
      MLXGUARD_TRY_ASSIGN(const std::string_view name, image_.name(table, name_at));
      if (name.empty()) continue;
      file_.symbols.push_back(
          {name, home == 0 ? NativeSymbol::State::kUndefined : NativeSymbol::State::kDefined});
    }
    return {};
  }

  Result<void> read_note(const Section& section) {
    MLXGUARD_TRY_ASSIGN(const Bytes bytes, image_.slice(section.offset, section.bytes));
    if (bytes.size() < 16) return {};
    ByteReader reader(bytes);
    MLXGUARD_TRY_ASSIGN(const auto name_bytes, reader.read<std::uint32_t>());
    MLXGUARD_TRY_ASSIGN(const auto value_bytes, reader.read<std::uint32_t>());
    MLXGUARD_TRY_ASSIGN(const auto type, reader.read<std::uint32_t>());
    if (type != kNoteBuildId || name_bytes != 4) return {};
    MLXGUARD_TRY_ASSIGN(const Bytes name, reader.take(4));
    if (as_text(name.first(3)) != "GNU" || value_bytes > 64) return {};
    MLXGUARD_TRY_ASSIGN(const Bytes value, reader.take(value_bytes));
    file_.build_id = codec::to_hex(value);
    return {};
  }

  Image image_;
  Width width_ = Width::k64;
  Header header_{};
  std::vector<Segment> segments_;
  std::vector<Section> sections_;
  NativeFile file_;
};

}  // namespace

Result<NativeFile> read_elf(Bytes file) {
  if (file.size() > limits::kNativeFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "the file is too large to be looked into");
  }
  return ElfReader(file).read();
}

}  // namespace mlxguard::inventory
