// SPDX-License-Identifier: Apache-2.0
// Paths and answers as users of the Python tool write and read them.
#include <filesystem>

#include "base/check.h"
#include "codec/json.h"
#include "compat.h"

namespace mlxguard::cli {
namespace {

namespace fs = std::filesystem;

/// Where the name itself is, links in the folders above it followed.
fs::path whole(const std::string& path) {
  std::error_code problem;
  fs::path named = fs::absolute(path, problem).lexically_normal();
  if (!named.has_filename()) named = named.parent_path();
  const fs::path folder = fs::weakly_canonical(named.parent_path(), problem);
  return problem ? named : folder / named.filename();
}

}  // namespace

std::optional<std::string> path_below(const std::string& model, const std::string& path) {
  std::error_code problem;
  const fs::path root = fs::weakly_canonical(model, problem);
  if (problem) return std::nullopt;
  const fs::path below =
      whole(path).lexically_relative(root.has_filename() ? root : root.parent_path());
  if (below.empty() || *below.begin() == "..") return std::nullopt;
  return below.generic_string();
}

std::string compat_model_path(const CompatOptions& options) {
  std::error_code problem;
  if (!options.allow_symlinks) return options.model;
  const fs::path real = fs::canonical(options.model, problem);
  return problem ? options.model : real.string();
}

Result<std::vector<std::string>> compat_ignored(const CompatOptions& options) {
  std::vector<std::string> ignored;
  for (const std::string& path : options.ignore_paths) {
    const auto below = path_below(options.model, path);
    if (below && *below == ".") {
      return make_error(ErrorCode::kUsage,
                        "expected a path inside the model to ignore, found the model")
          .about(path);
    }
    if (below) ignored.push_back(*below);
  }
  return ignored;
}

int compat_failed(const Session& session, std::string_view what, const Error& error,
                  const std::vector<Error>& findings) {
  constexpr std::size_t kShown = 20;
  const auto member = [](codec::JsonWriter& json, const Error& one) {
    json.field("code", name_of(one.code)).field("message", one.message);
    json.field("subject", one.subject).field("expected", one.expected).field("actual", one.actual);
  };
  codec::JsonWriter json;
  json.begin_object().field("status", "failed").key("error").begin_object();
  member(json, error);
  json.field("hint", error.hint).end_object().key("findings").begin_array();
  for (const Error& finding : findings) {
    json.begin_object();
    member(json, finding);
    json.end_object();
  }
  json.end_array().end_object();
  session.output().json_line(json.text());
  for (std::size_t i = 0; i < findings.size() && i < kShown; ++i) {
    session.output().note("  " + std::string(name_of(findings[i].code)) + "  " +
                          printable(findings[i].subject));
  }
  if (findings.size() > kShown) {
    session.output().note("  and " + std::to_string(findings.size() - kShown) + " more");
  }
  std::string text = std::string(what) + " failed with error: " + error.message;
  if (!error.subject.empty()) text += ": " + error.subject;
  if (!error.expected.empty()) text += "; expected " + error.expected;
  if (!error.actual.empty()) text += "; found " + error.actual;
  session.output().note(printable(text) + " [" + std::string(name_of(error.code)) + "]");
  if (!error.hint.empty()) session.output().note("hint: " + printable(error.hint));
  return 1;
}

Error not_offered(CompatMethod method) {
  MLXGUARD_CHECK(method == CompatMethod::kSigstore);
  return make_error(ErrorCode::kMaterialUnsupported,
                    "keyless signatures (the method sigstore) are not offered")
      .hinting("name another method: key, certificate, pkcs11-key or pkcs11-certificate");
}

}  // namespace mlxguard::cli
