// SPDX-License-Identifier: Apache-2.0
#include "format/mlxfn.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/limits.h"
#include "format/shape.h"

namespace mlxguard::format {
namespace {

/// An operation and its state: i and e int32, f float, b bool, z 8 bytes, d type, v int32s, w
/// 8-byte numbers, s text.
struct Operation {
  std::string_view name;
  std::string_view state;
};
// clang-format off: a table
constexpr std::array kOperations{
    Operation{"Abs", ""}, Operation{"Add", ""}, Operation{"AddMM", "ff"}, Operation{"Arange", "zzz"},
    Operation{"ArcCos", ""}, Operation{"ArcCosh", ""}, Operation{"ArcSin", ""},
    Operation{"ArcSinh", ""}, Operation{"ArcTan", ""}, Operation{"ArcTan2", ""},
    Operation{"ArcTanh", ""}, Operation{"ArgPartition", "ii"}, Operation{"ArgReduce", "ei"},
    Operation{"ArgSort", "i"}, Operation{"AsType", "d"}, Operation{"AsStrided", "vwz"},
    Operation{"BitwiseBinary", "e"}, Operation{"BlockMaskedMM", "i"}, Operation{"Broadcast", "v"},
    Operation{"BroadcastAxes", "v"}, Operation{"Ceil", ""}, Operation{"Concatenate", "i"},
    Operation{"Conjugate", ""}, Operation{"Convolution", "vvvvvib"}, Operation{"Copy", ""},
    Operation{"Cos", ""}, Operation{"Cosh", ""}, Operation{"Depends", ""}, Operation{"Divide", ""},
    Operation{"DivMod", ""}, Operation{"DynamicSlice", "vv"}, Operation{"DynamicSliceUpdate", "v"},
    Operation{"Equal", "b"}, Operation{"Erf", ""}, Operation{"ErfInv", ""}, Operation{"Exp", ""},
    Operation{"Expm1", ""}, Operation{"ExpandDims", "v"}, Operation{"FFT", "wbb"},
    Operation{"Flatten", "ii"}, Operation{"Floor", ""}, Operation{"Full", ""},
    Operation{"Gather", "vv"}, Operation{"GatherAxis", "i"}, Operation{"GatherMM", "bb"},
    Operation{"Greater", ""}, Operation{"GreaterEqual", ""}, Operation{"Hadamard", "f"},
    Operation{"Imag", ""}, Operation{"Less", ""}, Operation{"LessEqual", ""}, Operation{"Log", "e"},
    Operation{"Log1p", ""}, Operation{"LogicalNot", ""}, Operation{"LogicalAnd", ""},
    Operation{"LogicalOr", ""}, Operation{"LogAddExp", ""}, Operation{"LogSumExp", ""},
    Operation{"MaskedScatter", ""}, Operation{"Matmul", ""}, Operation{"Maximum", ""},
    Operation{"Minimum", ""}, Operation{"Multiply", ""}, Operation{"Negative", ""},
    Operation{"NotEqual", ""}, Operation{"NumberOfElements", "vbd"}, Operation{"Pad", "vvv"},
    Operation{"Partition", "ii"}, Operation{"Power", ""}, Operation{"QuantizedMatmul", "iieb"},
    Operation{"GatherQMM", "iiebbb"}, Operation{"RandomBits", "vi"}, Operation{"Real", ""},
    Operation{"Remainder", ""}, Operation{"Reshape", "v"}, Operation{"Reduce", "ev"},
    Operation{"Round", ""}, Operation{"Scan", "eibb"}, Operation{"Scatter", "ev"},
    Operation{"ScatterAxis", "ei"}, Operation{"SearchSorted", "b"}, Operation{"Select", ""},
    Operation{"Sigmoid", ""}, Operation{"Sign", ""}, Operation{"Sin", ""}, Operation{"Sinh", ""},
    Operation{"Slice", "vvv"}, Operation{"SliceUpdate", "evvv"}, Operation{"Softmax", "b"},
    Operation{"Sort", "i"}, Operation{"Split", "vi"}, Operation{"Square", ""},
    Operation{"Squeeze", "v"}, Operation{"Sqrt", "b"}, Operation{"StopGradient", ""},
    Operation{"Subtract", ""}, Operation{"Tan", ""}, Operation{"Tanh", ""}, Operation{"View", "d"},
    Operation{"Transpose", "v"}, Operation{"Unflatten", "iv"}, Operation{"QRF", ""},
    Operation{"SVD", "b"}, Operation{"Inverse", "bb"}, Operation{"Cholesky", "b"},
    Operation{"Eig", "b"}, Operation{"Eigh", "sb"}, Operation{"Quantize", "iieb"},
    Operation{"RMSNorm", "f"}, Operation{"RMSNormVJP", "f"}, Operation{"LayerNorm", "f"},
    Operation{"LayerNormVJP", "f"}, Operation{"RoPE", "ibffb"},
    Operation{"ScaledDotProductAttention", "fbbb"}};
// clang-format on

/// By mlx's number of a type; its bytes.
constexpr std::array<std::uint8_t, 14> kTypeBytes{1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2, 8};

Error malformed(std::string why) { return make_error(ErrorCode::kMlxfn, std::move(why)); }

class Function {
 public:
  Function(Bytes file, MlxfnReading& out) : file_(file), reader_(file), out_(out) {}

