// SPDX-License-Identifier: Apache-2.0
#include "validate/text_rules.h"

#include "codec/text.h"

namespace mlxguard::validate {
namespace {

/// `text` is well-formed UTF-8, so a C1 control is exactly the byte 0xc2 and one from 0x80 to 0x9f.
bool has_control_character(std::string_view text) {
  unsigned char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') return true;
    if (byte == 0x7f) return true;
    if (before == 0xc2 && byte >= 0x80 && byte <= 0x9f) return true;
    before = byte;
  }
  return false;
}

}  // namespace

Result<void> check_text(std::string_view text, std::size_t bytes_max) {
  if (text.empty()) return make_error(ErrorCode::kTextInvalid, "expected a text that is not empty");
  if (text.size() > bytes_max) {
    return make_error(ErrorCode::kRequestTooLarge,
                      "expected a text of at most " + std::to_string(bytes_max) + " bytes, found " +
                          std::to_string(text.size()));
  }
  if (!codec::is_utf8(text)) return make_error(ErrorCode::kTextInvalid, "expected valid UTF-8");
  if (has_control_character(text)) {
    return make_error(ErrorCode::kTextInvalid,
                      "expected no control characters but tab, line feed and carriage return");
  }
  return {};
}

Result<ValidatedTexts> check_texts(std::vector<std::string> texts, const TextLimits& limits) {
  if (texts.empty()) return make_error(ErrorCode::kRequestCount, "expected at least one text");
  if (texts.size() > limits.texts_max) {
    return make_error(ErrorCode::kRequestTooLarge,
                      "expected at most " + std::to_string(limits.texts_max) + " texts, found " +
                          std::to_string(texts.size()));
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto checked = check_text(texts[i], limits.text_bytes_max);
    if (!checked) return std::move(checked).error().with("text", std::to_string(i));
  }
  return ValidatedTexts(std::move(texts));
}

}  // namespace mlxguard::validate
