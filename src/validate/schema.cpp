// SPDX-License-Identifier: Apache-2.0
#include "validate/schema.h"

#include <cmath>
#include <set>

#include "base/limits.h"
#include "codec/json.h"

namespace mlxguard::validate {
namespace {

using codec::JsonDocument;
using codec::JsonKind;
using codec::JsonValue;
using codec::JsonWriter;

constexpr std::string_view kFormat = "mlxguard.function/1";

Error invalid(std::string message, const std::string& path) {
  return make_error(ErrorCode::kManifestInvalid, std::move(message)).about(path);
}

/// A codec error, as an error of the manifest; the member it is about stays named.
Error invalid(Error&& cause, const std::string& path) {
  return invalid(cause.message, cause.subject.empty() ? path : cause.subject);
}

Result<JsonValue> member_of(const JsonValue& object, const char* key, const std::string& path) {
  if (!object.is(JsonKind::kObject)) return invalid("expected an object", path);
  const std::optional<JsonValue> found = object.find(key);
  if (!found) return invalid("a required member is absent", path.empty() ? key : path + "." + key);
  return *found;
}

Result<std::int64_t> integer_of(const JsonValue& value, std::int64_t min, std::int64_t max,
                                const std::string& path) {
  auto integer = value.as_int64(path);
  if (!integer) return invalid("expected an integer", path);
  if (*integer < min || *integer > max) {
    return invalid("expected an integer from " + std::to_string(min) + " to " + std::to_string(max),
                   path);
  }
  return *integer;
}

/// A bound of values. Integers that a double cannot hold are refused: rounding would move the
/// bound.
Result<double> bound_of(const JsonValue& value, Dtype dtype, const std::string& path) {
  const auto as_double = value.as_double(path);
  if (!as_double) return invalid("expected a finite number", path);
  const double bound = *as_double;
  if (!std::isfinite(bound)) return invalid("expected a finite number", path);
  const bool floating = dtype == Dtype::kFp16 || dtype == Dtype::kBf16 || dtype == Dtype::kFp32 ||
                        dtype == Dtype::kFp64;
  if (value.is(JsonKind::kInteger)) {
    constexpr double kTwoTo63 = 9223372036854775808.0;
    const auto as_signed = value.as_int64(path);
    const auto as_unsigned = value.as_uint64(path);
    const bool exact = as_signed
                           ? (bound < kTwoTo63 && static_cast<std::int64_t>(bound) == *as_signed)
                           : (as_unsigned.has_value() && bound < 2 * kTwoTo63 && bound >= 0 &&
                              static_cast<std::uint64_t>(bound) == *as_unsigned);
    if (!exact) return invalid("expected an integer that a double can hold exactly", path);
  } else if (!floating && bound != std::floor(bound)) {
    return invalid("expected an integer for an integer tensor", path);
  }
  return bound;
}

Result<std::string> name_of_tensor(const JsonValue& value, const std::string& path) {
  const auto name = value.as_string(path);
  if (!name) return invalid("expected a string", path);
  if (name->empty() || name->size() > limits::kTensorNameBytesMax) {
    return invalid(
        "expected a name of 1 to " + std::to_string(limits::kTensorNameBytesMax) + " bytes", path);
  }
  for (const char c : *name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return invalid("a name with a control character", path);
    }
  }
  return std::string(*name);
}

Result<Dimension> dimension_of(const JsonValue& value, const std::string& path) {
  constexpr std::int64_t kMax = limits::kTensorDimensionMax;
  if (value.is(JsonKind::kInteger)) {
    MLXGUARD_TRY_ASSIGN(const std::int64_t extent, integer_of(value, 0, kMax, path));
    return Dimension{extent, extent};
  }
  if (!value.is(JsonKind::kObject)) {
    return invalid("expected an integer or {\"min\", \"max\"}", path);
  }
  if (auto only = value.only_members({"min", "max"}); !only) {
    return invalid("a member that is not known", path);
  }
  Dimension dimension;
  MLXGUARD_TRY_ASSIGN(const JsonValue min, member_of(value, "min", path));
  MLXGUARD_TRY_ASSIGN(dimension.min, integer_of(min, 0, kMax, path + ".min"));
  MLXGUARD_TRY_ASSIGN(const JsonValue max, member_of(value, "max", path));
  MLXGUARD_TRY_ASSIGN(dimension.max, integer_of(max, dimension.min, kMax, path + ".max"));
  return dimension;
}

Result<std::vector<Dimension>> shape_of(const JsonValue& value, const std::string& path) {
  if (!value.is(JsonKind::kArray)) return invalid("expected an array of extents", path);
  if (value.size() > limits::kTensorRankMax) {
    return invalid("expected at most " + std::to_string(limits::kTensorRankMax) + " dimensions",
                   path);
  }
  std::vector<Dimension> shape;
  MLXGUARD_TRY(value.each_element([&](std::size_t index, JsonValue element) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(Dimension dimension,
                        dimension_of(element, path + "[" + std::to_string(index) + "]"));
    shape.push_back(dimension);
    return {};
  }));
  return shape;
}

