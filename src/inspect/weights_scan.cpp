// SPDX-License-Identifier: Apache-2.0
#include "inspect/weights_scan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "base/checked.h"
#include "base/limits.h"
#include "format/safetensors.h"
#include "inspect/pickle_scan.h"

namespace mlxguard::inspect {
namespace {

/// How many of these numbers have every bit of their exponent set: NaN or infinity. `mask` is those
/// bits.
template <class Word>
std::uint64_t count_not_finite(Bytes values, Word mask) {
  std::uint64_t count = 0;
  const std::size_t words = values.size() / sizeof(Word);
  constexpr std::size_t kBlock = 1024;
  for (std::size_t first = 0; first < words; first += kBlock) {
    const std::size_t last = std::min(words, first + kBlock);
    std::uint32_t in_block = 0;
    for (std::size_t i = first; i < last; ++i) {
      Word word;
      std::memcpy(&word, values.data() + i * sizeof(Word), sizeof(Word));
      in_block += static_cast<Word>(word & mask) == mask ? 1u : 0u;
    }
    count += in_block;
  }
  return count;
}

enum class Floats : std::uint8_t { kNone, kHalf, kBrain, kSingle, kDouble };

std::uint64_t not_finite_in(Bytes values, Floats kind) {
  switch (kind) {
    case Floats::kNone:
      return 0;
    case Floats::kHalf:
      return count_not_finite<std::uint16_t>(values, 0x7C00);
    case Floats::kBrain:
      return count_not_finite<std::uint16_t>(values, 0x7F80);
    case Floats::kSingle:
      return count_not_finite<std::uint32_t>(values, 0x7F800000u);
    case Floats::kDouble:
      return count_not_finite<std::uint64_t>(values, 0x7FF0000000000000ull);
  }
  return 0;
}

void judge_values(Bytes values, Floats kind, std::string_view name, std::uint64_t offset,
                  Findings& findings) {
  const std::uint64_t count = not_finite_in(values, kind);
  if (count == 0) return;
  findings.add(Rule::kWeightsNotFinite, std::to_string(count) + " values are NaN or infinite", name,
               {.offset = offset, .line = {}});
}

Floats floats_of(format::TensorType type) {
  switch (type) {
    case format::TensorType::kFloat16:
      return Floats::kHalf;
    case format::TensorType::kBfloat16:
      return Floats::kBrain;
    case format::TensorType::kFloat32:
      return Floats::kSingle;
    default:
      return Floats::kNone;
  }
}

/// The header of a npy file: a Python dictionary as numpy writes it, and nothing else of Python's.
struct NpyHeader {
  std::string_view descr;  ///< what stands after 'descr': a string, or a list of fields
  std::vector<std::uint64_t> shape;
  std::size_t data_begin = 0;
};

std::string_view value_of(std::string_view dictionary, std::string_view key) {
  const std::size_t at = dictionary.find(key);
  if (at == dictionary.npos) return {};
  std::string_view rest = dictionary.substr(at + key.size());
  const std::size_t begin = rest.find_first_not_of(": ");
  return begin == rest.npos ? std::string_view{} : rest.substr(begin);
}

bool read_shape(std::string_view text, std::vector<std::uint64_t>& shape) {
  if (!text.starts_with("(")) return false;
  const std::size_t end = text.find(')');
  if (end == text.npos) return false;
  text = text.substr(1, end - 1);
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view one = text.substr(0, comma);
    while (one.starts_with(" ")) one.remove_prefix(1);
    while (one.ends_with(" ") || one.ends_with("L")) one.remove_suffix(1);
    text = text.substr(std::min(comma + 1, text.size()));
    if (one.empty() && text.empty()) return true;
    std::uint64_t extent = 0;
    const auto [stop, problem] = std::from_chars(one.data(), one.data() + one.size(), extent);
    if (problem != std::errc{} || stop != one.data() + one.size()) return false;
    shape.push_back(extent);
  }
  return true;
}

std::optional<NpyHeader> read_npy_header(Bytes file, std::string& why) {
  constexpr std::size_t kMagic = 6;
  constexpr std::size_t kHeaderMax = 1u << 20;
  why = "its header is cut off";
  if (file.size() < kMagic + 4) return std::nullopt;
  const unsigned version = file[kMagic];
  std::size_t begin = kMagic + 4;
  std::size_t size = file[8] | static_cast<std::size_t>(file[9]) << 8;
  if (version == 2 || version == 3) {
    if (file.size() < kMagic + 6) return std::nullopt;
    std::uint32_t length = 0;
    std::memcpy(&length, file.data() + 8, sizeof length);
    size = length;
    begin = kMagic + 6;
  } else if (version != 1) {
    why = "it is of an unknown version";
    return std::nullopt;
  }
  if (size > file.size() - begin || size > kHeaderMax) return std::nullopt;
  const std::string_view text = as_text(file.subspan(begin, size));
  NpyHeader header;
  header.data_begin = begin + size;
  header.descr = value_of(text, "'descr'");
  why = "its header is no dictionary of descr, fortran_order and shape";
  const bool whole = text.starts_with("{") && text.find('}') != text.npos &&
                     text.find('\0') == text.npos && !value_of(text, "'fortran_order'").empty() &&
                     !header.descr.empty();
  if (!whole || !read_shape(value_of(text, "'shape'"), header.shape)) return std::nullopt;
  return header;
}

/// '<f4': the size of one element; nothing for fields and what is unknown.
std::optional<std::uint64_t> element_bytes(std::string_view descr) {
  if (descr.size() < 4 || (descr[0] != '\'' && descr[0] != '"')) return std::nullopt;
  const std::size_t end = descr.find(descr[0], 1);
  if (end == descr.npos || end < 4) return std::nullopt;
  const std::string_view type = descr.substr(1, end - 1);
  if (std::string_view("<>|=").find(type[0]) == std::string_view::npos) return std::nullopt;
  if (std::string_view("biufcSVU").find(type[1]) == std::string_view::npos) return std::nullopt;
  std::uint64_t size = 0;
  const auto [stop, problem] = std::from_chars(type.data() + 2, type.data() + type.size(), size);
  if (problem != std::errc{} || stop != type.data() + type.size()) return std::nullopt;
  return type[1] == 'U' ? size * 4 : size;
}

bool has_objects(std::string_view descr) {
  const bool text = descr.starts_with("'") || descr.starts_with("\"");
  const std::size_t end = text ? descr.find(descr[0], 1) : descr.find("'fortran_order'");
  const std::string_view type = descr.substr(0, end);
  for (const std::string_view mark : {"|O", "'O'", "\"O\"", "'O", "<O", ">O", "=O"}) {
    if (type.find(mark) != type.npos) return true;
  }
  return false;
}

}  // namespace