  [[nodiscard]] std::uint64_t at() const { return file_.size() - reader_.remaining(); }

  /// False: an operation brings code of its own, behind which nothing is read.
  Result<bool> run() {
    MLXGUARD_TRY_ASSIGN(const std::string_view version, text(limits::kMlxfnNameBytesMax));
    if (version.empty() || version.find_first_not_of("0123456789.abcdefghijklmnopqrstuvwxyz+-") !=
                               std::string_view::npos) {
      return malformed("it does not begin with a version of mlx");
    }
    MLXGUARD_TRY_ASSIGN(const auto count, reader_.read<std::int32_t>());
    if (count < 0 || count > limits::kMlxfnFunctionsMax)
      return malformed("more functions than any export has");
    MLXGUARD_TRY_ASSIGN(const bool shapeless, flag());
    out_.shapeless = shapeless;
    MLXGUARD_TRY_ASSIGN(const std::string_view metadata, text(limits::kMlxfnMetadataBytesMax));
    static_cast<void>(metadata);  // free text, for people
    for (std::int32_t i = 0; i < count; ++i) {
      MLXGUARD_TRY_ASSIGN(const bool complete, read_function());
      if (!complete) return false;
    }
    if (reader_.remaining() != 0) return malformed("bytes behind the last function");
    return true;
  }

 private:
  Result<bool> flag() {
    MLXGUARD_TRY_ASSIGN(const auto byte, reader_.read<std::uint8_t>());
    if (byte > 1) return malformed("a flag that is neither true nor false");
    return byte == 1;
  }
  /// A count whose items, of at least so many bytes each, fit into what is left.
  Result<std::uint64_t> count_of(std::uint64_t item_bytes) {
    MLXGUARD_TRY_ASSIGN(const auto count, reader_.read<std::uint64_t>());
    if (count > limits::kMlxfnItemsMax || count > reader_.remaining() / item_bytes) {
      return malformed("a count of more than the file holds");
    }
    return count;
  }
  Result<std::string_view> text(std::size_t bytes_max) {
    MLXGUARD_TRY_ASSIGN(const auto size, reader_.read<std::uint64_t>());
    if (size > reader_.remaining() || size > bytes_max) return malformed("a text that is too long");
    MLXGUARD_TRY_ASSIGN(const Bytes bytes, reader_.take(static_cast<std::size_t>(size)));
    return as_text(bytes);
  }
  Result<void> skip_items(std::uint64_t item_bytes) {
    MLXGUARD_TRY_ASSIGN(const std::uint64_t count, count_of(item_bytes));
    MLXGUARD_TRY(reader_.take(static_cast<std::size_t>(count * item_bytes)));
    return {};
  }

