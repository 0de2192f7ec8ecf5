// SPDX-License-Identifier: Apache-2.0
#include "codec/json.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace mlxguard::codec {

namespace dom = simdjson::dom;

static_assert(sizeof(dom::element) == 16 && std::is_trivially_copyable_v<dom::element>);

/// The only place that turns a JsonValue into the library's element and back.
struct JsonAccess {
  static dom::element element(const JsonValue& value) {
    return std::bit_cast<dom::element>(value.reference_);
  }
  static JsonValue value(dom::element element) {
    JsonValue out;
    out.reference_ = std::bit_cast<decltype(out.reference_)>(element);
    return out;
  }
};

namespace {

dom::element of(const JsonValue& value) { return JsonAccess::element(value); }

/// Below this many members, comparing each pair is faster than sorting.
constexpr std::size_t kPairwiseMembersMax = 12;

Error type_error(std::string_view expected, std::string_view path) {
  return make_error(ErrorCode::kJsonType, "expected " + std::string(expected))
      .about(std::string(path));
}

Result<void> check_keys(dom::object object) {
  std::vector<std::string_view> keys;
  keys.reserve(object.size());
  for (const auto field : object) keys.push_back(field.key);
  const auto duplicate = [](std::string_view key) {
    return make_error(ErrorCode::kJsonDuplicateKey, "an object names a key twice")
        .about(std::string(key.substr(0, 128)));
  };
  if (keys.size() <= kPairwiseMembersMax) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (keys[i] == keys[j]) return duplicate(keys[i]);
      }
    }
    return {};
  }
  std::sort(keys.begin(), keys.end());
  const auto same = std::adjacent_find(keys.begin(), keys.end());
  if (same != keys.end()) return duplicate(*same);
  return {};
}

/// simdjson accepts duplicate keys, and its depth bound counts otherwise than ours: both are
/// checked here. The recursion is bounded by the parser's own depth bound.
Result<void> check_tree(dom::element element, std::size_t depth_left) {
  switch (element.type()) {
    case dom::element_type::OBJECT: {
      if (depth_left == 0) return make_error(ErrorCode::kJsonDepth, "nested too deeply");
      const dom::object object = element.get_object().value_unsafe();
      MLXGUARD_TRY(check_keys(object));
      for (const auto field : object) MLXGUARD_TRY(check_tree(field.value, depth_left - 1));
      return {};
    }
    case dom::element_type::ARRAY:
      if (depth_left == 0) return make_error(ErrorCode::kJsonDepth, "nested too deeply");
      {
        // A named array: a range-for over value_unsafe() of a temporary would dangle.
        const dom::array array = element.get_array().value_unsafe();
        for (const dom::element item : array) {
          // Scalars, the bulk of a tensor, need no call.
          if (item.is_object() || item.is_array()) MLXGUARD_TRY(check_tree(item, depth_left - 1));
        }
      }
      return {};
    default:
      return {};
  }
}

ErrorCode code_of(simdjson::error_code code) {
  switch (code) {
    case simdjson::DEPTH_ERROR:
      return ErrorCode::kJsonDepth;
    case simdjson::UTF8_ERROR:
      return ErrorCode::kUtf8;
    case simdjson::CAPACITY:
      return ErrorCode::kTooLarge;
    default:
      return ErrorCode::kJsonSyntax;
  }
}

template <class T, class Convert>
Result<void> flatten(dom::array array, std::vector<T>& out, std::size_t elements_max,
                     JsonNesting nesting, const Convert& convert) {
  // The library's count, which saturates, is never more than what is there.
  if (nesting == JsonNesting::kRefused) out.reserve(out.size() + array.size());
  for (const dom::element item : array) {
    if (nesting == JsonNesting::kAllowed && item.is_array()) {
      MLXGUARD_TRY(flatten(item.get_array().value_unsafe(), out, elements_max, nesting, convert));
      continue;
    }
    if (out.size() >= elements_max) {
      return make_error(ErrorCode::kTooLarge,
                        "expected at most " + std::to_string(elements_max) + " elements");
    }
    T value{};
    if (!convert(item, value)) return type_error("only numbers of the tensor's type", {});
    out.push_back(value);
  }
  return {};
}

}  // namespace

