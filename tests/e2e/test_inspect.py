# SPDX-License-Identifier: Apache-2.0
"""`mlxguard inspect` as its users meet it: what it says of good and bad models, for people, programs and SARIF."""
import json
import os
import pathlib
import socket
import struct

import jsonschema
import pytest


def safetensors(tensors=None) -> bytes:
    header = json.dumps(tensors or {}).encode()
    header += b" " * (-len(header) % 8)
    size = max([entry["data_offsets"][1] for entry in (tensors or {}).values()], default=0)
    return struct.pack("<Q", len(header)) + header + bytes(size)


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "model"
    folder.mkdir()
    tensors = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "README.md").write_text("# A model\n")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    return folder


def found(cli, model, exit_code=1, *args) -> list[tuple[str, str, str]]:
    report = cli.json("inspect", model, *args, exit_code=exit_code)
    return sorted((f["rule"], f["severity"], f["file"]) for f in report["findings"])


def only(cli, model, rule, severity, file):
    assert found(cli, model) == [(rule, severity, file)]


def test_a_good_model_is_clean(cli, model):
    report = cli.json("inspect", model)
    assert report["status"] == "clean" and report["complete"] is True
    assert report["files"] == 4 and report["findings"] == [] and report["not_inspected"] == []
    assert {f["format"] for f in report["inspected"]} == {"safetensors", "json", "text", "template"}
    assert report["totals"] == {"critical": 0, "high": 0, "medium": 0, "low": 0, "info": 0}
    told = cli.ok("inspect", model).stdout
    assert told.startswith("clean  ") and "nothing found" in told


def test_the_real_model_is_clean(cli, minilm_source):
    report = cli.json("inspect", minilm_source)
    assert report["status"] == "clean", report["findings"]


def test_a_single_file_is_inspected(cli, model):
    assert cli.json("inspect", model / "model.safetensors")["status"] == "clean"
    (model / "x.json").write_text('{"auto_map": {"A": "m.M"}}')
    only(cli, model / "x.json", "config.auto_map", "high", "x.json")


@pytest.mark.parametrize("name, content, rule, severity", [
    ("config.json", b'{"model_file": "m.py"}', "config.model_file", "critical"),
    ("sub/config.json", b'{"a": {"auto_map": {"AutoModel": "m.M"}}}', "config.auto_map", "high"),
    ("tokenizer_config.json", b'{"trust_remote_code": true}', "config.trust_remote_code", "high"),
    ("config.json", b'{"custom_pipelines": {"p": {"impl": "p.P"}}}', "config.custom_pipelines", "high"),
    ("conf.yaml", b"a:\n  _target_: subprocess.run\n", "config.target", "critical"),
    ("conf.yaml", b"a: !!python/object/apply:os.system [id]\n", "config.yaml_object", "critical"),
    ("tokenizer_config.json", b'{"chat_template": "{{ x.__class__ }}"}', "template.attribute", "critical"),
    ("chat_template.jinja", b"{% include '/etc/passwd' %}", "template.include", "high"),
    ("chat_template.jinja", b"{% for i in range(10**9) %}{% endfor %}", "template.loop", "medium"),
    ("chat_template.jinja", b"{{ x|attr(y) }}", "template.computed", "high"),
    ("modeling_evil.py", b"import os\n", "python.file", "medium"),
    ("__pycache__/m.cpython-311.pyc", b"\xa7\x0d\r\n" + bytes(32), "python.bytecode", "high"),
    ("run.sh", b"rm -rf /\n", "file.script", "high"),
    ("run", b"#!/bin/sh\nid\n", "file.script", "high"),
    ("lib/liba.so", b"\x7fELF" + bytes(60), "file.executable", "high"),
    ("a.dylib", b"\xcf\xfa\xed\xfe" + bytes(60), "file.executable", "high"),
    ("a.exe", b"MZ" + bytes(0x3a) + struct.pack("<I", 0x40) + b"PE\0\0" + bytes(20), "file.executable", "high"),
    ("bad.safetensors", struct.pack("<Q", 1 << 30) + b"{}", "safetensors.structure", "high"),
    ("m.safetensors.index.json", b'{"weight_map": {"a": "../other/x.safetensors"}}', "weights.index", "high"),
    ("config.json", b'{"a": 1, "a": 2}', "config.invalid", "medium"),
])
def test_each_danger_is_named(cli, model, name, content, rule, severity):
    file = model / name
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(content)
    only(cli, model, rule, severity, name)


def test_content_counts_and_not_the_name(cli, model):
    (model / "liba.safetensors").write_bytes(b"\x7fELF" + bytes(60))
    assert found(cli, model) == [("file.disguised", "high", "liba.safetensors"),
                                 ("file.executable", "high", "liba.safetensors")]


