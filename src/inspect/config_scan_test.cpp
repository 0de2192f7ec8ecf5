// SPDX-License-Identifier: Apache-2.0
#include "inspect/config_scan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "inspect/inspect_file.h"

namespace {

using namespace mlxguard::inspect;
using mlxguard::as_bytes;

FileReport inspected(const std::string& name, std::string_view text,
                     std::vector<std::string> siblings = {}) {
  return inspect_file(as_bytes(text), {name, std::move(siblings)});
}

std::vector<std::string> rules_of(const FileReport& report) {
  std::vector<std::string> ids;
  for (const Finding& finding : report.findings) ids.emplace_back(describe(finding.rule).id);
  return ids;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("config: an ordinary configuration has no findings") {
  CHECK(rules_of(inspected("config.json", R"({"model_type": "qwen2_5-vl", "auto_map": null,
    "trust_remote_code": false, "quantization": {"bits": 4}, "a": [1, 2]})")) == Ids{});
  // A vocabulary may have any word as a key.
  CHECK(
      rules_of(inspected("tokenizer.json", R"({"model": {"vocab": {"auto_map": 17, "model_file": 5,
    "trust_remote_code": 9, "_target_": 3, "chat_template": 4}, "merges": [["auto", "_map"]]}})")) ==
      Ids{});
}

TEST_CASE("config: keys that run code are findings at any depth") {
  CHECK(rules_of(inspected("config.json", R"({"model_file": "evil.py"})")) ==
        Ids{"config.model_file"});
  CHECK(rules_of(
            inspected("a/b/config.json", R"({"x": [{"auto_map": {"AutoModel": "m.Model"}}]})")) ==
        Ids{"config.auto_map"});
  CHECK(rules_of(inspected("tokenizer_config.json",
                           R"({"auto_map": {"AutoTokenizer": ["t.T", null]}})")) ==
        Ids{"config.auto_map"});
  CHECK(rules_of(inspected("config.json", R"({"trust_remote_code": true})")) ==
        Ids{"config.trust_remote_code"});
  CHECK(rules_of(inspected("config.json", R"({"custom_pipelines": {"p": {"impl": "p.P"}}})")) ==
        Ids{"config.custom_pipelines"});
  CHECK(rules_of(inspected("config.json", R"({"m": {"_target_": "my.module.f"}})")) ==
        Ids{"config.target"});
  CHECK(rules_of(inspected("config.json", R"({"layers": [{"class_name": "Lambda"}]})")) ==
        Ids{"config.lambda"});
  CHECK(rules_of(inspected("config.json", "{\"\\u0061uto_map\": \"m.Model\"}")) ==
        Ids{"config.auto_map"});
  CHECK(rules_of(inspected("config.json", R"({"model_type": "../evil"})")) == Ids{"config.module"});
  CHECK(rules_of(inspected("modules.json", R"([{"type": "my_module.Layer"}])")) ==
        Ids{"config.module"});
  CHECK(rules_of(inspected("modules.json",
                           R"([{"type": "sentence_transformers.models.Pooling"}])")) == Ids{});
  CHECK(rules_of(inspected("model_index.json", R"({"unet": ["my_unet", "Net"]})")) ==
        Ids{"config.module"});
  CHECK(rules_of(inspected("model_index.json", R"({"unet": ["diffusers", "UNet2D"]})")) == Ids{});
  CHECK(rules_of(inspected("model_index.json", R"({"_class_name": ["pipe.py", "Pipe"]})")) ==
        Ids{"config.custom_pipelines"});
}

TEST_CASE("config: how bad a key is depends on where it stands and what it names") {
  CHECK(inspected("config.json", R"({"model_file": "m"})").findings[0].severity ==
        Severity::kCritical);
  CHECK(inspected("other.json", R"({"a": {"model_file": "m"}})").findings[0].severity ==
        Severity::kMedium);
  CHECK(inspected("x.json", R"({"_target_": "os.system"})").findings[0].severity ==
        Severity::kCritical);
  CHECK(inspected("x.json", R"({"_target_": "a.b"})").findings[0].severity == Severity::kHigh);
  CHECK(
      inspected("config.json", R"({"auto_map": {"A": "org/repo--m.Model"}})").findings[0].reason ==
      "`auto_map` names modules of another repository");
}

TEST_CASE("config: a finding names its byte and line") {
  const FileReport report = inspected("config.json", "{\n  \"a\": 1,\n  \"auto_map\": \"m.M\"\n}");
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].line == 3);
  CHECK(report.findings[0].offset == 26);
  CHECK(report.findings[0].evidence == "m.M");
}

TEST_CASE("config: what a strict parser refuses is a finding, and is searched all the same") {
  CHECK(rules_of(inspected("config.json", R"({"auto_map": null, "auto_map": "m.M"})")) ==
        Ids{"config.invalid", "config.auto_map"});
  CHECK(rules_of(inspected("config.json", R"({"auto_map": "m.M",)")) ==
        Ids{"config.invalid", "config.auto_map"});
  CHECK(rules_of(inspected("config.json", R"({"x": NaN})")) == Ids{"config.invalid"});
  CHECK(rules_of(inspected("notes", R"({"auto_map": "m.M", })")) == Ids{"config.auto_map"});
  std::string deep;
  for (int i = 0; i < 400; ++i) deep += "{\"a\":";
  CHECK(!inspected("config.json", deep).gap.empty());
}