  /// A shape's number of elements. Errors: negative, of absurd rank, or a product that is
  /// too large.
  Result<std::uint64_t> shape() {
    MLXGUARD_TRY_ASSIGN(const std::uint64_t rank, count_of(sizeof(std::int32_t)));
    if (rank > limits::kMlxfnRankMax)
      return malformed("a shape of more dimensions than any array has");
    std::vector<std::int64_t> extents;
    for (std::uint64_t i = 0; i < rank; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto extent, reader_.read<std::int32_t>());
      if (extent < 0) return malformed("a negative dimension");
      extents.push_back(extent);
    }
    const auto elements = element_count(extents);
    if (!elements) return malformed("a shape whose product is too large");
    return *elements;
  }
  /// A type's bytes.
  Result<std::uint64_t> type() {
    MLXGUARD_TRY_ASSIGN(const auto number, reader_.read<std::int32_t>());
    MLXGUARD_TRY_ASSIGN(const auto bytes, reader_.read<std::uint8_t>());
    if (number < 0 || static_cast<std::size_t>(number) >= kTypeBytes.size() ||
        kTypeBytes[static_cast<std::size_t>(number)] != bytes) {
      return malformed("a type that mlx does not have");
    }
    return bytes;
  }

  /// Ids of arrays that came before.
  Result<void> known_ids() {
    MLXGUARD_TRY_ASSIGN(const std::uint64_t count, count_of(sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < count; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto id, reader_.read<std::uint64_t>());
      if (!ids_.contains(id)) return malformed("an operation on an array that is not there yet");
    }
    return {};
  }

