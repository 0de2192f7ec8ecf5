// SPDX-License-Identifier: Apache-2.0
// Records, rotations and revocations as files that may have come from anyone: each check has a case
// in which it alone stands between a lie and belief.
#include "trust/key_ring.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>

#include "base/limits.h"
#include "codec/text.h"
#include "trust/key_actions.h"
#include "trust/policy_memory.h"
#include "trust/signed_record.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;
using crypto::Curve;
using crypto::EcPrivateKey;
using crypto::EcPublicKey;

WallTime at(std::string_view text) {
  return WallTime(std::chrono::milliseconds(codec::from_rfc3339(text).value()));
}
const WallTime kNow = at("2026-06-01T00:00:00Z");

const OnRecord kSilent = [](const EcPublicKey&) { return Result<void>{}; };

EcPrivateKey new_key(Curve curve = Curve::kP256) { return EcPrivateKey::generate(curve).value(); }

/// A state folder whose key folder holds the public halves of these keys.
class State {
 public:
  State() {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-ring-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    fs::create_directory(root_ / "keys");
    fs::permissions(root_ / "keys", fs::perms::owner_all);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  [[nodiscard]] crypto::KeyStore store() const { return crypto::KeyStore(root_ / "keys"); }
  [[nodiscard]] const fs::path& root() const { return root_; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(root_ / "keys" / name) << text;
    fs::permissions(root_ / "keys" / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream stream(root_ / "keys" / name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void put(const std::string& name, const EcPrivateKey& key) const {
    write(name + ".pub", key.public_key().pem());
  }
  [[nodiscard]] KeyRing ring() const {
    auto ring = KeyRing::load(store());
    REQUIRE_MESSAGE(ring.has_value(), (ring ? "" : ring.error().message));
    return *std::move(ring);
  }
  [[nodiscard]] ErrorCode refusal() const {
    const auto ring = KeyRing::load(store());
    REQUIRE_FALSE(ring.has_value());
    return ring.error().code;
  }

 private:
  fs::path root_;
};

std::string rotation_of(const EcPrivateKey& from, const EcPrivateKey& to,
                        std::optional<WallTime> until = {}) {
  Rotation rotation{.old_key = from.public_key(), .new_key = to.public_key()};
  rotation.at = kNow;
  rotation.old_valid_until = until;
  return write_rotation(rotation, from, to).value();
}

std::string record_of(const EcPrivateKey& key, std::optional<WallTime> end = {}) {
  KeyRecord record{.key = key.public_key()};
  record.created = record.not_before = at("2026-01-01T00:00:00Z");
  record.not_after = end;
  return write_key_record(record, key).value();
}

ErrorCode code_of(const KeyRing& ring, const EcPrivateKey& key, WallTime now = kNow) {
  const auto good = ring.check_verify(key.public_key().fingerprint(), now);
  return good ? ErrorCode::kInternal : good.error().code;
}

TEST_CASE("key ring: a record is the key's own, and its window has both its ends") {
  const State state;
  const EcPrivateKey key = new_key();
  const EcPrivateKey other = new_key();
  state.put("a", key);
  state.write("a.rec", record_of(key, at("2026-07-01T00:00:00Z")));
  const KeyRing ring = state.ring();
  CHECK(code_of(ring, key, at("2025-12-31T23:59:59.999Z")) == ErrorCode::kKeyExpired);
  CHECK(code_of(ring, key, at("2026-01-01T00:00:00Z")) == ErrorCode::kInternal);
  CHECK(code_of(ring, key, at("2026-07-01T00:00:00Z")) == ErrorCode::kInternal);
  CHECK(code_of(ring, key, at("2026-07-01T00:00:00.001Z")) == ErrorCode::kKeyExpired);
  state.write("a.rec", record_of(other));
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  // About this key, signed by another.
  KeyRecord record{.key = key.public_key()};
  state.write("a.rec", write_key_record(record, other).value());
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
}

TEST_CASE("key ring: a rotation is signed by both keys, or it is none") {
  const State state;
  const EcPrivateKey old_key = new_key();
  const EcPrivateKey new_one = new_key(Curve::kP384);
  const EcPrivateKey thief = new_key();
  state.put("a", old_key);
  Rotation rotation{.old_key = old_key.public_key(), .new_key = new_one.public_key()};
  rotation.at = kNow;
  const std::string good = write_rotation(rotation, old_key, new_one).value();
  CHECK(parse_rotation(good).has_value());
  for (const auto& [first, second] :
       {std::pair(&thief, &new_one), std::pair(&old_key, &thief), std::pair(&new_one, &old_key)}) {
    const std::string forged = write_rotation(rotation, *first, *second).value();
    CHECK(parse_rotation(forged).error().code == ErrorCode::kKeyRecord);
    state.write("a.rotation", forged);
    CHECK(state.refusal() == ErrorCode::kKeyRecord);
  }
  // Good, and about other keys than the one that it lies beside.
  state.write("a.rotation", rotation_of(thief, new_one));
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  // A key's record, signed by it, is no rotation.
  state.write("a.rotation", record_of(old_key));
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
}

TEST_CASE("key ring: what one key signed of one kind is good for no other kind") {
  const EcPrivateKey key = new_key();
  const std::string count = write_use_count({7, kNow}, key).value();
  CHECK(parse_use_count(count, key.public_key())->uses == 7);
  CHECK(parse_key_record(count).error().code == ErrorCode::kKeyRecord);
  CHECK(parse_use_count(record_of(key), key.public_key()).error().code == ErrorCode::kKeyRecord);
  CHECK(parse_use_count(count, new_key().public_key()).error().code == ErrorCode::kKeyRecord);
}

TEST_CASE("key ring: successors are known along the whole chain, up to a key that is revoked") {
  const State state;
  const EcPrivateKey a = new_key();
  const EcPrivateKey b = new_key();
  const EcPrivateKey c = new_key();
  const EcPrivateKey security = new_key();
  state.put("a", a);
  state.put("security", security);
  state.write("a.rotation", rotation_of(a, b));
  state.write("a.rotation.2", rotation_of(b, c));
  KeyRing ring = state.ring();
  REQUIRE(ring.find(c.public_key().fingerprint()) != nullptr);
  CHECK(ring.find(b.public_key().fingerprint())->status.state(kNow) == KeyState::kRotated);
  const std::string line = ring.line_of(a.public_key().fingerprint());
  CHECK(line == c.public_key().fingerprint());
  CHECK(line == ring.line_of(b.public_key().fingerprint()));
  CHECK(ring.line_of(security.public_key().fingerprint()) == security.public_key().fingerprint());
  // Nobody knows the rotation of a key that did not come to be by the one before.
  state.write("a.rotation.2", rotation_of(security, c));
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  state.write("a.rotation.2", rotation_of(b, c));
  const auto revoked = revoke_key(state.store(), {}, b.public_key().fingerprint(), "", kNow,
                                  security, [] { return Result<void>{}; });
  REQUIRE(revoked.has_value());
  ring = state.ring();
  CHECK(ring.find(c.public_key().fingerprint()) == nullptr);
  CHECK(code_of(ring, b) == ErrorCode::kKeyRevoked);
}

TEST_CASE("key ring: keys that were rotated in a circle are one line") {
  const State state;
  const EcPrivateKey a = new_key();
  const EcPrivateKey b = new_key();
  state.put("a", a);
  state.put("b", b);
  state.write("a.rotation", rotation_of(a, b));
  state.write("b.rotation", rotation_of(b, a));
  const KeyRing ring = state.ring();
  CHECK(ring.line_of(a.public_key().fingerprint()) == ring.line_of(b.public_key().fingerprint()));
}

TEST_CASE("key ring: a chain of rotations has an end") {
  const State state;
  EcPrivateKey from = new_key();
  state.put("a", from);
  for (std::size_t i = 1; i <= limits::kRotationsMax + 1; ++i) {
    EcPrivateKey to = new_key();
    state.write("a.rotation" + (i == 1 ? std::string() : "." + std::to_string(i)),
                rotation_of(from, to));
    from = std::move(to);
  }
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
}

TEST_CASE("key ring: the earlier of two ends is the end of a rotated key") {
  const State state;
  const EcPrivateKey a = new_key();
  state.put("a", a);
  state.write("a.rec", record_of(a, at("2027-01-01T00:00:00Z")));
  state.write("a.rotation", rotation_of(a, new_key(), at("2026-06-02T00:00:00Z")));
  CHECK(code_of(state.ring(), a, at("2026-06-02T00:00:00.001Z")) == ErrorCode::kKeyExpired);
  state.write("a.rotation", rotation_of(a, new_key(), at("2028-01-01T00:00:00Z")));
  CHECK(code_of(state.ring(), a, at("2027-01-01T00:00:00.001Z")) == ErrorCode::kKeyExpired);
}

struct Listed {
  State state;
  EcPrivateKey a = new_key();
  EcPrivateKey security = new_key();
  Listed() {
    state.put("a", a);
    state.put("security", security);
  }
  Result<RevocationList> revoke(const std::string& fingerprint, const EcPrivateKey& by) const {
    return revoke_key(state.store(), {}, fingerprint, "why", kNow, by,
                      [] { return Result<void>{}; });
  }
};

TEST_CASE("revocations: a key or another trusted one says so, and nobody else") {
  const Listed listed;
  const EcPrivateKey stranger = new_key();
  const std::string fingerprint = listed.a.public_key().fingerprint();
  CHECK(listed.revoke(fingerprint, stranger).error().code == ErrorCode::kKeyRecord);
  CHECK(code_of(listed.state.ring(), listed.a) == ErrorCode::kInternal);
  // By its own word, also where nobody knows it.
  CHECK(listed.revoke(stranger.public_key().fingerprint(), stranger).has_value());
  CHECK(listed.revoke(fingerprint, listed.security).has_value());
  CHECK(code_of(listed.state.ring(), listed.a) == ErrorCode::kKeyRevoked);
  CHECK(listed.revoke(fingerprint, listed.security).error().code == ErrorCode::kKeyRevoked);
  CHECK(listed.revoke(std::string(64, 'e'), listed.a).error().code == ErrorCode::kKeyRevoked);
  CHECK(listed.revoke(std::string(64, 'E'), listed.security).error().code == ErrorCode::kKeyRecord);
}

TEST_CASE("revocations: whom a rotation made trusted may not revoke others") {
  const Listed listed;
  const EcPrivateKey next = new_key();
  listed.state.write("a.rotation", rotation_of(listed.a, next));
  CHECK(listed.revoke(listed.security.public_key().fingerprint(), next).error().code ==
        ErrorCode::kKeyRecord);
}

TEST_CASE("revocations: a list that is gone, shorter, or another is not the one that was seen") {
  const Listed listed;
  const auto& state = listed.state;
  REQUIRE(listed.revoke(std::string(64, 'e'), listed.security).has_value());
  const std::string first = state.read("revocations.json");
  const std::string first_note = state.read("revocations.seen");
  REQUIRE(listed.revoke(listed.a.public_key().fingerprint(), listed.security).has_value());
  CHECK(state.ring().revocations().version() == 2);
  const std::string second = state.read("revocations.json");
  state.write("revocations.json", first);
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  state.write("revocations.seen", first_note);
  CHECK(state.refusal() == ErrorCode::kKeyRecord);  // the state folder remembers it too
  fs::remove(state.root() / "keys/revocations.json");
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  fs::remove(state.root() / "keys/revocations.seen");
  CHECK(state.refusal() == ErrorCode::kKeyRecord);
  state.write("revocations.json", second);
  CHECK(code_of(state.ring(), listed.a) == ErrorCode::kKeyRevoked);
  for (const char* const note : {"", "2", "2 x\n", "0 \n", "-1 \n"}) {
    state.write("revocations.seen", note);
    CHECK(state.refusal() == ErrorCode::kKeyRecord);
  }
}

TEST_CASE("revocations: entries are a chain; none can be dropped, moved or changed") {
  const Listed listed;
  REQUIRE(listed.revoke(std::string(64, 'e'), listed.security).has_value());
  REQUIRE(listed.revoke(std::string(64, 'f'), listed.security).has_value());
  const std::string text = listed.state.read("revocations.json");
  const auto trusted = listed.state.ring().who_may_revoke();
  CHECK(RevocationList::parse(text, trusted)->version() == 2);
  const std::size_t begin = text.find("[{") + 1;
  const std::size_t middle = text.find("},{");
  const std::size_t end = text.rfind("}]");
  const std::string one = text.substr(begin, middle + 1 - begin);
  const std::string two = text.substr(middle + 2, end - 1 - middle);
  const auto list_of = [&](const std::string& entries) {
    return RevocationList::parse(text.substr(0, begin) + entries + text.substr(end + 1), trusted);
  };
  CHECK(list_of(one + "," + two).has_value());
  CHECK(list_of(one)->version() == 1);  // that it is shorter is for its note to say
  for (const std::string& entries : {two, two + "," + one, one + "," + one, std::string()}) {
    CHECK(list_of(entries).error().code == ErrorCode::kKeyRecord);
  }
  const auto nobody = [](std::string_view) { return std::optional<EcPublicKey>(); };
  CHECK(RevocationList::parse(text, nobody).error().code == ErrorCode::kKeyRecord);
  CHECK(RevocationList::parse(std::string(limits::kRevocationListBytesMax + 1, ' '), trusted)
            .error()
            .code == ErrorCode::kTooLarge);
}

TEST_CASE("keys that are not in order are refused before their secret is asked for") {
  const State state;
  const auto passphrase = crypto::Secret::copy_of(as_bytes("a passphrase"));
  NewKey made;
  made.created = made.not_before = kNow;
  for (const char* const name : {"good", "revoked", "old", "expired", "early"}) {
    made.name = name;
    made.not_after.reset();
    made.not_before = kNow;
    if (made.name == "expired") made.not_after = kNow + std::chrono::milliseconds(1);
    if (made.name == "early") made.not_before = kNow + std::chrono::hours(2);
    REQUIRE(make_key(state.store(), made, passphrase, kSilent).has_value());
  }
  bool asked = false;
  KeySecrets secrets;
  secrets.ask = [&](KeyKind) -> Result<crypto::Secret> {
    asked = true;
    return crypto::Secret::copy_of(passphrase.bytes());
  };
  const auto open = [&](const std::string& name) {
    asked = false;
    return open_to_sign(state.store(), state.ring(), name, secrets, kNow + std::chrono::hours(1));
  };
  const auto good = open("good");
  REQUIRE(good.has_value());
  const std::string revoked = state.ring().find_name("revoked")->key.fingerprint();
  REQUIRE(revoke_key(state.store(), {}, revoked, "", kNow, **good, [] {
            return Result<void>{};
          }).has_value());
  const auto old_key = open("old");
  REQUIRE(old_key.has_value());
  REQUIRE(rotate_key(state.store(), "old", **old_key, **good, kNow, {}, kSilent).has_value());
  for (const auto& [name, code] :
       {std::pair("revoked", ErrorCode::kKeyRevoked), std::pair("old", ErrorCode::kKeyExpired),
        std::pair("expired", ErrorCode::kKeyExpired), std::pair("early", ErrorCode::kKeyExpired)}) {
    const auto refused = open(name);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == code);
    CHECK_FALSE(asked);
  }
  CHECK(use_count(state.store(), *state.ring().find_name("good"))->uses == 1);
  CHECK(use_count(state.store(), *state.ring().find_name("old"))->uses == 1);
}

TEST_CASE("policy memory: its folder comes with its file, and neither is taken for empty") {
  const State state;
  const PolicyMemory memory(state.root());
  CHECK(memory.read().has_value());
  const auto raise = [&] {
    return memory.update([](SeenVersions& seen) -> Result<void> {
      ++seen.policies["p"];
      return {};
    });
  };
  CHECK(raise().has_value());
  CHECK(memory.read()->policies.at("p") == 1);
  for (const auto& entry : fs::directory_iterator(state.root())) {
    CHECK(entry.path().filename().string().find(".new") == std::string::npos);
  }
  fs::remove(state.root() / "trust/seen.json");
  CHECK(memory.read().error().code == ErrorCode::kTrustPolicyRollback);
  CHECK(raise().error().code == ErrorCode::kTrustPolicyRollback);
  fs::remove(state.root() / "trust");
  std::ofstream(state.root() / "trust") << "not a folder";
  CHECK_FALSE(memory.read().has_value());
}

}  // namespace
}  // namespace mlxguard::trust
