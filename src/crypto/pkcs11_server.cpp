// SPDX-License-Identifier: Apache-2.0
// mlxguard-token's side of the conversation (crypto/pkcs11_wire.h).
#include "crypto/pkcs11_module.h"

namespace mlxguard::crypto {
namespace {

class TokenServer {
 public:
  /// The body of the answer.
  Result<std::vector<std::uint8_t>> answer(TokenFrame question) {
    const Bytes body = question.body.bytes();
    switch (question.tag) {
      case TokenTag::kOpen: {
        MLXGUARD_TRY_ASSIGN(const Pkcs11Uri uri, Pkcs11Uri::parse(as_text(body)));
        MLXGUARD_TRY_ASSIGN(module_, Pkcs11Module::open(uri));
        return std::vector{static_cast<std::uint8_t>(module_->login_kind())};
      }
      case TokenTag::kGenerate:
        if (body.size() != 1 || body[0] > static_cast<std::uint8_t>(Curve::kP521)) break;
        generate_ = static_cast<Curve>(body[0]);
        return std::vector<std::uint8_t>{};
      case TokenTag::kLogin: {
        if (!module_) break;
        MLXGUARD_TRY_ASSIGN(const auto found, module_->login(std::move(question.body), generate_));
        return join_blocks(found.parameters, found.point);
      }
      case TokenTag::kSign:
        if (!module_) break;
        return module_->sign(body);
      case TokenTag::kDone:
      case TokenTag::kFailed:
        break;
    }
    return make_error(ErrorCode::kTokenModule, "a question out of order");
  }

 private:
  std::optional<Pkcs11Module> module_;
  std::optional<Curve> generate_;
};

}  // namespace

void serve_token(int requests, int answers) {
  TokenServer server;
  for (;;) {
    auto question = read_frame(requests, std::chrono::milliseconds(-1));
    if (!question) return;
    const auto answer = server.answer(*std::move(question));
    const auto sent = answer
                          ? write_frame(answers, TokenTag::kDone, *answer)
                          : write_frame(answers, TokenTag::kFailed, write_failure(answer.error()));
    if (!sent) return;
  }
}

}  // namespace mlxguard::crypto
