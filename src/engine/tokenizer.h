// SPDX-License-Identifier: Apache-2.0
// Tokenizer: text to token ids, by the Rust library of rust/ through its C interface.
// Trusted: the signed tokenizer.json. The text is a client's.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

struct mlxguard_tokenizer;

namespace mlxguard::engine {

struct Tokens {
  std::vector<std::uint32_t> ids;       ///< with special tokens, at most the caller's bound
  std::size_t count_before_truncation;  ///< what the whole text would have given
};

class Tokenizer {
 public:
  /// Errors: kTokenizer.
  [[nodiscard]] static Result<Tokenizer> parse(Bytes tokenizer_json);

  /// Errors: kTextInvalid for text that is not UTF-8, kTokenizer.
  [[nodiscard]] Result<Tokens> encode(std::string_view text, std::size_t tokens_max) const;
  /// One more than the largest id that `encode` can give.
  [[nodiscard]] std::size_t vocabulary_size() const;

 private:
  struct Free {
    void operator()(mlxguard_tokenizer* tokenizer) const noexcept;
  };
  explicit Tokenizer(mlxguard_tokenizer* tokenizer) : tokenizer_(tokenizer) {}
  std::unique_ptr<mlxguard_tokenizer, Free> tokenizer_;
};

}  // namespace mlxguard::engine