TEST_CASE("config: chat templates are found in every form they take") {
  CHECK(rules_of(inspected("tokenizer_config.json", R"({"chat_template": "{{ x.__class__ }}"})")) ==
        Ids{"template.attribute"});
  CHECK(rules_of(
            inspected("tokenizer_config.json",
                      R"({"chat_template": [{"name": "a", "template": "{% include 'x' %}"}]})")) ==
        Ids{"template.include"});
  CHECK(rules_of(inspected("processor_config.json",
                           R"({"chat_template": {"rag": "{{ x|attr(y) }}"}})")) ==
        Ids{"template.computed"});
  CHECK(rules_of(inspected("tokenizer_config.json",
                           "{\"chat_template\": \"{{ x.\\u005f_class__ }}\"}")) ==
        Ids{"template.attribute"});
  CHECK(rules_of(inspected("chat_template.jinja", "{{ x.__class__ }}")) ==
        Ids{"template.attribute"});
  CHECK(rules_of(inspected("additional_chat_templates/x.jinja", "{{ x.__class__ }}")) ==
        Ids{"template.attribute"});
}

TEST_CASE("config: YAML and its like are searched") {
  CHECK(rules_of(inspected("a.yaml", "x: !!python/object/apply:os.system ['id']\n")) ==
        Ids{"config.yaml_object"});
  CHECK(rules_of(inspected("a.yml", "m:\n  _target_: os.system\n")) == Ids{"config.target"});
  CHECK(rules_of(inspected("a.yaml", "m: {_target_: a.b, x: 1}\n")) == Ids{"config.target"});
  CHECK(rules_of(inspected("a.yaml", "trust_remote_code: yes # really\n")) ==
        Ids{"config.trust_remote_code"});
  CHECK(rules_of(inspected("a.toml", "trust_remote_code = true\n")) ==
        Ids{"config.trust_remote_code"});
  CHECK(rules_of(inspected("a.yaml", "\"auto_map\":\n  AutoModel: m.M\n")) ==
        Ids{"config.auto_map"});
  CHECK(rules_of(inspected("a.yaml",
                           "# auto_map: x\ntrust_remote_code: false\nno_auto_map: 1\n")) == Ids{});
  const FileReport report = inspected("a.yaml", "a: 1\n  _target_: a.b\n");
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].line == 2);
  CHECK(report.findings[0].offset == 7);
}

TEST_CASE("config: a weights index may name files of its folder only") {
  const auto index = [](std::string_view name) {
    return R"({"metadata": {}, "weight_map": {"a": ")" + std::string(name) + "\"}}";
  };
  const std::vector<std::string> siblings{"model-1.safetensors", "model.safetensors.index.json"};
  const auto ids = [&](std::string_view name) {
    return rules_of(inspected("model.safetensors.index.json", index(name), siblings));
  };
  CHECK(ids("model-1.safetensors") == Ids{});
  for (const std::string_view name :
       {"../x.safetensors", "/etc/x", "a\\\\..\\\\b", "https://x/y", "C:/x", "~/x", "a/../../b"}) {
    CAPTURE(name);
    CHECK(ids(name) == Ids{"weights.index"});
  }
  const FileReport absent =
      inspected("model.safetensors.index.json", index("model-2.safetensors"), siblings);
  CHECK(rules_of(absent) == Ids{"weights.index"});
  CHECK(absent.findings[0].severity == Severity::kMedium);
}

TEST_CASE("config: YAML hides neither tags nor keys in escapes, directives or explicit keys") {
  const auto yaml = [](std::string_view text) { return rules_of(inspected("c.yaml", text)); };
  CHECK(yaml("a: !!pyth%6Fn/object/apply:os.system [id]\n") == Ids{"config.yaml_object"});
  CHECK(yaml("a: !<tag:yaml.org,2002:python/object/apply:os.system> [id]\n") ==
        Ids{"config.yaml_object"});
  CHECK(yaml("%TAG !p! tag:yaml.org,2002:pyth\n---\na: !p!on/object/apply:os.system [id]\n") ==
        Ids{"config.yaml_object"});
  CHECK(yaml("\"_t\\x61rget_\": os.system\n") == Ids{"config.target"});
  CHECK(yaml("\"\\u005ftarget_\": os.system\n") == Ids{"config.target"});
  CHECK(yaml("? auto_map\n: {AutoModel: m.M}\n") == Ids{"config.auto_map"});
  CHECK(yaml("a: 100%\nb: \"\\xzz\"\n# %TAG\n") == Ids{});
}

TEST_CASE("config: what is true to Python is true, and what PEFT imports is told") {
  CHECK(rules_of(inspected("config.json", R"({"trust_remote_code": "false"})")) ==
        Ids{"config.trust_remote_code"});
  CHECK(rules_of(inspected("README.md", "model = load(x, trust_remote_code=False)\n")) == Ids{});
  CHECK(rules_of(inspected("adapter_config.json",
                           R"({"auto_mapping": {"parent_library": "evil.models"}})")) ==
        Ids{"config.module"});
  CHECK(rules_of(inspected(
            "adapter_config.json",
            R"({"auto_mapping": {"parent_library": "transformers.models.llama"}})")) == Ids{});
}