void scan_safetensors(Bytes file, Findings& findings) {
  const auto index = format::parse_safetensors(file);
  if (!index) {
    const Error& error = index.error();
    const std::string subject = error.subject.empty() ? "" : evidence_of(error.subject) + ": ";
    findings.add(Rule::kSafetensors, evidence_of(subject + error.message), name_of(error.code));
    return;
  }
  for (const format::TensorEntry& entry : index->entries()) {
    judge_values(file.subspan(entry.begin_bytes, entry.end_bytes - entry.begin_bytes),
                 floats_of(entry.type), entry.name, entry.begin_bytes, findings);
  }
}

void scan_npy(Bytes file, std::uint64_t offset, Findings& findings) {
  std::string why;
  const auto header = read_npy_header(file, why);
  if (!header) {
    findings.add(Rule::kNpy, why, {}, {.offset = offset, .line = {}});
    return;
  }
  const Bytes data = file.subspan(header->data_begin);
  if (has_objects(header->descr)) {
    findings.add(Rule::kNpyObject, "its elements are Python objects", header->descr.substr(0, 60),
                 {.offset = offset, .line = {}});
    return scan_pickle(data, offset + header->data_begin, findings);
  }
  const auto element = element_bytes(header->descr);
  if (!element) {
    if (header->descr.starts_with("[")) return findings.gap("an array of records is not read");
    findings.add(Rule::kNpy, "its type is unknown", header->descr.substr(0, 60),
                 {.offset = offset, .line = {}});
    return;
  }
  std::optional<std::uint64_t> bytes = *element;
  for (const std::uint64_t extent : header->shape) {
    if (bytes) bytes = checked_mul(*bytes, extent);
  }
  if (!bytes || *bytes != data.size() || header->shape.size() > limits::kTensorRankMax) {
    findings.add(Rule::kNpy, "its shape is not that of its data",
                 bytes ? std::to_string(*bytes) + " bytes announced, " +
                             std::to_string(data.size()) + " there"
                       : "a size that wraps",
                 {.offset = offset, .line = {}});
    return;
  }
  // Another byte order moves the exponent; those files are read for their structure only.
  const std::string_view type = header->descr.substr(1);
  const Floats kind = type.starts_with("<f2")                               ? Floats::kHalf
                      : type.starts_with("<f4") || type.starts_with("<c8")  ? Floats::kSingle
                      : type.starts_with("<f8") || type.starts_with("<c16") ? Floats::kDouble
                                                                            : Floats::kNone;
  judge_values(data, kind, {}, offset + header->data_begin, findings);
}

}  // namespace mlxguard::inspect