Result<TensorSpec> spec_of(const JsonValue& value, const std::string& path) {
  TensorSpec spec;
  MLXGUARD_TRY_ASSIGN(const JsonValue name, member_of(value, "name", path));
  if (auto only = value.only_members({"name", "datatype", "shape", "min", "max"}); !only) {
    return invalid("a member that is not known", path);
  }
  MLXGUARD_TRY_ASSIGN(spec.name, name_of_tensor(name, path + ".name"));
  MLXGUARD_TRY_ASSIGN(const JsonValue datatype, member_of(value, "datatype", path));
  const auto datatype_name = datatype.as_string();
  const auto dtype = datatype_name ? find_dtype(*datatype_name) : std::nullopt;
  if (!dtype) return invalid("expected a tensor type such as FP32", path + ".datatype");
  spec.dtype = *dtype;
  MLXGUARD_TRY_ASSIGN(const JsonValue shape, member_of(value, "shape", path));
  MLXGUARD_TRY_ASSIGN(spec.shape, shape_of(shape, path + ".shape"));
  const auto min = value.find("min");
  const auto max = value.find("max");
  if ((min || max) && spec.dtype == Dtype::kBool) {
    return invalid("a BOOL tensor has no range", path);
  }
  if (min) {
    MLXGUARD_TRY_ASSIGN(spec.value_min, bound_of(*min, spec.dtype, path + ".min"));
  }
  if (max) {
    MLXGUARD_TRY_ASSIGN(spec.value_max, bound_of(*max, spec.dtype, path + ".max"));
  }
  if (min && max && *spec.value_min > *spec.value_max) {
    return invalid("expected min to be at most max", path);
  }
  return spec;
}

Result<std::vector<TensorSpec>> specs_of(const JsonValue& root, const char* key) {
  MLXGUARD_TRY_ASSIGN(const JsonValue list, member_of(root, key, ""));
  if (!list.is(JsonKind::kArray) || list.size() > limits::kSchemaTensorsMax) {
    return invalid(
        "expected an array of at most " + std::to_string(limits::kSchemaTensorsMax) + " tensors",
        key);
  }
  std::vector<TensorSpec> specs;
  std::set<std::string> names;
  MLXGUARD_TRY(list.each_element([&](std::size_t index, JsonValue element) -> Result<void> {
    const std::string path = std::string(key) + "[" + std::to_string(index) + "]";
    MLXGUARD_TRY_ASSIGN(TensorSpec spec, spec_of(element, path));
    if (!names.insert(spec.name).second) return invalid("a name that was used before", path);
    specs.push_back(std::move(spec));
    return {};
  }));
  return specs;
}

Result<JsonDocument> parse_manifest(std::string_view json) {
  auto parsed = JsonDocument::parse(json, {.bytes_max = limits::kConfigBytesMax});
  if (!parsed) return invalid(std::move(parsed).error(), "");
  const JsonValue root = parsed->root();
  if (!root.is(JsonKind::kObject)) return invalid("expected an object", "");
  if (auto only = root.only_members({"format", "function", "inputs", "outputs"}); !only) {
    return invalid(std::string("a member that is not known: ") + only.error().message, "");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue format, member_of(root, "format", ""));
  const auto format_name = format.as_string();
  if (!format_name || *format_name != kFormat) {
    return invalid("expected \"" + std::string(kFormat) + "\"", "format");
  }
  return std::move(*parsed);
}

