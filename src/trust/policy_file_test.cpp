// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_file.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "trust/formats.h"
#include "trust/policy_edit.h"

namespace mlxguard::trust {
namespace {

const std::string kKey(64, 'a');

std::string policy_with(const std::string& in_source, const std::string& in_signer = {}) {
  return "version = 1\n[sources.s]\npath = '/srv/models'\n" + in_source +
         "\n[[sources.s.signers]]\nkey = '" + kKey + "'\n" + in_signer + "\n";
}

ErrorCode code_of(const std::string& text) {
  const auto parsed = parse_policy(text, "/etc/mlxguard");
  REQUIRE_MESSAGE(!parsed.has_value(), text);
  return parsed.error().code;
}

PolicyFile parsed(const std::string& text) {
  auto policy = parse_policy(text, "/etc/mlxguard");
  REQUIRE_MESSAGE(policy.has_value(), (policy ? "" : policy.error().message));
  return *std::move(policy);
}

}  // namespace

TEST_CASE("policy: every key is read, relative paths are the file's") {
  const PolicyFile policy = parsed(
      "version = 7\nexpires = 2027-01-31T00:00:00+01:00\nmode = 'warn'\n"
      "[revoked]\nkeys = ['" +
      kKey + "']\nserials = ['00:AB:01']\nmodels = '" + kKey +
      "'\n"
      "[sources.a]\npath = ['models/', '/srv/x/../y']\nthreshold = 1\nformats = ['safetensors']\n"
      "not_before = 2026-01-01\nnot_after = '2026-12-31T00:00:00Z'\nmin_version = '1.2'\n"
      "rollback = 'refuse'\nrefuse_findings = ['severity:high', 'pickle.import']\nreceipts = true\n"
      "legacy = ['pae-v0.2']\ncrls = ['ca.crl']\n"
      "[[sources.a.signers]]\nca = 'ca.pem'\nidentity = 'ci@example.org'\n"
      "[sources.b]\nhugging_face = 'org/*'\nmode = 'enforce'\n"
      "[[sources.b.signers]]\nkey = 'release'\nnot_after = 2026-06-01\n");
  CHECK(policy.version == 7);
  CHECK(policy.expires ==
        WallTime(std::chrono::sys_days(std::chrono::January / 30 / 2027)) + std::chrono::hours(23));
  CHECK(policy.mode == Mode::kWarn);
  CHECK(policy.revoked_serials.at(0) == "ab01");
  REQUIRE(policy.sources.size() == 2);
  const SourceRule& a = policy.sources[0];
  CHECK(a.patterns == std::vector<std::string>{"/etc/mlxguard/models", "/srv/y"});
  CHECK(a.mode == Mode::kWarn);
  CHECK(a.window.not_before == WallTime(std::chrono::sys_days(std::chrono::January / 1 / 2026)));
  CHECK(a.min_version->text() == "1.2");
  CHECK(a.rollback == Rollback::kRefuse);
  CHECK(a.receipts == Receipts::kAllow);
  CHECK(a.crls.at(0) == "/etc/mlxguard/ca.crl");
  CHECK(a.signers.at(0).identity == "email:ci@example.org");
  CHECK(policy.sources[1].mode == Mode::kEnforce);
  CHECK(policy.sources[1].signers.at(0).key == "release");
}

TEST_CASE("policy: an unknown key at any depth is an error that names it") {
  const auto subject = [](const std::string& text) {
    const auto policy = parse_policy(text, "/");
    REQUIRE(!policy.has_value());
    CHECK(policy.error().code == ErrorCode::kTrustPolicy);
    return policy.error().subject;
  };
  CHECK(subject("vresion = 1\n") == "vresion");
  CHECK(subject("[revoked]\nkey = []\n") == "revoked.key");
  CHECK(subject("[source.s]\n") == "source");
  CHECK(subject(policy_with("tresholt = 2")) == "sources.s.tresholt");
  CHECK(subject(policy_with("", "fingerprint = 'x'")) == "signers.fingerprint");
}

TEST_CASE("policy: characters beyond ascii stand in strings and comments only") {
  CHECK(code_of("\u0157") == ErrorCode::kTrustPolicy);
  CHECK(code_of("version =\u00a01\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("version = 1 # \xff\n") == ErrorCode::kTrustPolicy);
  CHECK(parsed("version = 1 # \u00fc\n").version == 1);
}

TEST_CASE("policy: there is no mode off") {
  CHECK(code_of("mode = 'off'\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of(policy_with("mode = 'off'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(policy_with("mode = false")) == ErrorCode::kTrustPolicy);
}

TEST_CASE("policy: values of another type, and rules that can never hold, are refused") {
  for (const char* bad : {"threshold = 0",
                          "threshold = 2",
                          "threshold = '1'",
                          "threshold = 1.0",
                          "formats = []",
                          "formats = ['safetensor']",
                          "formats = ['gguf', 'gguf']",
                          "min_version = 'new'",
                          "min_version = 1",
                          "rollback = true",
                          "receipts = 'yes'",
                          "legacy = ['v1']",
                          "refuse_findings = ['severity:odd']",
                          "refuse_findings = ['a b']",
                          "crls = [1]",
                          "not_before = 2027-01-01\nnot_after = 2026-01-01",
                          "not_after = 2026-01-01T00:00:00",
                          "not_after = 12",
                          "not_after = '2026-13-01'",
                          "digest = ''",
                          "hugging_face = 'o/n'"}) {
    INFO(bad);
    CHECK(code_of(policy_with(bad)) == ErrorCode::kTrustPolicy);
  }
  CHECK(code_of("version = 0\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("version = -1\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("expires = 'never'\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("[revoked]\nkeys = ['AA']\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("[revoked]\nserials = ['xyz']\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("sources = 1\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("[sources.'a b']\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("[sources.s]\npath = '/x'\n") == ErrorCode::kTrustPolicy);  // no signers
  CHECK(code_of("[sources.s]\nsigners = [{key = 'k'}]\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of("[sources.s\n") == ErrorCode::kTrustPolicy);
  CHECK(code_of(std::string(2u << 20, '#')) == ErrorCode::kTooLarge);
}

TEST_CASE("policy: a certificate signer needs both its authority and its identity") {
  const auto signer = [](const std::string& text) {
    return "[sources.s]\npath = '/x'\n[[sources.s.signers]]\n" + text + "\n";
  };
  CHECK(code_of(signer("ca = 'ca.pem'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("identity = 'a@b.c'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("ca = 'ca.pem'\nidentity = 'nobody'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("ca = 'ca.pem'\nidentity = 'a@b.c'\nkey = 'k'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("public_key = 'k.pub'")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("")) == ErrorCode::kTrustPolicy);
  CHECK(code_of(signer("key = 'k'\n[[sources.s.signers]]\nkey = 'k'")) == ErrorCode::kTrustPolicy);
}

TEST_CASE("policy: two sources of one pattern are refused, one pattern of two kinds is not") {
  const auto source = [](const std::string& name, const std::string& match) {
    return "[sources." + name + "]\n" + match + "\n[[sources." + name + ".signers]]\nkey = 'k'\n";
  };
  CHECK(code_of(source("a", "path = '/x'") + source("b", "path = '/x/'")) ==
        ErrorCode::kTrustPolicy);
  CHECK(code_of(source("a", "hugging_face = 'o/n'") +
                source("b", "hugging_face = ['p/n', 'o/n']")) == ErrorCode::kTrustPolicy);
  CHECK(parsed(source("a", "path = '/x'") + source("b", "path = '/x/y'")).sources.size() == 2);
  for (const char* bad : {"o", "o/", "/n", "o/n/m", "o n/m", "../n/m"}) {
    INFO(bad);
    CHECK(code_of(source("a", "hugging_face = '" + std::string(bad) + "'")) ==
          ErrorCode::kTrustPolicy);
  }
}

TEST_CASE("policy example: names every key, and parses") {
  std::ifstream stream(std::string(MLXGUARD_SOURCE_DIR) + "/trust.toml.example");
  std::stringstream text;
  text << stream.rdbuf();
  CHECK(parsed(text.str()).sources.size() == 3);
  for (const PolicyKey& key : policy_keys()) {
    if (key.name == "signers") continue;
    INFO(std::string(key.name));
    CHECK(text.str().find(std::string(key.name) + " = ") != std::string::npos);
  }
}

TEST_CASE("model version: order is by meaning") {
  const auto version = [](const char* text) { return ModelVersion::parse(text).value(); };
  CHECK(version("1.2") == version("1.2.0"));
  CHECK(version("1.10") > version("1.9"));
  CHECK(version("2") > version("1.99.99"));
  CHECK(version("2.0.0-rc.1") < version("2.0.0"));
  CHECK(version("2.0.0-rc.2") < version("2.0.0-rc.10"));
  CHECK(version("2.0.0-1") < version("2.0.0-alpha"));
  CHECK(version("2.0.0-alpha") < version("2.0.0-alpha.1"));
  for (const char* bad : {"", "v1", "1.", ".1", "1..2", "1.2.x", "1-", "1-a..b", "-1", "1 ",
                          "1.2+x", "99999999999999999999999", "1.2.3.4.5.6.7.8.9"}) {
    INFO(bad);
    CHECK(ModelVersion::parse(bad).error().code == ErrorCode::kTrustVersion);
  }
}

TEST_CASE("formats: a file is what its name says and what its bytes say") {
  using namespace std::string_literals;
  const auto of = [](std::string_view name, const std::string& head) {
    return formats_of(name, as_bytes(head));
  };
  using Formats = std::vector<std::string>;
  const std::string safetensors = "\x40\0\0\0\0\0\0\0{\"a\":1}"s;
  CHECK(of("a.safetensors", safetensors) == Formats{"safetensors"});
  CHECK(of("model.bin", safetensors) == Formats{"pickle", "safetensors"});
  CHECK(of("a.safetensors", "\x80\x04K\x01."s) == Formats{"pickle", "safetensors"});
  CHECK(of("weights.json", "\x80\x02}q\x01."s) == Formats{"json", "pickle"});
  CHECK(of("x.gguf", "GGUF\3\0\0\0"s) == Formats{"gguf"});
  CHECK(of("README", "GGUF\3\0\0\0"s) == Formats{"gguf"});
  CHECK(of("x.npz", "PK\3\4abc"s) == Formats{"npz"});
  CHECK(of("pytorch_model.bin", "PK\3\4abc"s) == Formats{"pickle"});
  CHECK(of("notes.txt", "PK\3\4abc"s) == Formats{"archive", "text"});
  CHECK(of("config.json", "{}") == Formats{"json"});
  CHECK(of("config.json", "\1\2\3"s) == Formats{"other"});
  CHECK(of("model.py", "import os\n") == Formats{"python"});
  CHECK(of("Model.PY", "import os\n") == Formats{"python"});
  CHECK(of("LICENSE", "Apache\n") == Formats{"text"});
  CHECK(of("run", "#!/bin/sh\n") == Formats{"script"});
  CHECK(of("a/b/lib.so", "\x7f"s + "ELF") == Formats{"native"});
  CHECK(of("tokenizer.model", "\n\x0e\x01\x02"s) == Formats{"tokenizer"});
  CHECK(of("blob", "\1\2\3"s) == Formats{"other"});
  CHECK(of("f.mlxfn", "\1\2\3"s) == Formats{"mlxfn"});
  CHECK(of("empty", "") == Formats{"text"});
}

TEST_CASE("policy edit: comments stay, the version grows, the rest is untouched") {
  const std::string text =
      "# ours\nversion = 3  # three\nmode = 'enforce'\n\n# first\n[sources.a]\npath = '/a'\n"
      "[[sources.a.signers]]\nkey = 'k'  # the key\n\n# second\n[sources.\"b.c\"]\npath = '/b'\n"
      "[[sources.\"b.c\".signers]]\nkey = 'k'\n# end\n";
  SourceRule source{.name = "new.one", .patterns = {"/x \"y\" \\z"}};
  source.formats = {"safetensors", "gguf"};
  source.min_version = ModelVersion::parse("1.2").value();
  source.window.not_after = WallTime(std::chrono::milliseconds(1'800'000'000'000));
  source.signers = {{.key = kKey}, {.authority = "/ca.pem", .identity = "email:a@b"}};
  const auto added = edit_policy(text, "/", {.add = source, .remark = "by hand"}).value();
  CHECK(added.find("version = 4  # three\n") != std::string::npos);
  CHECK(added.find("# first\n[sources.a]") != std::string::npos);
  CHECK(added.find("# by hand\n[sources.\"new.one\"]") != std::string::npos);
  CHECK(*parsed(added).find("new.one") == source);
  const auto removed = edit_policy(added, "/", {.remove = "a"}).value();
  CHECK(removed.find("sources.a") == std::string::npos);
  CHECK(removed.find("# second\n[sources.\"b.c\"]") != std::string::npos);
  CHECK(removed.find("version = 5  # three\n") != std::string::npos);
  const auto again = edit_policy(removed, "/", {.remove = "new.one"}).value();
  CHECK(parsed(again).sources.size() == 1);
  CHECK(edit_policy(text, "/", {.add = SourceRule{.name = "a"}}).error().code ==
        ErrorCode::kTrustSourceExists);
  CHECK(edit_policy(text, "/", {.remove = "zz"}).error().code == ErrorCode::kTrustSourceUnknown);
  const auto first = edit_policy("", "/", {.add = source}).value();
  CHECK(parsed(first).version == 1);
  const auto dated =
      edit_policy(first, "/", {.expires = WallTime(std::chrono::milliseconds(1'900'000'000'000))});
  CHECK(parsed(dated.value()).expires.has_value());
}

TEST_CASE("policy edit: what cannot be edited without changing more is left to a person") {
  const std::string inline_table =
      "version = 1\nsources = {a = {path = '/a', signers = [{key = 'k'}]}}\n";
  CHECK(edit_policy(inline_table, "/", {.remove = "a"}).error().code == ErrorCode::kTrustPolicy);
  // A header inside of a text is no header.
  const std::string tricky =
      "version = 1\n[sources.a]\npath = '/a'\n[[sources.a.signers]]\nkey = '''\n[sources.b]\n'''\n";
  CHECK(!edit_policy(tricky, "/", {.remove = "a"}).has_value());
}

}  // namespace mlxguard::trust
