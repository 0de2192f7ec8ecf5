// SPDX-License-Identifier: Apache-2.0
#include "format/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/checked.h"
#include "base/limits.h"
#include "format/shape.h"

namespace mlxguard::format {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kMagic = "\x93NUMPY"sv;

Error header_error(std::string why) { return make_error(ErrorCode::kNpyHeader, std::move(why)); }
Error dtype_error(std::string why) { return make_error(ErrorCode::kNpyDtype, std::move(why)); }
Error shape_error(std::string why) { return make_error(ErrorCode::kNpyShape, std::move(why)); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// '<f4' without its quotes: what it is, and how large.
struct Type {
  char kind = 0;
  std::uint64_t bytes = 0;
};

/// Errors: kNpyDtype.
Result<Type> read_type(std::string_view text) {
  if (!text.empty() && "<>|="sv.find(text.front()) != text.npos) text.remove_prefix(1);
  if (text.empty() || "?biufcmMOSaUV"sv.find(text.front()) == text.npos) {
    return dtype_error("a type that is unknown");
  }
  Type type{.kind = text.front(), .bytes = 0};
  text.remove_prefix(1);
  if (type.kind == '?' && text.empty()) return Type{.kind = 'b', .bytes = 1};
  if (type.kind == 'O') {
    if (text.empty() || std::all_of(text.begin(), text.end(), is_digit)) return type;
    return dtype_error("a type that is unknown");
  }
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), type.bytes);
  if (problem != std::errc{} || type.bytes > limits::kTensorElementsMax) {
    return dtype_error("a type of an unknown size");
  }
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  const bool date = type.kind == 'm' || type.kind == 'M';
  if (!text.empty() && !(date && text.starts_with('[') && text.ends_with(']'))) {
    return dtype_error("a type that is unknown");
  }
  if (type.kind == 'U') type.bytes *= 4;
  return type;
}

/// A list of fields, or a type with a shape: brackets, strings and numbers. What stands at the
/// place of a type is one; nothing is evaluated.
class RecordType {
 public:
  explicit RecordType(std::string_view text) : text_(text) {}

  /// How many bytes of text the type takes. Errors: kNpyHeader, kNpyDtype.
  Result<std::size_t> run(bool& has_objects) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\'' || c == '"') {
        MLXGUARD_TRY(read_string(c, has_objects));
      } else if (c == '[' || c == '(') {
        if (frames_.size() >= limits::kNpyRecordDepthMax * 2) {
          return header_error("records nested too deep");
        }
        frames_.push_back({c, 0});
        ++at_;
      } else if (c == ']' || c == ')') {
        if (frames_.empty() || frames_.back().open != (c == ']' ? '[' : '(')) break;
        frames_.pop_back();
        ++at_;
        if (frames_.empty()) return at_;
      } else if (c == ',' && !frames_.empty()) {
        ++frames_.back().index;
        ++at_;
      } else if (c == ' ' || is_digit(c)) {
        ++at_;
      } else {
        break;
      }
    }
    return header_error("a record type that is not well-formed");
  }

 private:
  struct Frame {
    char open;
    std::size_t index;
  };

  Result<void> read_string(char quote, bool& has_objects) {
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos || frames_.empty()) return header_error("a text that does not end");
    const std::string_view text = text_.substr(at_ + 1, end - at_ - 1);
    if (text.find('\\') != text.npos) return header_error("a text with an escape in it");
    at_ = end + 1;
    if (!at_type()) return {};
    MLXGUARD_TRY_ASSIGN(const Type type, read_type(text));
    has_objects = has_objects || type.kind == 'O';
    return {};
  }
  /// ('name', TYPE) within a list; (TYPE, shape) at the outside or in place of a field's type.
  [[nodiscard]] bool at_type() const {
    const auto is = [&](std::size_t from_top, char open) {
      return frames_.size() > from_top && frames_[frames_.size() - 1 - from_top].open == open;
    };
    if (!is(0, '(')) return true;  // a string in a list: numpy takes it for a type
    const std::size_t index = frames_.back().index;
    if (index == 1 && is(1, '[')) return true;
    if (index != 0) return false;
    return frames_.size() == 1 || (is(1, '(') && frames_[frames_.size() - 2].index == 1);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Frame> frames_;
};

