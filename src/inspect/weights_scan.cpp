// SPDX-License-Identifier: Apache-2.0
#include "inspect/weights_scan.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "format/gguf.h"
#include "format/mlxfn.h"
#include "format/npy.h"
#include "format/safetensors.h"
#include "inspect/pickle_scan.h"
#include "inspect/template_scan.h"

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

enum class Floats : std::uint8_t {
  kNone,
  kHalf,
  kBrain,
  kSingle,
  kDouble,
  kHalfSwapped,  ///< of the other byte order
  kSingleSwapped,
  kDoubleSwapped,
};

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
    case Floats::kHalfSwapped:
      return count_not_finite<std::uint16_t>(values, 0x007C);
    case Floats::kSingleSwapped:
      return count_not_finite<std::uint32_t>(values, 0x0000807Fu);
    case Floats::kDoubleSwapped:
      return count_not_finite<std::uint64_t>(values, 0x000000000000F07Full);
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

/// By what stands in a npy header; a complex number is two floats.
Floats floats_of(std::string_view descr) {
  const bool swapped = descr.starts_with("'>");
  const std::string_view type = descr.size() < 4 ? descr : descr.substr(2, descr.size() - 3);
  if (type == "f2") return swapped ? Floats::kHalfSwapped : Floats::kHalf;
  if (type == "f4" || type == "c8") return swapped ? Floats::kSingleSwapped : Floats::kSingle;
  if (type == "f8" || type == "c16") return swapped ? Floats::kDoubleSwapped : Floats::kDouble;
  return type == "V2" ? Floats::kBrain : Floats::kNone;
}

/// By ggml's number of a type; blocks of quantised values are not looked into.
Floats floats_of(std::uint32_t gguf_type) {
  switch (gguf_type) {
    case 0:
      return Floats::kSingle;
    case 1:
      return Floats::kHalf;
    case 28:
      return Floats::kDouble;
    case 30:
      return Floats::kBrain;
    default:
      return Floats::kNone;
  }
}

}  // namespace

void scan_safetensors(Bytes file, Findings& findings) {
  const auto index = format::parse_safetensors(file);
  if (!index) {
    const Error& error = index.error();
    const std::string subject = error.subject.empty() ? "" : evidence_of(error.subject) + ": ";
    findings.add(Rule::kSafetensors, evidence_of(subject + error.message), name_of(error.code),
                 {.offset = 0, .line = {}});
    return;
  }
  for (const format::TensorEntry& entry : index->entries()) {
    judge_values(file.subspan(entry.begin_bytes, entry.end_bytes - entry.begin_bytes),
                 floats_of(entry.type), entry.name, entry.begin_bytes, findings);
  }
}

void scan_npy(Bytes file, std::uint64_t offset, Findings& findings) {
  const Place here{.offset = offset, .line = {}};
  const auto header = format::read_npy_header(file);
  if (!header) {
    findings.add(Rule::kNpy, header.error().message, name_of(header.error().code), here);
    // Other readers evaluate the header, and may still find objects in it.
    const auto begin = format::npy_data_begin(file);
    if (begin && is_pickle(file.subspan(*begin))) {
      scan_pickle(file.subspan(*begin), offset + *begin, findings);
    }
    return;
  }
  const Bytes data = file.subspan(header->data_begin_bytes);
  const std::uint64_t data_at = offset + header->data_begin_bytes;
  if (header->elements == format::NpyElements::kObjects) {
    findings.add(Rule::kNpyObject, "its elements are Python objects", header->descr.substr(0, 60),
                 here);
    return scan_pickle(data, data_at, findings);
  }
  if (header->elements == format::NpyElements::kRecords) {
    return findings.gap("an array of records is not read");
  }
  const auto bytes = checked_mul(header->element_count, header->element_bytes);
  if (!bytes || *bytes != data.size()) {
    findings.add(Rule::kNpy, "its shape is not that of its data",
                 bytes ? std::to_string(*bytes) + " bytes announced, " +
                             std::to_string(data.size()) + " there"
                       : "a size that wraps",
                 here);
    return;
  }
  if (header->element_bytes >= 12 && header->descr.find('f') != header->descr.npos) {
    findings.gap("floats of more than 64 bits are not looked at for NaN");
  }
  judge_values(data, floats_of(header->descr), {}, data_at, findings);
}

void scan_gguf(Bytes file, Findings& findings) {
  const format::GgufReading reading = format::read_gguf(file);
  for (const format::GgufText& text : reading.texts) {
    if (!text.key.starts_with("tokenizer.chat_template")) continue;
    scan_template(text.text, evidence_of(text.key), TemplateOrigin::kInsideConfig, findings,
                  {.offset = text.offset, .line = {}});
  }
  if (!reading.fault) {
    for (const format::GgufTensor& tensor : reading.tensors) {
      judge_values(file.subspan(tensor.begin_bytes, tensor.end_bytes - tensor.begin_bytes),
                   floats_of(tensor.type), tensor.name, tensor.begin_bytes, findings);
    }
    return;
  }
  const std::string subject =
      reading.fault->subject.empty() ? "" : evidence_of(reading.fault->subject) + ": ";
  findings.add(Rule::kGguf, subject + reading.fault->message, name_of(reading.fault->code),
               {.offset = reading.failed_at, .line = {}});
}

void scan_mlxfn(Bytes file, Findings& findings) {
  const format::MlxfnReading reading = format::read_mlxfn(file);
  const Place there{.offset = reading.failed_at, .line = {}};
  if (reading.shapeless) {
    findings.add(Rule::kMlxfnShapeless,
                 "exported shapeless: mlx does not check the shapes it is given", {},
                 {.offset = 0, .line = {}});
  }
  if (reading.own_code) {
    findings.add(Rule::kMlxfn, "brings the source code of a kernel of its own", "CustomKernel",
                 there);
    findings.gap("an operation that brings code of its own");
  }
  if (reading.fault) {
    findings.add(Rule::kMlxfn, reading.fault->message, name_of(reading.fault->code), there);
  }
}

}  // namespace mlxguard::inspect
