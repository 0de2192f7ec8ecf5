// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_file.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "codec/toml_text.h"
#include "trust/formats.h"
#include "trust/policy_values.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;

/// `value` read into `target`, for the key that `Setter` stands beside in a table.
template <class T>
using Setter = Result<void> (*)(T& target, const toml::node& value, const fs::path& folder);

template <class T>
struct Row {
  PolicyKey key;
  Setter<T> set;
};

template <class T, auto Member>
Result<void> set_window(T& target, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(target.window.*Member, read_time(value));
  return {};
}

template <auto Member, class T = SourceRule>
Result<void> set_texts(T& target, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(target.*Member, read_texts(value));
  return {};
}

Result<void> set_mode(Mode& mode, const toml::node& value) {
  const auto text = value.value_exact<std::string>();
  if (text == "enforce") {
    mode = Mode::kEnforce;
  } else if (text == "warn") {
    mode = Mode::kWarn;
  } else {
    return wrong_value("\"enforce\" or \"warn\"");
  }
  return {};
}

template <MatchKind Kind>
Result<void> set_match(SourceRule& source, const toml::node& value, const fs::path& folder) {
  if (!source.patterns.empty()) {
    return wrong_value("one of path, hugging_face and digest in a source, not several");
  }
  source.match = Kind;
  MLXGUARD_TRY_ASSIGN(source.patterns, read_texts(value));
  if (source.patterns.empty()) return wrong_value("at least one pattern");
  for (std::string& pattern : source.patterns) {
    if constexpr (Kind == MatchKind::kPath) {
      MLXGUARD_TRY_ASSIGN(pattern, normal_path(pattern, folder));
    } else if constexpr (Kind == MatchKind::kHuggingFace) {
      MLXGUARD_TRY(check_hugging_face_pattern(pattern));
    } else {
      MLXGUARD_TRY(check_digest(pattern));
    }
  }
  return {};
}

template <auto Member>
Result<void> set_file(SignerRule& signer, const toml::node& value, const fs::path& folder) {
  MLXGUARD_TRY_ASSIGN(const std::string text, read_text(value));
  MLXGUARD_TRY_ASSIGN(const std::string path, normal_path(text, folder));
  signer.*Member = path;
  return {};
}

Result<void> set_authority_digest(SignerRule& signer, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(signer.authority_digest, read_text(value));
  return check_digest(signer.authority_digest);
}

Result<void> set_key(SignerRule& signer, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(signer.key, read_text(value));
  return {};
}

Result<void> set_identity(SignerRule& signer, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(const std::string text, read_text(value));
  MLXGUARD_TRY_ASSIGN(signer.identity, normal_identity(text));
  return {};
}

Result<void> set_threshold(SourceRule& source, const toml::node& value, const fs::path&) {
  const auto number = value.value_exact<std::int64_t>();
  if (!number || *number < 1 || *number > static_cast<std::int64_t>(limits::kModelBundlesMax)) {
    return wrong_value("an integer from 1 to " + std::to_string(limits::kModelBundlesMax));
  }
  source.threshold = *number;
  return {};
}

Result<void> set_min_version(SourceRule& source, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(const std::string text, read_text(value));
  auto version = ModelVersion::parse(text);
  if (!version) return wrong_value("a version such as 1.2.0");
  source.min_version = *std::move(version);
  return {};
}

Result<void> set_rollback(SourceRule& source, const toml::node& value, const fs::path&) {
  const auto text = value.value_exact<std::string>();
  if (text != "refuse" && text != "allow") return wrong_value("\"refuse\" or \"allow\"");
  source.rollback = text == "refuse" ? Rollback::kRefuse : Rollback::kAllow;
  return {};
}

Result<void> set_receipts(SourceRule& source, const toml::node& value, const fs::path&) {
  const auto allowed = value.value_exact<bool>();
  if (!allowed) return wrong_value("true or false");
  source.receipts = *allowed ? Receipts::kAllow : Receipts::kRefuse;
  return {};
}

Result<void> set_formats(SourceRule& source, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(source.formats, read_texts(value));
  if (source.formats.empty()) return wrong_value("at least one format");
  for (const std::string& format : source.formats) {
    if (!is_format_name(format)) return wrong_value("one of " + format_names());
  }
  return {};
}