/// The dictionary, taken apart from its beginning.
class Dictionary {
 public:
  explicit Dictionary(std::string_view text) : text_(text) {}

  Result<void> read(NpyHeader& header) {
    MLXGUARD_TRY(expect("{'descr': "));
    MLXGUARD_TRY(read_descr(header));
    MLXGUARD_TRY(expect(", 'fortran_order': "));
    header.fortran_order = text_.starts_with("True");
    MLXGUARD_TRY(expect(header.fortran_order ? "True" : "False"));
    MLXGUARD_TRY(expect(", 'shape': ("));
    MLXGUARD_TRY(read_shape(header.shape));
    if (text_.starts_with(", ")) text_.remove_prefix(2);
    MLXGUARD_TRY(expect("}"));
    while (text_.starts_with(" ")) text_.remove_prefix(1);
    if (text_ != "\n") return header_error("a header that goes on behind its dictionary");
    return {};
  }

 private:
  Result<void> expect(std::string_view what) {
    if (!text_.starts_with(what)) {
      return header_error(
          "its header is not {'descr': , 'fortran_order': , 'shape': }, as written "
          "by numpy and mlx");
    }
    text_.remove_prefix(what.size());
    return {};
  }

  Result<void> read_descr(NpyHeader& header) {
    if (text_.starts_with("[") || text_.starts_with("(")) {
      bool has_objects = false;
      MLXGUARD_TRY_ASSIGN(const std::size_t size, RecordType(text_).run(has_objects));
      header.elements = has_objects ? NpyElements::kObjects : NpyElements::kRecords;
      header.descr = text_.substr(0, size);
      text_.remove_prefix(size);
      return {};
    }
    const std::size_t end = text_.starts_with("'") ? text_.find('\'', 1) : text_.npos;
    if (end == text_.npos) return header_error("a type that is neither text nor a list");
    header.descr = text_.substr(0, end + 1);
    MLXGUARD_TRY_ASSIGN(const Type type, read_type(text_.substr(1, end - 1)));
    if (type.kind == 'O') header.elements = NpyElements::kObjects;
    header.element_bytes = type.bytes;
    text_.remove_prefix(end + 1);
    return {};
  }

  /// "2, 3)", "2,)", "2, 3, )" or ")": mlx skips exactly two characters behind each number.
  Result<void> read_shape(std::vector<std::int64_t>& shape) {
    while (!text_.starts_with(")")) {
      const std::size_t digits = std::min(text_.find_first_not_of("0123456789"), text_.size());
      std::int64_t extent = 0;
      const auto [stop, problem] = std::from_chars(text_.data(), text_.data() + digits, extent);
      const bool padded = digits > 1 && text_.front() == '0';
      if (digits == 0 || padded || problem != std::errc{} || extent > limits::kTensorDimensionMax) {
        return shape_error("a dimension that is not an integer of 0 to 2147483647");
      }
      if (shape.size() == limits::kTensorRankMax)
        return shape_error("more dimensions than allowed");
      shape.push_back(extent);
      text_.remove_prefix(digits);
      const bool more = text_.starts_with(", ");
      if (more || text_.starts_with(",)")) {
        text_.remove_prefix(more ? 2 : 1);
      } else if (!text_.starts_with(")") || shape.size() == 1) {
        return shape_error("dimensions that are not set apart by a comma and a space");
      }
    }
    text_.remove_prefix(1);
    return {};
  }

  std::string_view text_;
};

