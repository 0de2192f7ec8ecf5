// SPDX-License-Identifier: Apache-2.0
#include "engine/tokenizer.h"

#include <mlxguard_tokenizer.h>

#include <array>

#include "base/limits.h"

namespace mlxguard::engine {
namespace {

/// The library's message, NUL-terminated.
struct Message {
  std::array<char, 256> text{};
  mlxguard_tokenizer_error out() { return {text.data(), text.size()}; }
  [[nodiscard]] std::string str() const { return text.data(); }
};

}  // namespace

void Tokenizer::Free::operator()(mlxguard_tokenizer* tokenizer) const noexcept {
  mlxguard_tokenizer_free(tokenizer);
}

Result<Tokenizer> Tokenizer::parse(Bytes tokenizer_json) {
  MLXGUARD_CHECK(mlxguard_tokenizer_abi() == MLXGUARD_TOKENIZER_ABI);
  Message message;
  mlxguard_tokenizer* loaded = mlxguard_tokenizer_load(tokenizer_json.data(), tokenizer_json.size(),
                                                       limits::kTokenizerBytesMax, message.out());
  if (loaded == nullptr) return make_error(ErrorCode::kTokenizer, message.str());
  return Tokenizer(loaded);
}

Result<Tokens> Tokenizer::encode(std::string_view text, std::size_t tokens_max) const {
  Message message;
  Tokens tokens;
  tokens.ids.resize(tokens_max);
  std::size_t count = 0;
  // An empty view may have no address, which the interface takes for a missing text.
  const char* const begin = text.empty() ? "" : text.data();
  const auto status =
      mlxguard_tokenizer_encode(tokenizer_.get(), begin, text.size(), tokens_max, tokens.ids.data(),
                                &count, &tokens.count_before_truncation, message.out());
  switch (status) {
    case MLXGUARD_TOKENIZER_OK:
      tokens.ids.resize(count);
      return tokens;
    case MLXGUARD_TOKENIZER_UTF8:
      return make_error(ErrorCode::kTextInvalid, message.str());
    case MLXGUARD_TOKENIZER_ARGUMENT:
    case MLXGUARD_TOKENIZER_REFUSED:
      break;
  }
  return make_error(ErrorCode::kTokenizer, message.str());
}

std::size_t Tokenizer::vocabulary_size() const {
  return mlxguard_tokenizer_vocabulary_size(tokenizer_.get());
}

}  // namespace mlxguard::engine