JsonKind JsonValue::kind() const {
  switch (of(*this).type()) {
    case dom::element_type::ARRAY:
      return JsonKind::kArray;
    case dom::element_type::OBJECT:
      return JsonKind::kObject;
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
      return JsonKind::kInteger;
    case dom::element_type::DOUBLE:
      return JsonKind::kNumber;
    case dom::element_type::STRING:
      return JsonKind::kString;
    case dom::element_type::BOOL:
      return JsonKind::kBool;
    case dom::element_type::NULL_VALUE:
      return JsonKind::kNull;
  }
  MLXGUARD_CHECK(false);
}

Result<bool> JsonValue::as_bool(std::string_view path) const {
  bool value = false;
  if (of(*this).get_bool().get(value) != simdjson::SUCCESS)
    return type_error("true or false", path);
  return value;
}

Result<std::int64_t> JsonValue::as_int64(std::string_view path) const {
  if (!is(JsonKind::kInteger)) return type_error("an integer", path);
  std::int64_t value = 0;
  if (of(*this).get_int64().get(value) != simdjson::SUCCESS) {
    return make_error(ErrorCode::kJsonRange, "expected an integer that fits 64 bits with sign")
        .about(std::string(path));
  }
  return value;
}

Result<std::uint64_t> JsonValue::as_uint64(std::string_view path) const {
  if (!is(JsonKind::kInteger)) return type_error("an integer", path);
  std::uint64_t value = 0;
  if (of(*this).get_uint64().get(value) != simdjson::SUCCESS) {
    return make_error(ErrorCode::kJsonRange, "expected a non-negative integer")
        .about(std::string(path));
  }
  return value;
}

Result<double> JsonValue::as_double(std::string_view path) const {
  if (!is(JsonKind::kInteger) && !is(JsonKind::kNumber)) return type_error("a number", path);
  double value = 0;
  if (of(*this).get_double().get(value) != simdjson::SUCCESS) return type_error("a number", path);
  return value;
}

Result<std::string_view> JsonValue::as_string(std::string_view path) const {
  std::string_view value;
  if (of(*this).get_string().get(value) != simdjson::SUCCESS) return type_error("a string", path);
  return value;
}

// simdjson's own count saturates at 2^24 - 1; counting costs one walk over the members.
std::size_t JsonValue::size() const {
  std::size_t count = 0;
  dom::array array;
  dom::object object;
  if (of(*this).get_array().get(array) == simdjson::SUCCESS) {
    for ([[maybe_unused]] const dom::element item : array) ++count;
  } else if (of(*this).get_object().get(object) == simdjson::SUCCESS) {
    for ([[maybe_unused]] const auto field : object) ++count;
  }
  return count;
}

Result<void> JsonValue::each_element(
    const std::function<Result<void>(std::size_t, JsonValue)>& visit) const {
  dom::array array;
  if (of(*this).get_array().get(array) != simdjson::SUCCESS) return type_error("an array", {});
  std::size_t index = 0;
  for (const dom::element item : array) {
    MLXGUARD_TRY(visit(index++, JsonAccess::value(item)));
  }
  return {};
}