Result<void> set_findings(SourceRule& source, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(source.refuse_findings, read_texts(value));
  for (const std::string& finding : source.refuse_findings) {
    MLXGUARD_TRY(check_finding_pattern(finding));
  }
  return {};
}

Result<void> set_legacy(SourceRule& source, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(source.legacy, read_texts(value));
  for (const std::string& form : source.legacy) {
    const auto known = legacy_forms();
    if (std::none_of(known.begin(), known.end(),
                     [&](const auto& row) { return row.name == form; })) {
      std::string names;
      for (const LegacyForm& row : known)
        names += (names.empty() ? "" : ", ") + std::string(row.name);
      return wrong_value("one of " + names);
    }
  }
  return {};
}

Result<void> set_crls(SourceRule& source, const toml::node& value, const fs::path& folder) {
  MLXGUARD_TRY_ASSIGN(const auto texts, read_texts(value));
  for (const std::string& text : texts) {
    MLXGUARD_TRY_ASSIGN(std::string path, normal_path(text, folder));
    source.crls.emplace_back(std::move(path));
  }
  return {};
}

Result<void> set_version(PolicyFile& policy, const toml::node& value, const fs::path&) {
  const auto number = value.value_exact<std::int64_t>();
  if (!number || *number < 1) return wrong_value("an integer from 1");
  policy.version = static_cast<std::uint64_t>(*number);
  return {};
}

template <auto Member>
Result<void> set_digests(PolicyFile& policy, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(policy.*Member, read_texts(value));
  for (const std::string& digest : policy.*Member) MLXGUARD_TRY(check_digest(digest));
  return {};
}

Result<void> set_serials(PolicyFile& policy, const toml::node& value, const fs::path&) {
  MLXGUARD_TRY_ASSIGN(policy.revoked_serials, read_texts(value));
  for (std::string& serial : policy.revoked_serials) {
    MLXGUARD_TRY_ASSIGN(serial, normal_serial(serial));
  }
  return {};
}

Result<void> set_signers(SourceRule& source, const toml::node& value, const fs::path& folder);

// clang-format off
constexpr Row<PolicyFile> kPolicyRows[] = {
    {{"", "version", "number of this policy; grows with every change, an older one is refused"}, set_version},
    {{"", "expires", "moment after which this policy is refused"},
     [](PolicyFile& policy, const toml::node& value, const fs::path&) -> Result<void> {
       MLXGUARD_TRY_ASSIGN(policy.expires, read_time(value));
       return {};
     }},
    {{"", "mode", "enforce or warn: for models that no source matches, and sources that do not say"},
     [](PolicyFile& policy, const toml::node& value, const fs::path&) { return set_mode(policy.mode, value); }},
};

constexpr Row<PolicyFile> kRevokedRows[] = {
    {{"revoked", "keys", "fingerprints of keys whose signatures count no more"}, set_digests<&PolicyFile::revoked_keys>},
    {{"revoked", "serials", "serial numbers (hex) of certificates that count no more"}, set_serials},
    {{"revoked", "models", "root digests of models that are refused whoever signed them"}, set_digests<&PolicyFile::revoked_models>},
};

constexpr Row<SourceRule> kSourceRows[] = {
    {{"sources.NAME", "path", "folders: the source is every model in or below one of them"}, set_match<MatchKind::kPath>},
    {{"sources.NAME", "hugging_face", "ids ORG/NAME; * and ? match within one part"}, set_match<MatchKind::kHuggingFace>},
    {{"sources.NAME", "digest", "root digests: the source is these models, wherever they are"}, set_match<MatchKind::kDigest>},
    {{"sources.NAME", "mode", "enforce or warn; default: the policy's mode"},
     [](SourceRule& source, const toml::node& value, const fs::path&) { return set_mode(source.mode, value); }},
    {{"sources.NAME", "threshold", "how many different signers must have signed"}, set_threshold},
    {{"sources.NAME", "formats", "formats of files that are allowed, by name and by content"}, set_formats},
    {{"sources.NAME", "not_before", "the source is not valid before"}, set_window<SourceRule, &Window::not_before>},
    {{"sources.NAME", "not_after", "the source is valid up to"}, set_window<SourceRule, &Window::not_after>},
    {{"sources.NAME", "min_version", "lowest version that the signed mlxguard.json may give"}, set_min_version},
    {{"sources.NAME", "rollback", "refuse: never older than the newest that was admitted here; or allow"}, set_rollback},
    {{"sources.NAME", "refuse_findings", "inspection findings, by rule or as severity:high, that refuse the model"}, set_findings},
    {{"sources.NAME", "receipts", "true: an admitted, unchanged model may start by its receipt"}, set_receipts},
    {{"sources.NAME", "legacy", "old forms of signatures that are allowed"}, set_legacy},
    {{"sources.NAME", "crls", "certificate revocation lists (PEM or DER)"}, set_crls},
    {{"sources.NAME", "signers", "who may sign; each an array of tables entry"}, set_signers},
};