struct MlxType {
  std::string_view descr;
  std::string_view name;
};
/// Exactly the texts that numpy and mlx write. Left out: '>c8', whose halves mlx exchanges.
constexpr std::array kMlxTypes{
    MlxType{"'|b1'", "bool"},     MlxType{"'|u1'", "uint8"},    MlxType{"'|i1'", "int8"},
    MlxType{"'<u2'", "uint16"},   MlxType{"'>u2'", "uint16"},   MlxType{"'<i2'", "int16"},
    MlxType{"'>i2'", "int16"},    MlxType{"'<u4'", "uint32"},   MlxType{"'>u4'", "uint32"},
    MlxType{"'<i4'", "int32"},    MlxType{"'>i4'", "int32"},    MlxType{"'<u8'", "uint64"},
    MlxType{"'>u8'", "uint64"},   MlxType{"'<i8'", "int64"},    MlxType{"'>i8'", "int64"},
    MlxType{"'<f2'", "float16"},  MlxType{"'>f2'", "float16"},  MlxType{"'<f4'", "float32"},
    MlxType{"'>f4'", "float32"},  MlxType{"'<f8'", "float64"},  MlxType{"'>f8'", "float64"},
    MlxType{"'<V2'", "bfloat16"}, MlxType{"'|V2'", "bfloat16"}, MlxType{"'<c8'", "complex64"}};

}  // namespace

Result<std::size_t> npy_data_begin(Bytes file) {
  ByteReader reader(file);
  const auto magic = reader.take(kMagic.size());
  const auto version = reader.read<std::uint16_t>();
  if (!magic || as_text(*magic) != kMagic || !version) return header_error("it has no npy mark");
  const unsigned major = *version & 0xFF;
  if (major < 1 || major > 3 || *version >> 8 != 0) {
    return header_error("a version other than 1.0, 2.0 and 3.0");
  }
  std::size_t size = 0;
  if (major == 1) {
    const auto length = reader.read<std::uint16_t>();
    if (!length) return header_error("its header is cut off");
    size = *length;
  } else {
    const auto length = reader.read<std::uint32_t>();
    if (!length) return header_error("its header is cut off");
    size = *length;
  }
  if (size > limits::kNpyHeaderBytesMax || size > reader.remaining()) {
    return header_error("header length " + std::to_string(size) + " exceeds the file or its bound");
  }
  return file.size() - reader.remaining() + size;
}

Result<NpyHeader> read_npy_header(Bytes file) {
  MLXGUARD_TRY_ASSIGN(const std::size_t data_begin, npy_data_begin(file));
  NpyHeader header;
  header.version = file[kMagic.size()];
  header.data_begin_bytes = data_begin;
  const std::size_t begin = kMagic.size() + (header.version == 1 ? 4 : 6);
  MLXGUARD_TRY(Dictionary(as_text(file.subspan(begin, data_begin - begin))).read(header));
  const auto elements = element_count(header.shape);
  if (!elements) return shape_error("the number of elements is too large");
  header.element_count = *elements;
  return header;
}

Result<NpyArray> parse_npy(Bytes head, std::uint64_t file_bytes) {
  MLXGUARD_TRY_ASSIGN(NpyHeader header, read_npy_header(head));
  if (header.version == 3) return header_error("version 3.0, which mlx does not read");
  if (header.elements == NpyElements::kObjects)
    return dtype_error("its elements are Python objects");
  const auto* const type =
      std::find_if(kMlxTypes.begin(), kMlxTypes.end(),
                   [&](const MlxType& row) { return row.descr == header.descr; });
  if (type == kMlxTypes.end()) return dtype_error("a type that mlx does not have");
  const auto bytes = checked_mul(header.element_count, header.element_bytes);
  if (!bytes || *bytes != file_bytes - header.data_begin_bytes) {
    return shape_error("its shape is not that of its data")
        .compared(bytes ? std::to_string(*bytes) + " bytes" : "a size that wraps",
                  std::to_string(file_bytes - header.data_begin_bytes) + " bytes");
  }
  return NpyArray{type->name, std::move(header.shape), header.data_begin_bytes, file_bytes};
}

Result<NpyArray> parse_npy(Bytes file) { return parse_npy(file, file.size()); }

}  // namespace mlxguard::format