void write_specs(JsonWriter& writer, const char* key, const std::vector<TensorSpec>& specs) {
  writer.key(key).begin_array();
  for (const TensorSpec& spec : specs) {
    writer.begin_object().field("name", spec.name).field("datatype", name_of(spec.dtype));
    writer.key("shape").begin_array();
    for (const Dimension& dimension : spec.shape) {
      writer.begin_object().field("min", dimension.min).field("max", dimension.max).end_object();
    }
    writer.end_array();
    if (spec.value_min) writer.key("min").number(*spec.value_min);
    if (spec.value_max) writer.key("max").number(*spec.value_max);
    writer.end_object();
  }
  writer.end_array();
}

Result<ModelSchema> schema_of_wire(const JsonValue& root) {
  ModelSchema schema;
  if (!root.is(JsonKind::kObject)) return invalid("expected an object", "");
  if (auto only =
          root.only_members({"kind", "inputs", "outputs", "embedding_dimension", "tokens_max"});
      !only) {
    return invalid("a member that is not known", "");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue kind, member_of(root, "kind", ""));
  const auto kind_name = kind.as_string();
  if (!kind_name || (*kind_name != "embedding" && *kind_name != "function")) {
    return invalid("expected \"embedding\" or \"function\"", "kind");
  }
  MLXGUARD_TRY_ASSIGN(schema.inputs, specs_of(root, "inputs"));
  MLXGUARD_TRY_ASSIGN(schema.outputs, specs_of(root, "outputs"));
  if (*kind_name == "function") return schema;
  schema.kind = ModelKind::kEmbedding;
  MLXGUARD_TRY_ASSIGN(const JsonValue dimension, member_of(root, "embedding_dimension", ""));
  MLXGUARD_TRY_ASSIGN(
      schema.embedding_dimension,
      integer_of(dimension, 1, limits::kEmbeddingDimensionMax, "embedding_dimension"));
  MLXGUARD_TRY_ASSIGN(const JsonValue tokens, member_of(root, "tokens_max", ""));
  MLXGUARD_TRY_ASSIGN(schema.tokens_max,
                      integer_of(tokens, 1, limits::kTensorDimensionMax, "tokens_max"));
  return schema;
}

}  // namespace

Result<ModelSchema> ModelSchema::from_manifest(std::string_view json) {
  MLXGUARD_TRY(function_of_manifest(json));
  MLXGUARD_TRY_ASSIGN(const JsonDocument document, parse_manifest(json));
  ModelSchema schema;
  MLXGUARD_TRY_ASSIGN(schema.inputs, specs_of(document.root(), "inputs"));
  MLXGUARD_TRY_ASSIGN(schema.outputs, specs_of(document.root(), "outputs"));
  if (schema.inputs.empty()) return invalid("expected at least one input", "inputs");
  if (schema.outputs.empty()) return invalid("expected at least one output", "outputs");
  return schema;
}

Result<std::string> ModelSchema::function_of_manifest(std::string_view json) {
  MLXGUARD_TRY_ASSIGN(const JsonDocument document, parse_manifest(json));
  MLXGUARD_TRY_ASSIGN(const JsonValue member, member_of(document.root(), "function", ""));
  const auto name = member.as_string();
  if (!name || name->empty() || name->size() > 255 || *name == "." || *name == ".." ||
      name->find_first_of(std::string_view("/\\\0", 3)) != std::string_view::npos) {
    return invalid("expected the plain name of a file inside the model", "function");
  }
  return std::string(*name);
}

std::string ModelSchema::to_wire() const {
  JsonWriter writer;
  writer.begin_object();
  writer.field("kind", kind == ModelKind::kEmbedding ? "embedding" : "function");
  write_specs(writer, "inputs", inputs);
  write_specs(writer, "outputs", outputs);
  if (kind == ModelKind::kEmbedding) {
    writer.field("embedding_dimension", embedding_dimension).field("tokens_max", tokens_max);
  }
  writer.end_object();
  return std::move(writer).take();
}

Result<ModelSchema> ModelSchema::from_wire(std::string_view json) {
  auto parsed = JsonDocument::parse(json, {.bytes_max = limits::kConfigBytesMax});
  Result<ModelSchema> schema =
      parsed ? schema_of_wire(parsed->root()) : Result<ModelSchema>(std::move(parsed).error());
  if (schema) return schema;
  Error error = std::move(schema).error();
  error.code = ErrorCode::kWorkerProtocol;
  return std::move(error).with("reading a model's schema");
}

}  // namespace mlxguard::validate