constexpr Row<SignerRule> kSignerRows[] = {
    {{"sources.NAME.signers", "key", "fingerprint of a key, or its name in the key folder"}, set_key},
    {{"sources.NAME.signers", "public_key", "PEM file of that key, if it is not in the key folder"}, set_file<&SignerRule::public_key>},
    {{"sources.NAME.signers", "ca", "PEM file of the root certificate"}, set_file<&SignerRule::authority>},
    {{"sources.NAME.signers", "ca_sha256", "SHA-256 of the root certificate in DER"}, set_authority_digest},
    {{"sources.NAME.signers", "identity", "name that the certificate must carry, beside its CA"}, set_identity},
    {{"sources.NAME.signers", "not_before", "signatures of this signer do not count before"}, set_window<SignerRule, &Window::not_before>},
    {{"sources.NAME.signers", "not_after", "signatures of this signer count up to"}, set_window<SignerRule, &Window::not_after>},
};
// clang-format on

template <class T, std::size_t N>
Result<void> read_rows(T& target, const toml::table& table, const Row<T> (&rows)[N],
                       const std::string& where, const fs::path& folder) {
  for (const auto& [name, value] : table) {
    const std::string key(name.str());
    const auto* row = std::find_if(std::begin(rows), std::end(rows), [&](const Row<T>& candidate) {
      return candidate.key.name == key;
    });
    const std::string full_name = where + key;
    if (row == std::end(rows)) return unknown_key(value, full_name);
    if (auto set = row->set(target, value, folder); !set) {
      return at_key(std::move(set).error(), value, full_name);
    }
  }
  return {};
}

/// A rule that no signer can satisfy, or that says two things, is a slip.
Result<void> check_signer(const SignerRule& signer) {
  const bool certificate =
      !signer.authority.empty() || !signer.authority_digest.empty() || !signer.identity.empty();
  if (certificate == (!signer.key.empty() || !signer.public_key.empty())) {
    return wrong_value("either key, or ca and identity, in a signer");
  }
  if (certificate && signer.authority.empty()) return wrong_value("ca, the file of the authority");
  if (certificate && signer.identity.empty()) {
    return wrong_value("identity beside ca: an authority alone would let anyone in whom it knows");
  }
  if (!certificate && signer.key.empty()) return wrong_value("key, the fingerprint of public_key");
  return check_window(signer.window);
}

Result<void> set_signers(SourceRule& source, const toml::node& value, const fs::path& folder) {
  const toml::array* array = value.as_array();
  if (array == nullptr) return wrong_value("an array of tables");
  if (array->size() > limits::kModelBundlesMax * 8) return wrong_value("fewer signers");
  for (const toml::node& item : *array) {
    const toml::table* table = item.as_table();
    if (table == nullptr) return wrong_value("an array of tables");
    SignerRule signer;
    MLXGUARD_TRY(read_rows(signer, *table, kSignerRows, "signers.", folder));
    MLXGUARD_TRY(check_signer(signer));
    for (const SignerRule& other : source.signers) {
      if (other.key == signer.key && other.authority == signer.authority &&
          other.identity == signer.identity) {
        return wrong_value("each signer once");
      }
    }
    source.signers.push_back(std::move(signer));
  }
  return {};
}

