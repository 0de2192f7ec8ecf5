// SPDX-License-Identifier: Apache-2.0
#include "trust/match.h"

#include <algorithm>
#include <tuple>

namespace mlxguard::trust {
namespace {

/// Compared from left to right; the smaller one is the more specific.
using Rank = std::tuple<MatchKind, std::int64_t, std::int64_t, std::string>;

std::int64_t count_components(std::string_view path) {
  return path == "/" ? 0 : std::count(path.begin(), path.end(), '/');
}

std::int64_t count_wildcards(std::string_view pattern) {
  return std::count_if(pattern.begin(), pattern.end(), [](char c) { return c == '*' || c == '?'; });
}

Rank rank_of(MatchKind kind, const std::string& pattern) {
  switch (kind) {
    case MatchKind::kDigest:
      return {kind, 0, 0, pattern};
    case MatchKind::kPath:
      return {kind, -count_components(pattern), 0, pattern};
    case MatchKind::kHuggingFace:
      break;
  }
  const std::int64_t wildcards = count_wildcards(pattern);
  const auto literals = static_cast<std::int64_t>(pattern.size()) - wildcards;
  return {kind, wildcards == 0 ? 0 : 1, -literals, pattern};
}

/// Links in the operator's folder are followed, as those on the way to the model were.
std::string without_links(const std::string& path) {
  std::error_code problem;
  const auto real = std::filesystem::weakly_canonical(path, problem);
  std::string text = problem ? path : real.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

/// The pattern as it is compared and ranked, if it matches.
std::optional<std::string> matching(MatchKind kind, const std::string& pattern,
                                    const Subject& subject) {
  switch (kind) {
    case MatchKind::kDigest: {
      const auto digests = subject.root_digests;
      if (std::find(digests.begin(), digests.end(), pattern) == digests.end()) return {};
      return pattern;
    }
    case MatchKind::kPath: {
      std::string folder = without_links(pattern);
      if (!is_below(subject.location.string(), folder)) return {};
      return folder;
    }
    case MatchKind::kHuggingFace:
      if (subject.hugging_face.empty() || !glob_matches(pattern, subject.hugging_face)) return {};
      return pattern;
  }
  return {};
}

}  // namespace

std::optional<Match> match_source(std::span<const SourceRule> sources, const Subject& subject) {
  std::optional<Match> best;
  Rank best_rank;
  for (const SourceRule& source : sources) {
    for (const std::string& pattern : source.patterns) {
      const auto found = matching(source.match, pattern, subject);
      if (!found) continue;
      Rank rank = rank_of(source.match, *found);
      // Equal ranks: two paths that a link makes one. The first source by name counts.
      if (best && !(rank < best_rank)) continue;
      best_rank = std::move(rank);
      best = Match{&source, pattern};
    }
  }
  return best;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  // Greedy with one way back: the last star takes one character more. No recursion, no blow-up.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {  // first: a text may hold a star of its own
      star = p++;
      star_text = t;
    } else if (p < pattern.size() &&
               (pattern[p] == text[t] || (pattern[p] == '?' && text[t] != '/'))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos && text[star_text] != '/') {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_below(std::string_view path, std::string_view folder) {
  if (path.empty() || path.front() != '/') return false;
  if (folder == "/" || path == folder) return true;
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace mlxguard::trust
