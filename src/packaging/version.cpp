// SPDX-License-Identifier: Apache-2.0
// The grammar is that of PEP 440, appendix B, read in one pass without a regular expression.
#include "packaging/version.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/limits.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {

Digits::Digits(std::string_view text) {
  const std::size_t first = text.find_first_not_of('0');
  text_ = first == std::string_view::npos ? "0" : std::string(text.substr(first));
}

std::strong_ordering operator<=>(const Digits& left, const Digits& right) {
  if (const auto longer = left.text_.size() <=> right.text_.size(); longer != 0) return longer;
  return left.text_.compare(right.text_) <=> 0;
}

/// Reads from a lowercase copy; every step takes what matches or leaves the position alone.
class VersionReader {
 public:
  explicit VersionReader(std::string_view text) : text_(text) {}

  bool read(Version& version) {
    take("v");
    if (!read_release(version)) return false;
    read_pre(version);
    read_post(version);
    read_dev(version);
    if (take("+") && !read_local(version)) return false;
    return at_ == text_.size();
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  std::string_view take_digits() {
    const std::size_t begin = at_;
    while (is_ascii_digit(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  void take_separator() {
    if (peek() == '-' || peek() == '_' || peek() == '.') ++at_;
  }

  bool read_release(Version& version) {
    std::string_view digits = take_digits();
    if (digits.empty()) return false;
    if (take("!")) {
      version.epoch_ = Digits(digits);
      digits = take_digits();
      if (digits.empty()) return false;
    }
    version.release_.emplace_back(digits);
    while (peek() == '.' && is_ascii_digit(peek(1))) {
      ++at_;
      version.release_.emplace_back(take_digits());
    }
    return true;
  }

  /// [separator] word [separator] [digits]; nothing is taken when the word does not match.
  std::optional<std::pair<std::size_t, Digits>> read_worded(
      std::span<const std::string_view> words) {
    const std::size_t begin = at_;
    take_separator();
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!take(words[i])) continue;
      take_separator();  // also where no number follows: "1.0a." is a version
      const std::string_view digits = take_digits();
      return std::pair(i, digits.empty() ? Digits() : Digits(digits));
    }
    at_ = begin;
    return std::nullopt;
  }

  void read_pre(Version& version) {
    using Phase = Version::Phase;
    // Longer words before their beginnings.
    static constexpr std::array<std::string_view, 8> kWords{"alpha",   "a",   "beta", "b",
                                                            "preview", "pre", "c",    "rc"};
    static constexpr std::array kPhases{Phase::kAlpha,     Phase::kAlpha,     Phase::kBeta,
                                        Phase::kBeta,      Phase::kCandidate, Phase::kCandidate,
                                        Phase::kCandidate, Phase::kCandidate};
    if (const auto found = read_worded(kWords)) {
      version.pre_ = Version::PreRelease{kPhases[found->first], found->second};
    }
  }

  void read_post(Version& version) {
    if (peek() == '-' && is_ascii_digit(peek(1))) {  // 1.0-1
      ++at_;
      version.post_ = Digits(take_digits());
      return;
    }
    static constexpr std::array<std::string_view, 3> kWords{"post", "rev", "r"};
    if (const auto found = read_worded(kWords)) version.post_ = found->second;
  }

  void read_dev(Version& version) {
    static constexpr std::array<std::string_view, 1> kWords{"dev"};
    if (const auto found = read_worded(kWords)) version.dev_ = found->second;
  }

  bool read_local(Version& version) {
    do {
      const std::size_t begin = at_;
      while (is_ascii_digit(peek()) || is_ascii_lower(peek())) ++at_;
      const std::string_view part = text_.substr(begin, at_ - begin);
      if (part.empty()) return false;
      if (std::all_of(part.begin(), part.end(), is_ascii_digit)) {
        version.local_.emplace_back(Digits(part));
      } else {
        version.local_.emplace_back(std::string(part));
      }
    } while (take(".") || take("-") || take("_"));
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<Version> Version::parse(std::string_view text) {
  if (text.size() > limits::kVersionBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a version longer than any real one");
  }
  const std::string lower = ascii_lower(trim(text));
  Version version;
  if (!VersionReader(lower).read(version)) {
    return make_error(ErrorCode::kVersionInvalid, "expected a version such as 1.2.3")
        .about(std::string(text));
  }
  return version;
}

std::string Version::text() const {
  std::string out;
  if (!epoch_.is_zero()) out = epoch_.text() + "!";
  for (std::size_t i = 0; i < release_.size(); ++i) {
    if (i != 0) out += '.';
    out += release_[i].text();
  }
  constexpr std::array<std::string_view, 3> kPhaseNames{"a", "b", "rc"};
  if (pre_) {
    out.append(kPhaseNames[static_cast<std::size_t>(pre_->phase)]).append(pre_->number.text());
  }
  if (post_) out.append(".post").append(post_->text());
  if (dev_) out.append(".dev").append(dev_->text());
  for (std::size_t i = 0; i < local_.size(); ++i) {
    out += i == 0 ? '+' : '.';
    const auto* number = std::get_if<Digits>(&local_[i]);
    out += number != nullptr ? number->text() : std::get<std::string>(local_[i]);
  }
  return out;
}

Version Version::without_local() const {
  Version out = *this;
  out.local_.clear();
  return out;
}

Version Version::base() const {
  Version out;
  out.epoch_ = epoch_;
  out.release_ = release_;
  return out;
}

namespace {

/// 1.0 and 1.0.0 are one version.
std::span<const Digits> without_trailing_zeros(const std::vector<Digits>& release) {
  std::size_t size = release.size();
  while (size > 0 && release[size - 1].is_zero()) --size;
  return std::span(release).first(size);
}

std::strong_ordering compare(std::span<const Digits> left, std::span<const Digits> right) {
  return std::lexicographical_compare_three_way(left.begin(), left.end(), right.begin(),
                                                right.end());
}

/// Where a version without a pre-release part stands among those with one.
int pre_rank(const Version& version) {
  if (version.pre()) return 1;
  return !version.post() && version.dev() ? 0 : 2;
}

std::strong_ordering compare(const Version::LocalPart& left, const Version::LocalPart& right) {
  const auto* left_number = std::get_if<Digits>(&left);
  const auto* right_number = std::get_if<Digits>(&right);
  if (left_number != nullptr && right_number != nullptr) return *left_number <=> *right_number;
  if (left_number != nullptr) return std::strong_ordering::greater;
  if (right_number != nullptr) return std::strong_ordering::less;
  return std::get<std::string>(left).compare(std::get<std::string>(right)) <=> 0;
}

}  // namespace

std::strong_ordering operator<=>(const Version& left, const Version& right) {
  if (const auto order = left.epoch_ <=> right.epoch_; order != 0) return order;
  if (const auto order =
          compare(without_trailing_zeros(left.release_), without_trailing_zeros(right.release_));
      order != 0) {
    return order;
  }
  if (const auto order = pre_rank(left) <=> pre_rank(right); order != 0) return order;
  if (left.pre_ && right.pre_) {
    if (const auto order = *left.pre_ <=> *right.pre_; order != 0) return order;
  }
  // No post-release is before any; no development release is after any.
  if (left.post_.has_value() != right.post_.has_value()) return left.post_ ? 1 <=> 0 : 0 <=> 1;
  if (left.post_) {
    if (const auto order = *left.post_ <=> *right.post_; order != 0) return order;
  }
  if (left.dev_.has_value() != right.dev_.has_value()) return left.dev_ ? 0 <=> 1 : 1 <=> 0;
  if (left.dev_) {
    if (const auto order = *left.dev_ <=> *right.dev_; order != 0) return order;
  }
  return std::lexicographical_compare_three_way(
      left.local_.begin(), left.local_.end(), right.local_.begin(), right.local_.end(),
      [](const auto& a, const auto& b) { return compare(a, b); });
}

}  // namespace mlxguard::packaging
