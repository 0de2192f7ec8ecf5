// SPDX-License-Identifier: Apache-2.0
#include "trust/judge.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "codec/text.h"
#include "trust/formats.h"
#include "trust/holders.h"

namespace mlxguard::trust {
namespace {

using State = Condition::State;
using Weight = Condition::Weight;

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string short_of(std::string_view fingerprint) { return std::string(fingerprint.substr(0, 8)); }

std::string describe(const SignerRule& rule) {
  if (!rule.is_certificate()) return "key " + short_of(rule.key);
  return rule.identity + " by authority " + short_of(rule.authority_digest);
}

bool names(const SignerRule& rule, const Signer& signer) {
  return contains(signer.identities, rule.identity) || rule.identity == "subject:" + signer.subject;
}

/// Who may hand a key's place on: the key itself, by a rotation, as long as it is not revoked.
bool is_successor(const KeyRing& ring, const PolicyFile& file, std::string_view old_key,
                  std::string_view key) {
  for (std::size_t step = 0; step <= ring.keys().size(); ++step) {
    const RingKey* from = ring.find(old_key);
    if (from == nullptr || !from->status.rotation || from->status.revocation ||
        contains(file.revoked_keys, old_key)) {
      return false;
    }
    old_key = from->status.rotation->new_key.fingerprint();
    if (old_key == key) return true;
  }
  return false;
}

}  // namespace

void Judge::passed(std::string rule, std::string said) {
  out_.conditions.push_back({.rule = std::move(rule), .said = std::move(said)});
}
void Judge::pending(std::string rule, std::string said) {
  out_.conditions.push_back(
      {.rule = std::move(rule), .state = State::kPending, .said = std::move(said)});
}
void Judge::failed(Condition condition) {
  condition.state = State::kFailed;
  out_.conditions.push_back(std::move(condition));
}

Judgement Judge::judge() {
  out_.mode = policy_.file_.mode;
  check_models_revoked();
  match();
  if (source_ == nullptr) {
    check_signers();
    return std::move(out_);
  }
  check_signers();
  check_window();
  check_formats();
  check_version();
  check_findings();
  check_legacy();
  return std::move(out_);
}

void Judge::check_models_revoked() {
  const auto& revoked = policy_.file_.revoked_models;
  for (const std::string& digest : claim_.root_digests) {
    if (!contains(revoked, digest)) continue;
    failed({.rule = "revoked-model",
            .weight = Weight::kAlways,
            .said = "the policy revokes this model, whoever signed it",
            .code = ErrorCode::kTrustModelRevoked,
            .expected = "a model that is not revoked",
            .actual = digest});
    return;
  }
  if (!revoked.empty()) passed("revoked-model", "the model is not one that the policy revokes");
}

void Judge::match() {
  if (policy_.implicit_) {
    source_ = &policy_.file_.sources.front();
    out_.source = source_->name;
    out_.match = "every model: there is no trust.toml";
    passed("source", "there is no trust.toml; every trusted key may sign every model");
    return;
  }
  std::string id = claim_.hugging_face;
  if (claim_.content && claim_.content->notes.hugging_face) {
    const std::string& recorded = *claim_.content->notes.hugging_face;
    if (!id.empty() && id != recorded) {
      failed({.rule = "source",
              .weight = Weight::kAlways,
              .said = "the model says that it is another one than was asked for",
              .code = ErrorCode::kTrustNoSource,
              .subject = std::string(kModelNotesFile),
              .expected = id,
              .actual = recorded});
      return;
    }
    id = recorded;
  }
  const auto found =
      match_source(policy_.file_.sources, {claim_.location, id, claim_.root_digests});
  const bool id_open = claim_.hugging_face.empty() && !claim_.content;
  const bool certain = !id_open || (found && found->source->match != MatchKind::kHuggingFace);
  const bool any_id =
      std::any_of(policy_.file_.sources.begin(), policy_.file_.sources.end(),
                  [](const SourceRule& source) { return source.match == MatchKind::kHuggingFace; });
  if (!found && !certain && any_id) {
    pending("source", "where the model says that it comes from is not known yet");
    return;
  }
  if (!found) {
    failed({.rule = "source",
            .said = "no source of the policy matches this model",
            .code = ErrorCode::kTrustNoSource,
            .expected = "one of " + std::to_string(policy_.file_.sources.size()) + " sources",
            .actual = claim_.location.string() + (id.empty() ? "" : ", " + id)});
    return;
  }
  source_ = found->source;
  out_.source = source_->name;
  out_.mode = source_->mode;
  out_.match = std::string(name_of(source_->match)) + " " + found->pattern;
  passed("source", "source " + source_->name + " matches by its " + out_.match);
}

bool Judge::allows(const SignerRule& rule, const Signer& signer) const {
  if (!rule.is_certificate()) {
    return signer.kind == Signer::Kind::kKey &&
           (rule.key == signer.fingerprint ||
            is_successor(policy_.ring_, policy_.file_, rule.key, signer.fingerprint));
  }
  return signer.kind == Signer::Kind::kCertificate && signer.authority == rule.authority_digest &&
         names(rule, signer);
}

/// Why this signer's word counts no more, whatever a source says.
std::optional<Condition> Judge::no_standing(const Signer& signer) const {
  const PolicyFile& file = policy_.file_;
  Condition condition{.rule = "revoked-key",
                      .weight = Weight::kAlways,
                      .said = trust::describe(signer) + " is revoked by the policy",
                      .code = ErrorCode::kKeyRevoked,
                      .actual = signer.fingerprint};
  if (contains(file.revoked_keys, signer.fingerprint)) return condition;
  const bool serial =
      std::any_of(signer.serials.begin(), signer.serials.end(), [&](const std::string& text) {
        const auto normal = normal_serial(text);
        return !normal || contains(file.revoked_serials, *normal);
      });
  if (serial) {
    condition.rule = "revoked-serial";
    condition.code = ErrorCode::kCertificateRevoked;
    condition.actual = joined(signer.serials);
    return condition;
  }
  const auto good = policy_.ring_.check_verify(signer.fingerprint, now_);
  if (good) return {};
  condition.said = trust::describe(signer) + ": " + good.error().message;
  condition.code = good.error().code;
  return condition;
}

void Judge::check_standing(std::vector<Signer>& usable) {
  std::vector<Condition> fallen;
  for (const Signer& signer : claim_.signers) {
    if (auto why = no_standing(signer)) {
      fallen.push_back(*std::move(why));
    } else {
      usable.push_back(signer);
    }
  }
  if (usable.empty() && !fallen.empty()) failed(fallen.back());
  if (usable.empty() && fallen.empty()) {
    failed({.rule = "signer",
            .weight = Weight::kAlways,
            .said = "nobody signed it",
            .code = ErrorCode::kSignerUntrusted});
  }
  if (usable.empty()) return;
  for (const Condition& one : fallen) {
    passed(one.rule, one.said + ": that signature does not count, others do");
  }
}

Condition Judge::no_signer(const std::vector<Signer>& usable) const {
  Condition condition{.rule = "signer", .code = ErrorCode::kTrustSigner};
  std::vector<std::string> wanted;
  for (const SignerRule& rule : source_->signers) {
    wanted.push_back(describe(rule));
    for (const Signer& signer : usable) {
      if (allows(rule, signer) && !rule.window.holds(now_)) {
        condition.code = ErrorCode::kTrustWindow;
        condition.rule = "signer-window";
        condition.said = "the source allows " + trust::describe(signer) + " only for another time";
        condition.expected = rule.window.text();
        condition.actual = codec::to_rfc3339(now_.time_since_epoch().count());
        return condition;
      }
      if (rule.is_certificate() && signer.kind == Signer::Kind::kCertificate &&
          signer.authority == rule.authority_digest) {
        condition.code = ErrorCode::kCertificateIdentity;
        condition.rule = "identity";
      }
    }
  }
  std::vector<std::string> found;
  for (const Signer& signer : usable) found.push_back(trust::describe(signer));
  condition.said = condition.rule == "identity"
                       ? "the authority is allowed, the identity in the certificate is not"
                       : "the source does not allow who signed it";
  condition.expected = joined(wanted);
  condition.actual = joined(found);
  return condition;
}

void Judge::check_rules(const std::vector<Signer>& usable) {
  std::vector<Holder> holders = holders_of(usable, policy_.ring_);
  for (Holder& holder : holders) {
    for (std::size_t i = 0; i < source_->signers.size(); ++i) {
      const SignerRule& rule = source_->signers[i];
      const auto fits = std::find_if(holder.signatures.begin(), holder.signatures.end(),
                                     [&](const Signer& signer) { return allows(rule, signer); });
      if (rule.window.holds(now_) && fits != holder.signatures.end()) {
        holder.rules.emplace_back(i, &*fits);
      }
    }
  }
  std::vector<std::string> who;
  for (const Signer* signer : pair_off(holders, source_->signers.size())) {
    if (signer == nullptr) continue;
    out_.signers.push_back(*signer);
    who.push_back(trust::describe(*signer));
  }
  if (out_.signers.empty()) {
    failed(no_signer(usable));
    return;
  }
  passed("signer", "signed by " + joined(who));
  const auto count = static_cast<std::int64_t>(out_.signers.size());
  if (count < source_->threshold) {
    failed({.rule = "threshold",
            .said = "fewer different allowed signers than the source demands",
            .code = ErrorCode::kTrustThreshold,
            .expected = std::to_string(source_->threshold) + " of " +
                        std::to_string(source_->signers.size()) + " allowed signers",
            .actual = std::to_string(count) + ": " + joined(who)});
  } else {
    passed("threshold", "allowed signers: " + std::to_string(count) + ", and the source needs " +
                            std::to_string(source_->threshold));
  }
}

void Judge::check_signers() {
  std::vector<Signer> usable;
  check_standing(usable);
  if (usable.empty()) return;
  if (source_ != nullptr && !policy_.implicit_) {
    check_rules(usable);
    return;
  }
  // Without a source to say more: whoever authenticated is someone the operator trusts.
  for (Holder& holder : holders_of(usable, policy_.ring_)) {
    out_.signers.push_back(std::move(holder.signatures.front()));
  }
  if (source_ != nullptr) passed("signer", "signed by " + trust::describe(usable.front()));
}

void Judge::check_window() {
  const Window& window = source_->window;
  if (!window.not_before && !window.not_after) return;
  if (window.holds(now_)) {
    passed("window", "the source is valid now");
    return;
  }
  failed({.rule = "window",
          .said = "the source is not valid now",
          .code = ErrorCode::kTrustWindow,
          .expected = window.text(),
          .actual = codec::to_rfc3339(now_.time_since_epoch().count())});
}

void Judge::check_formats() {
  if (source_->formats.empty()) return;
  if (!claim_.content) {
    pending("format", "the files' formats are not known yet");
    return;
  }
  for (const Content::FileFormats& file : claim_.content->files) {
    for (const std::string& format : file.formats) {
      if (is_companion(format) || contains(source_->formats, format)) continue;
      failed({.rule = "format",
              .said = "a file is of a format that the source does not allow",
              .code = ErrorCode::kTrustFormat,
              .subject = file.file,
              .expected = joined(source_->formats),
              .actual = joined(file.formats)});
      return;
    }
  }
  passed("format", "every file that holds weights or code is " + joined(source_->formats));
}

void Judge::check_version() {
  if (!source_->min_version && source_->rollback == Rollback::kAllow) return;
  if (!claim_.content) {
    pending("version", "the model's signed version is not known yet");
    return;
  }
  const std::string text = claim_.content->notes.version.value_or("");
  const auto version = ModelVersion::parse(text);
  if (!version) {
    failed({.rule = "version",
            .said = "the model's signed mlxguard.json gives no version that can be compared",
            .code = ErrorCode::kTrustVersion,
            .subject = std::string(kModelNotesFile),
            .expected =
                source_->min_version ? source_->min_version->text() + " or newer" : "a version",
            .actual = text.empty() ? "none" : text});
    return;
  }
  if (source_->min_version && *version < *source_->min_version) {
    failed({.rule = "version",
            .said = "the model is older than the source allows",
            .code = ErrorCode::kTrustVersion,
            .subject = std::string(kModelNotesFile),
            .expected = source_->min_version->text() + " or newer",
            .actual = text});
  } else if (source_->min_version) {
    passed("version", "version " + text + " is at least " + source_->min_version->text());
  }
  if (source_->rollback == Rollback::kRefuse) check_rollback(text);
}

std::vector<std::string> Judge::memory_keys(const SourceRule& source, const Claim& claim) {
  std::vector<std::string> keys{source.name + " path " + claim.location.string()};
  if (!claim.content) return keys;
  const ModelNotes& notes = claim.content->notes;
  if (notes.name) keys.push_back(source.name + " name " + *notes.name);
  const std::string id = notes.hugging_face.value_or(claim.hugging_face);
  if (!id.empty()) keys.push_back(source.name + " hugging_face " + id);
  return keys;
}

void Judge::check_rollback(const std::string& text) {
  const auto version = ModelVersion::parse(text);
  const std::string name = claim_.content->notes.name.value_or("");
  const auto keys = memory_keys(*source_, claim_);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto known = seen_.models.find(keys[i]);
    if (known == seen_.models.end()) continue;
    const SeenModel& newest = known->second;
    // Another model in the same place: both carry a name, and the names differ.
    if (i == 0 && !newest.name.empty() && !name.empty() && newest.name != name) continue;
    const auto highest = ModelVersion::parse(newest.version);
    if (version && highest && *version >= *highest) continue;
    failed({.rule = "rollback",
            .said = "a newer version of this model was admitted here before",
            .code = ErrorCode::kTrustVersion,
            .subject = std::string(kModelNotesFile),
            .expected = newest.version + " or newer",
            .actual = text});
    return;
  }
  passed("rollback", "no newer version was admitted here before");
}