Result<void> JsonValue::each_member(
    const std::function<Result<void>(std::string_view, JsonValue)>& visit) const {
  dom::object object;
  if (of(*this).get_object().get(object) != simdjson::SUCCESS) return type_error("an object", {});
  for (const auto field : object) {
    MLXGUARD_TRY(visit(field.key, JsonAccess::value(field.value)));
  }
  return {};
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  dom::object object;
  if (of(*this).get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
  for (const auto field : object) {
    if (field.key == key) return JsonAccess::value(field.value);
  }
  return std::nullopt;
}

Result<JsonValue> JsonValue::member(std::string_view key) const {
  if (!is(JsonKind::kObject)) return type_error("an object", key);
  if (const auto value = find(key)) return *value;
  return make_error(ErrorCode::kJsonMissing, "expected a member \"" + std::string(key) + "\"")
      .about(std::string(key));
}

Result<void> JsonValue::only_members(std::initializer_list<std::string_view> allowed) const {
  return each_member([&](std::string_view key, JsonValue) -> Result<void> {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) return {};
    return make_error(ErrorCode::kJsonUnknownKey, "found a member that is not known here")
        .about(std::string(key.substr(0, 128)));
  });
}

std::string JsonValue::dump() const { return simdjson::minify(of(*this)); }

Result<void> JsonValue::flatten_doubles(std::vector<double>& out, std::size_t elements_max,
                                        JsonNesting nesting) const {
  dom::array array;
  if (of(*this).get_array().get(array) != simdjson::SUCCESS)
    return type_error("an array of numbers", {});
  return flatten(array, out, elements_max, nesting, [](dom::element item, double& value) {
    return item.get_double().get(value) == simdjson::SUCCESS;
  });
}

Result<void> JsonValue::flatten_floats(std::vector<float>& out, std::size_t elements_max,
                                       JsonNesting nesting) const {
  dom::array array;
  if (of(*this).get_array().get(array) != simdjson::SUCCESS)
    return type_error("an array of numbers", {});
  // Half a step above the largest float: from here on a number rounds to infinity.
  constexpr double kBeyond = 0x1.ffffffp127;
  bool fits = true;
  MLXGUARD_TRY(flatten(array, out, elements_max, nesting, [&](dom::element item, float& value) {
    double number = 0;
    if (item.get_double().get(number) != simdjson::SUCCESS) return false;
    fits &= std::fabs(number) < kBeyond;
    value = static_cast<float>(number);
    return true;
  }));
  if (fits) return {};
  return make_error(ErrorCode::kJsonRange, "expected numbers that a float can hold");
}

Result<void> JsonValue::flatten_int64s(std::vector<std::int64_t>& out, std::size_t elements_max,
                                       JsonNesting nesting) const {
  dom::array array;
  if (of(*this).get_array().get(array) != simdjson::SUCCESS)
    return type_error("an array of integers", {});
  return flatten(array, out, elements_max, nesting, [](dom::element item, std::int64_t& value) {
    return (item.is_int64() || item.is_uint64()) &&
           item.get_int64().get(value) == simdjson::SUCCESS;
  });
}

struct JsonDocument::Impl {
  dom::parser parser;
  dom::element root;
};

JsonDocument::JsonDocument(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return JsonAccess::value(impl_->root); }

Result<JsonDocument> JsonDocument::parse(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max) {
    return make_error(ErrorCode::kTooLarge, "expected at most " + std::to_string(limits.bytes_max) +
                                                " bytes of JSON, found " +
                                                std::to_string(text.size()));
  }
  if (text.empty()) return make_error(ErrorCode::kJsonSyntax, "expected JSON, found nothing");
  auto impl = std::make_unique<Impl>();
  // The library skips a byte order mark; RFC 8259 lets a parser refuse it.
  if (text.starts_with("\xEF\xBB\xBF")) {
    return make_error(ErrorCode::kJsonSyntax, "found a byte order mark before the JSON");
  }
  simdjson::error_code problem =
      impl->parser.allocate(std::max<std::size_t>(text.size(), 64), limits.depth_max + 1);
  if (problem == simdjson::SUCCESS) {
    problem = impl->parser.parse(text.data(), text.size()).get(impl->root);
  }
  if (problem != simdjson::SUCCESS) {
    return make_error(code_of(problem),
                      std::string("expected JSON: ") + simdjson::error_message(problem));
  }
  MLXGUARD_TRY(check_tree(impl->root, limits.depth_max));
  return JsonDocument(std::move(impl));
}

}  // namespace mlxguard::codec
