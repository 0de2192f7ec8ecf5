// SPDX-License-Identifier: Apache-2.0
#include "inspect/constant_expression.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace mlxguard::inspect {
namespace {

constexpr double kNotConstant = std::numeric_limits<double>::quiet_NaN();
constexpr int kDepthMax = 32;

class Evaluator {
 public:
  Evaluator(const std::vector<Token>& tokens, std::size_t at) : tokens_(tokens), at_(at) {}

  double sum() {
    double value = product();
    while (is("+") || is("-")) {
      const bool plus = is("+");
      ++at_;
      const double right = product();
      value = plus ? value + right : value - right;
    }
    return value;
  }

  double product() {
    double value = power();
    while (is("*") || is("/") || is("//") || is("%")) {
      const std::string text = tokens_[at_++].text;
      const double right = power();
      if (text == "*")
        value *= right;
      else if (text == "%")
        value = std::fmod(value, right);
      else
        value = text == "//" ? std::floor(value / right) : value / right;
    }
    return value;
  }

  double power() {
    const double base = unary();
    if (!is("**")) return base;
    ++at_;
    if (++depth_ > kDepthMax) return kNotConstant;
    return std::pow(base, power());
  }

  [[nodiscard]] bool is(std::string_view text) const {
    return at_ < tokens_.size() && tokens_[at_].kind == TokenKind::kOperator &&
           tokens_[at_].text == text;
  }
  [[nodiscard]] std::size_t at() const { return at_; }

 private:
  double unary() {
    if (++depth_ > kDepthMax * 4 || at_ >= tokens_.size()) return kNotConstant;
    if (is("-") || is("+")) {
      const bool minus = is("-");
      ++at_;
      const double value = unary();
      return minus ? -value : value;
    }
    if (is("(")) {
      ++at_;
      const double value = sum();
      if (!is(")")) return kNotConstant;
      ++at_;
      return value;
    }
    const Token& token = tokens_[at_];
    if (token.kind != TokenKind::kInteger && token.kind != TokenKind::kNumber) return kNotConstant;
    ++at_;
    char* end = nullptr;
    const double value = std::strtod(token.text.c_str(), &end);
    return end == token.text.c_str() + token.text.size() ? value : kNotConstant;
  }

  const std::vector<Token>& tokens_;
  std::size_t at_;
  int depth_ = 0;
};

bool is_operator(const Token& token, std::string_view text) {
  return token.kind == TokenKind::kOperator && token.text == text;
}

}  // namespace

std::vector<double> constant_arguments(const std::vector<Token>& tokens, std::size_t open) {
  constexpr std::size_t kArgumentsMax = 8;
  std::vector<double> values;
  std::size_t at = open + 1;
  while (at < tokens.size() && values.size() < kArgumentsMax) {
    // width=10: the name is not part of the value.
    if (at + 1 < tokens.size() && tokens[at].kind == TokenKind::kName &&
        is_operator(tokens[at + 1], "=")) {
      at += 2;
    }
    Evaluator evaluator(tokens, at);
    double value = evaluator.sum();
    std::size_t end = evaluator.at();
    if (!evaluator.is(",") && !evaluator.is(")")) value = kNotConstant;
    // To the end of this argument, whatever it is.
    int depth = 0;
    for (end = at; end < tokens.size(); ++end) {
      const Token& token = tokens[end];
      if (token.kind == TokenKind::kBlockEnd || token.kind == TokenKind::kValueEnd) return values;
      if (is_operator(token, "(") || is_operator(token, "[") || is_operator(token, "{")) ++depth;
      if (depth == 0 && (is_operator(token, ",") || is_operator(token, ")"))) break;
      if (is_operator(token, ")") || is_operator(token, "]") || is_operator(token, "}")) --depth;
    }
    if (end == at) return values;  // no argument
    values.push_back(value);
    if (end >= tokens.size() || is_operator(tokens[end], ")")) return values;
    at = end + 1;
  }
  return values;
}

double constant_operand(const std::vector<Token>& tokens, std::size_t at) {
  return Evaluator(tokens, at).power();
}

double constant_around(const std::vector<Token>& tokens, std::size_t at) {
  if (at == 0) return kNotConstant;
  return Evaluator(tokens, at - 1).product();
}

}  // namespace mlxguard::inspect
