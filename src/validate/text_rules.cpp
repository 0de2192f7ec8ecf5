// SPDX-License-Identifier: Apache-2.0
#include "validate/text_rules.h"

#include "codec/text.h"

namespace mlxguard::validate {
namespace {

/// `text` is well-formed UTF-8, so a C1 control is exactly the byte 0xc2 and one from 0x80 to 0x9f.
bool has_c1_control(std::string_view text) {
  for (std::size_t at = text.find('\xc2'); at != std::string_view::npos;
       at = text.find('\xc2', at + 1)) {
    // Well-formed, so a byte follows.
    if (static_cast<unsigned char>(text[at + 1]) <= 0x9f) return true;
  }
  return false;
}

/// One pass without branches or booleans, which the compiler turns into vector code.
bool has_control_character(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  std::uint8_t controls = 0;
  std::uint8_t c1_leads = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t byte = bytes[i];
    const std::uint8_t below = byte < 0x20 ? 0xff : 0;
    const std::uint8_t no_tab = byte != '\t' ? 0xff : 0;
    const std::uint8_t no_line_feed = byte != '\n' ? 0xff : 0;
    const std::uint8_t no_return = byte != '\r' ? 0xff : 0;
    const std::uint8_t deleted = byte == 0x7f ? 0xff : 0;
    const std::uint8_t c1_lead = byte == 0xc2 ? 0xff : 0;
    controls |= static_cast<std::uint8_t>((below & no_tab & no_line_feed & no_return) | deleted);
    c1_leads |= c1_lead;
  }
  return controls != 0 || (c1_leads != 0 && has_c1_control(text));
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
