// SPDX-License-Identifier: Apache-2.0
// What the request decoders share: JSON whose errors do not repeat the client's content.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/result.h"
#include "codec/json.h"

namespace mlxguard::validate {

/// A request's body as one JSON object. Errors keep the codec's code and lose its message, which
/// may quote the body; kRequestSyntax if it is no object.
[[nodiscard]] Result<codec::JsonDocument> parse_request(std::string_view body);

/// kRequestUnknown unless every member's name is in `allowed`.
[[nodiscard]] Result<void> only_known(const codec::JsonValue& object,
                                      std::initializer_list<std::string_view> allowed,
                                      std::string_view what);

/// The member, or kRequestMissing about it.
[[nodiscard]] Result<codec::JsonValue> required(const codec::JsonValue& object,
                                                std::string_view name);

/// The member as a string, or kRequestType about it.
[[nodiscard]] Result<std::string_view> string_of(const codec::JsonValue& value,
                                                 std::string_view name);

}  // namespace mlxguard::validate