def test_links_modes_and_special_files(cli, model, tmp_path):
    (tmp_path / "secret").write_text("x")
    os.symlink("config.json", model / "inside")
    os.symlink("/etc/passwd", model / "outside")
    os.symlink("../secret", model / "up")
    os.symlink("nothing", model / "nowhere")
    os.mkfifo(model / "fifo")
    os.link(tmp_path / "secret", model / "hard")
    (model / "README.md").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(model)
        server.bind("socket")
        os.chdir(before)
    assert found(cli, model) == [
        ("file.executable_bit", "low", "README.md"), ("file.hard_link", "low", "hard"),
        ("file.special", "high", "fifo"), ("file.special", "high", "socket"),
        ("inspect.incomplete", "high", "outside"), ("inspect.incomplete", "high", "up"),
        ("link.dangling", "medium", "nowhere"), ("link.inside", "low", "inside"),
        ("link.outside", "high", "outside"), ("link.outside", "high", "up")]
    (model / "README.md").chmod(0o4644)
    assert ("file.setuid", "high", "README.md") in found(cli, model)


def test_names_and_depth(cli, model):
    (model / "a\u202etxt.json").write_text("{}")
    deep = model.joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    (deep / "x.txt").write_text("x")
    rules = found(cli, model)
    assert ("file.name", "medium", "a\\xe2\\x80\\xaetxt.json") in rules
    assert [rule for rule, _, _ in rules] == ["file.name", "folder.depth"]


def test_what_cannot_be_told_is_never_clean(cli, model):
    (model / "strange.bin").write_bytes(b"\x00\x01\x02\xff" * 10)
    report = cli.json("inspect", model, "--fail-on", "critical", exit_code=1)
    assert report["status"] == "incomplete" and report["complete"] is False
    assert [gap["file"] for gap in report["not_inspected"]] == ["strange.bin"]
    told = cli.run("inspect", model)
    assert told.returncode == 1 and "cannot be called clean" in told.stdout


def test_fail_on_decides_the_exit_status(cli, model):
    (model / "modeling.py").write_text("x = 1\n")
    for severity, status in [("info", 1), ("low", 1), ("medium", 1), ("high", 0), ("critical", 0)]:
        assert cli.run("inspect", model, "--fail-on", severity).returncode == status
    assert cli.run("inspect", model, "--fail-on", "odd").returncode == 2
    assert cli.run("inspect", model / "absent").returncode == 3


def test_offsets_lines_and_evidence(cli, model):
    (model / "config.json").write_text('{\n  "auto_map": "m.M"\n}')
    (finding,) = cli.json("inspect", model, exit_code=1)["findings"]
    assert (finding["line"], finding["offset"], finding["evidence"]) == (2, 16, "m.M")
    assert finding["reason"] and finding["meaning"] and finding["help"]
    told = cli.run("inspect", model).stdout
    assert "high      config.json:2" in told and "[config.auto_map]" in told


def test_the_event_log_has_the_inspection(cli, model):
    (model / "modeling.py").write_text("x = 1\n")
    found(cli, model)
    (event,) = cli.events("--type", "model.inspected")
    fields = event["record"]["unmapped"]
    assert (fields["files"], fields["medium"], fields["worst"]) == (5, 1, "python.file")


def check_sarif_shape(sarif):
    """The members that SARIF 2.1.0 (sections 3.13, 3.14, 3.19, 3.27) demands, and no region it forbids."""
    assert sarif["version"] == "2.1.0" and sarif["$schema"].endswith("sarif-2.1.0.json")
    for run in sarif["runs"]:
        ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(ids) == len(set(ids)) and run["tool"]["driver"]["name"] == "mlxguard"
        for result in run["results"]:
            assert result["message"]["text"] and result["level"] in ("error", "warning", "note", "none")
            place = result["locations"][0]["physicalLocation"]
            assert place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
            assert place.get("region", {"startLine": 1}).get("startLine", 1) >= 1


def test_sarif_is_valid_and_says_the_same(cli, model, tmp_path):
    (model / "config.json").write_text('{\n  "auto_map": "m.M"\n}')
    (model / "a b#ü.py").write_text("x = 1\n")
    (model / "strange.bin").write_bytes(b"\x00\x01\x02\xff" * 10)
    file = tmp_path / "out.sarif"
    report = cli.json("inspect", model, "--sarif", file, exit_code=1)
    sarif = json.loads(file.read_text())
    if "MLXGUARD_SARIF_SCHEMA" in os.environ:  # OASIS's schema; no package of ours carries it
        schema = json.loads(pathlib.Path(os.environ["MLXGUARD_SARIF_SCHEMA"]).read_text())
        jsonschema.validators.validator_for(schema)(schema).validate(sarif)
    check_sarif_shape(sarif)
    (run,) = sarif["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [r["ruleId"] for r in run["results"]] == [f["rule"] for f in report["findings"]]
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in run["results"])
    assert run["invocations"][0]["executionSuccessful"] is False
    places = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]}
    assert places == {"config.json", "a%20b%23%C3%BC.py", "strange.bin"}
    (auto_map,) = [r for r in run["results"] if r["ruleId"] == "config.auto_map"]
    assert auto_map["locations"][0]["physicalLocation"]["region"] == {"startLine": 2, "byteOffset": 16}
    alone = cli.run("inspect", model, "--sarif", "-")
    assert alone.returncode == 1 and json.loads(alone.stdout) == sarif