void Judge::check_findings() {
  const auto& refused = source_->refuse_findings;
  if (refused.empty()) return;
  if (!claim_.content) {
    pending("finding", "the model is not inspected yet");
    return;
  }
  const Content& content = *claim_.content;
  // What was found counts, also where not everything could be looked at.
  for (const InspectionFinding& finding :
       content.findings.value_or(std::vector<InspectionFinding>())) {
    const bool hit = std::any_of(refused.begin(), refused.end(), [&](const std::string& pattern) {
      return finding_matches(pattern, finding);
    });
    if (!hit) continue;
    failed({.rule = "finding",
            .said = "the inspection found what the source refuses",
            .code = ErrorCode::kTrustFinding,
            .subject = finding.file,
            .expected = "none of " + joined(refused),
            .actual = finding.rule + " (" + finding.severity + ")"});
    return;
  }
  if (!content.findings || !content.inspection_gap.empty()) {
    failed({.rule = "finding",
            .said = "the model could not be inspected to its end: could not tell",
            .code = ErrorCode::kInspectIncomplete,
            .expected = "an inspection that says no to " + joined(refused),
            .actual = !content.inspection_gap.empty() ? content.inspection_gap : "no inspection"});
    return;
  }
  passed("finding", "the inspection found nothing that the source refuses");
}

void Judge::check_legacy() {
  for (const std::string& form : claim_.legacy) {
    if (contains(source_->legacy, form)) {
      passed("legacy", "the old form " + form + " is allowed by the source");
      continue;
    }
    failed({.rule = "legacy",
            .said = "a bundle of an old form that the source does not allow",
            .code = ErrorCode::kLegacyFormat,
            .expected = source_->legacy.empty() ? "none" : joined(source_->legacy),
            .actual = form});
  }
}

}  // namespace mlxguard::trust