Result<void> check_source(const SourceRule& source) {
  if (source.patterns.empty()) return wrong_value("path, hugging_face or digest");
  if (source.signers.empty()) return wrong_value("at least one signer");
  if (source.threshold > static_cast<std::int64_t>(source.signers.size())) {
    return wrong_value("a threshold of at most the number of signers");
  }
  return check_window(source.window);
}

Result<void> read_sources(PolicyFile& policy, const toml::node& value, const fs::path& folder) {
  const toml::table* sources = value.as_table();
  if (sources == nullptr) return at_key(wrong_value("tables named sources.NAME"), value, "sources");
  if (sources->size() > limits::kPolicySourcesMax) {
    return at_key(wrong_value("fewer sources"), value, "sources");
  }
  for (const auto& [name, node] : *sources) {
    const std::string full_name = "sources." + std::string(name.str());
    MLXGUARD_TRY(check_source_name(name.str()));
    const toml::table* table = node.as_table();
    if (table == nullptr) return at_key(wrong_value("a table"), node, full_name);
    SourceRule source;
    source.name = name.str();
    source.mode = policy.mode;
    MLXGUARD_TRY(read_rows(source, *table, kSourceRows, full_name + ".", folder));
    if (auto good = check_source(source); !good) {
      return at_key(std::move(good).error(), node, full_name);
    }
    policy.sources.push_back(std::move(source));
  }
  return {};
}

/// Two sources of one pattern: which one counts could not be told.
Result<void> check_patterns_differ(const PolicyFile& policy) {
  std::map<std::pair<MatchKind, std::string>, std::string> seen;
  for (const SourceRule& source : policy.sources) {
    for (const std::string& pattern : source.patterns) {
      const auto [at, fresh] = seen.emplace(std::pair(source.match, pattern), source.name);
      if (!fresh) {
        return make_error(ErrorCode::kTrustPolicy, "two sources, or one twice, have the same " +
                                                       std::string(name_of(source.match)) + ": " +
                                                       at->second + " and " + source.name)
            .about("sources." + source.name);
      }
    }
  }
  return {};
}

}  // namespace

Result<PolicyFile> parse_policy(std::string_view text, const fs::path& folder) {
  if (text.size() > limits::kPolicyBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a trust policy may be");
  }
  if (const auto line = codec::find_stray_character(text)) {
    return make_error(ErrorCode::kTrustPolicy,
                      "line " + std::to_string(*line) +
                          ": expected UTF-8, with what is not ASCII in strings and comments only");
  }
  toml::parse_result parsed = toml::parse(codec::toml_in_ascii(text));
  if (parsed) parsed = toml::parse(text);
  if (!parsed) {
    return make_error(ErrorCode::kTrustPolicy,
                      "line " + std::to_string(parsed.error().source().begin.line) + ": " +
                          std::string(parsed.error().description()));
  }
  PolicyFile policy;
  toml::table top;  // the policy's own keys first: sources take its mode
  for (const auto& [name, value] : parsed.table()) {
    if (name.str() == "sources") continue;
    if (name.str() != "revoked") {
      top.insert(name.str(), value);
      continue;
    }
    const toml::table* revoked = value.as_table();
    if (revoked == nullptr) return at_key(wrong_value("a table"), value, "revoked");
    MLXGUARD_TRY(read_rows(policy, *revoked, kRevokedRows, "revoked.", folder));
  }
  MLXGUARD_TRY(read_rows(policy, top, kPolicyRows, "", folder));
  if (const toml::node* sources = parsed.table().get("sources")) {
    MLXGUARD_TRY(read_sources(policy, *sources, folder));
  }
  MLXGUARD_TRY(check_patterns_differ(policy));
  return policy;
}

std::span<const PolicyKey> policy_keys() {
  static const auto kKeys = [] {
    std::vector<PolicyKey> all;
    for (const auto& row : kPolicyRows) all.push_back(row.key);
    for (const auto& row : kRevokedRows) all.push_back(row.key);
    for (const auto& row : kSourceRows) all.push_back(row.key);
    for (const auto& row : kSignerRows) all.push_back(row.key);
    return all;
  }();
  return kKeys;
}

}  // namespace mlxguard::trust
