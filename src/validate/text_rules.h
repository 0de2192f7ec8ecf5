// SPDX-License-Identifier: Apache-2.0
// Rules for text that a model will read. ValidatedTexts cannot be made any other way; the gateway
// makes them before it sends a request, the worker makes them again before it tokenises. Input:
// strings chosen by a client, possibly through a compromised gateway.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::validate {

struct TextLimits {
  std::size_t texts_max = 2048;
  std::size_t text_bytes_max = 64u << 10;  ///< of one text
};

class ValidatedTexts {
 public:
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
  [[nodiscard]] std::vector<std::string>&& take() && { return std::move(texts_); }

 private:
  friend Result<ValidatedTexts> check_texts(std::vector<std::string> texts,
                                            const TextLimits& limits);
  explicit ValidatedTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  std::vector<std::string> texts_;
};

/// One text: not empty, well-formed UTF-8, no control character but tab, line feed and carriage
/// return (C0, DEL and C1), at most `bytes_max` bytes. Errors: kTextInvalid, kRequestTooLarge.
[[nodiscard]] Result<void> check_text(std::string_view text, std::size_t bytes_max);

/// At least one and at most `texts_max` texts, each as above. Errors: kRequestCount for none,
/// kRequestTooLarge, kTextInvalid; the message says which text by its index, never its content.
[[nodiscard]] Result<ValidatedTexts> check_texts(std::vector<std::string> texts,
                                                 const TextLimits& limits);

}  // namespace mlxguard::validate