  Result<bool> read_function() {
    ids_.clear();
    inputs_.clear();
    MLXGUARD_TRY_ASSIGN(const std::uint64_t keys, count_of(sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < keys; ++i) MLXGUARD_TRY(text(limits::kMlxfnNameBytesMax));
    MLXGUARD_TRY_ASSIGN(const std::uint64_t inputs, count_of(sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < inputs; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto id, reader_.read<std::uint64_t>());
      inputs_.insert(id);
      ids_.insert(id);
    }
    MLXGUARD_TRY_ASSIGN(const std::uint64_t described, count_of(sizeof(std::uint64_t)));
    if (described != inputs || keys > inputs) return malformed("inputs that are not described");
    for (std::uint64_t i = 0; i < described; ++i) {
      MLXGUARD_TRY(shape());
      MLXGUARD_TRY(type());
    }
    MLXGUARD_TRY(skip_items(sizeof(std::uint64_t)));  // outputs: checked by mlx against the tape
    MLXGUARD_TRY_ASSIGN(const std::uint64_t tape, count_of(sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < tape; ++i) {
      MLXGUARD_TRY_ASSIGN(const bool complete, read_node());
      if (!complete) return false;
    }
    return true;
  }

  Result<bool> read_node() {
    MLXGUARD_TRY_ASSIGN(const auto id, reader_.read<std::uint64_t>());
    MLXGUARD_TRY_ASSIGN(const bool operation, flag());
    if (operation) return read_operation(id);
    MLXGUARD_TRY_ASSIGN(const bool constant, flag());
    if (constant == inputs_.contains(id))
      return malformed("an input that is a constant, or none of both");
    if (!constant || !constants_.insert(id).second) {
      ids_.insert(id);
      return true;
    }
    MLXGUARD_TRY_ASSIGN(const std::uint64_t elements, shape());
    MLXGUARD_TRY_ASSIGN(const std::uint64_t bytes, type());
    if (elements > reader_.remaining() / bytes)
      return malformed("a constant that ends behind the file");
    MLXGUARD_TRY(reader_.take(static_cast<std::size_t>(elements * bytes)));
    ids_.insert(id);
    return true;
  }

  Result<bool> read_operation(std::uint64_t id) {
    MLXGUARD_TRY(known_ids());
    for (int i = 0; i < 3; ++i) MLXGUARD_TRY(reader_.read<std::int32_t>());  // the stream
    MLXGUARD_TRY_ASSIGN(const std::string_view name, text(limits::kMlxfnNameBytesMax));
    if (name == "CustomKernel") {
      out_.own_code = true;
      return false;
    }
    const auto row = std::find_if(kOperations.begin(), kOperations.end(),
                                  [&](const Operation& one) { return one.name == name; });
    if (row == kOperations.end()) return malformed("an operation that is not known");
    for (const char kind : row->state) MLXGUARD_TRY(skip_state(kind));
    MLXGUARD_TRY_ASSIGN(const auto siblings, reader_.read<std::uint64_t>());
    if (siblings == 0) {
      MLXGUARD_TRY(shape());
      MLXGUARD_TRY(type());
      ids_.insert(id);
      return true;
    }
    return read_siblings(siblings);
  }

  /// The outputs of an operation that has several.
  Result<bool> read_siblings(std::uint64_t siblings) {
    MLXGUARD_TRY_ASSIGN(const std::uint64_t outputs, count_of(sizeof(std::uint64_t)));
    if (siblings > limits::kMlxfnItemsMax || outputs != siblings + 1)
      return malformed("outputs that are not counted right");
    for (std::uint64_t i = 0; i < outputs; ++i) {
      MLXGUARD_TRY_ASSIGN(const auto id, reader_.read<std::uint64_t>());
      ids_.insert(id);
    }
    MLXGUARD_TRY_ASSIGN(const std::uint64_t shapes, count_of(sizeof(std::uint64_t)));
    if (shapes != outputs) return malformed("outputs without a shape");
    for (std::uint64_t i = 0; i < shapes; ++i) MLXGUARD_TRY(shape());
    MLXGUARD_TRY_ASSIGN(const std::uint64_t types, count_of(1));
    if (types != outputs) return malformed("outputs without a type");
    for (std::uint64_t i = 0; i < types; ++i) MLXGUARD_TRY(type());
    return true;
  }

  Result<void> skip_state(char kind) {
    switch (kind) {
      case 'i':
      case 'e':
      case 'f': {
        MLXGUARD_TRY(reader_.read<std::int32_t>());
        return {};
      }
      case 'b': {
        MLXGUARD_TRY(flag());
        return {};
      }
      case 'z': {
        MLXGUARD_TRY(reader_.read<std::uint64_t>());
        return {};
      }
      case 'd': {
        MLXGUARD_TRY(type());
        return {};
      }
      case 'v':
        return skip_items(sizeof(std::int32_t));
      case 'w':
        return skip_items(sizeof(std::uint64_t));
      default: {
        MLXGUARD_TRY(text(limits::kMlxfnNameBytesMax));
        return {};
      }
    }
  }

  Bytes file_;
  ByteReader reader_;
  MlxfnReading& out_;
  std::unordered_set<std::uint64_t> inputs_, ids_, constants_;
};

}  // namespace

MlxfnReading read_mlxfn(Bytes file) {
  MlxfnReading out;
  Function function(file, out);
  auto read = function.run();
  out.failed_at = function.at();
  if (read) return out;
  Error error = std::move(read).error();
  if (error.code == ErrorCode::kTruncated) error.code = ErrorCode::kMlxfn;
  out.fault = std::move(error);
  return out;
}

Result<void> check_mlxfn(Bytes file) {
  MlxfnReading reading = read_mlxfn(file);
  if (reading.fault) return *std::move(reading.fault);
  if (reading.own_code) return malformed("an operation that brings code of its own");
  return {};
}

}  // namespace mlxguard::format
