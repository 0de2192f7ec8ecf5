# SPDX-License-Identifier: Apache-2.0
"""`mlxguard inspect` as its users meet it: what it says of good and bad models, for people, programs and SARIF."""
import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import jsonschema
import numpy
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
    assert (fields["files"], fields["by_severity"], fields["worst"]) == (5, "medium=1", "python.file")


def test_the_members_of_the_report_are_stable(cli, model):
    """Programs read these names: one that goes away or means something else breaks them."""
    (model / "a.zip").write_bytes(zipped({"x.pkl": pickle.dumps(Evil())}))
    (model / "config.json").write_text('{"auto_map": "m.M"}')
    (model / "strange.bin").write_bytes(b"\x00\x01\x02\xff" * 10)
    report = cli.json("inspect", model, exit_code=1)
    assert set(report) == {"status", "model", "complete", "files", "bytes", "totals", "findings", "inspected", "not_inspected"}
    assert {frozenset(one) for one in report["inspected"]} == {frozenset({"file", "format", "bytes"})}
    assert [set(one) for one in report["not_inspected"]] == [{"file", "why"}]
    always = {"rule", "severity", "file", "reason", "meaning", "help"}
    for finding in report["findings"]:
        assert always <= set(finding) <= always | {"inside", "offset", "line", "evidence"}
        assert all(isinstance(finding[key], str) and finding[key] for key in always)
    assert all("offset" in f or f["rule"] in ("inspect.incomplete", "file.archive") for f in report["findings"])


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


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/mlxguard-inspect-was-executed",)


def zipped(entries: dict[str, bytes], method=zipfile.ZIP_STORED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return memory.getvalue()


def tarred(entries: list[tuple[tarfile.TarInfo, bytes]], mode="w") -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return memory.getvalue()


def rules_in(cli, model, exit_code=1) -> set[str]:
    return {rule for rule, _, _ in found(cli, model, exit_code)}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.pkl", "pytorch_model.bin", "noname", "model.safetensors"])
def test_pickles_of_every_protocol_are_read_under_any_name(cli, model, name, protocol):
    (model / name).write_bytes(pickle.dumps({"w": [1, 2], "e": Evil()}, protocol))
    report = cli.json("inspect", model, exit_code=1)
    (code,) = [f for f in report["findings"] if f["rule"] == "pickle.code"]
    assert code["evidence"] == f"{os.system.__module__}.system" and code["severity"] == "critical"
    assert report["complete"] and not os.path.exists("/tmp/mlxguard-inspect-was-executed")


def test_harmless_and_unknown_pickles_are_told_apart(cli, model):
    (model / "a.pkl").write_bytes(pickle.dumps({"a": [1, 2.0, "x"], "s": {1}}))
    assert found(cli, model) == [("pickle.file", "medium", "a.pkl")]
    (model / "a.pkl").write_bytes(pickle.dumps(pathlib.PurePosixPath) + pickle.dumps(json.JSONDecoder))
    assert rules_in(cli, model) == {"pickle.import", "pickle.file"}
    (model / "a.pkl").write_bytes(b"\x80\x04}")
    assert rules_in(cli, model) == {"pickle.invalid", "pickle.file"}


@pytest.mark.parametrize("front", [b"PK\x03\x04\n", b"C\x07\x00\x00\x00\x00\x00\x00{", b"GGUFaaaaa", b"F1\n"])
def test_a_pickle_that_is_something_else_too_is_read(cli, model, front):
    (model / "model.bin").write_bytes(front + b"cos\nsystem\n(S'id'\ntR.")
    assert "pickle.code" in rules_in(cli, model)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_checkpoints_of_pytorch_are_opened(cli, model, method):
    (model / "model.pt").write_bytes(zipped({"model/data.pkl": pickle.dumps(Evil()), "model/data/0": bytes(64),
                                             "model/version": b"3\n", "model/byteorder": b"little"}, method))
    report = cli.json("inspect", model, exit_code=1)
    assert {f["rule"] for f in report["findings"]} == {"pickle.code", "pickle.file"}
    assert {f["inside"] for f in report["findings"]} == {"model/data.pkl"} and report["complete"]


def test_arrays_of_numpy_are_opened(cli, model):
    numpy.save(model / "a.npy", numpy.ones((2, 3), dtype=numpy.float32))
    numpy.savez(model / "b.npz", a=numpy.ones(3), b=numpy.arange(3))
    numpy.savez_compressed(model / "c.npz", a=numpy.ones(3, dtype=numpy.float16))
    assert cli.json("inspect", model)["status"] == "clean"
    numpy.save(model / "o.npy", numpy.array([Evil()], dtype=object), allow_pickle=True)
    numpy.savez(model / "p.npz", a=numpy.array([Evil()], dtype=object))
    rules = found(cli, model)
    for file in ("o.npy", "p.npz"):
        assert ("npy.object", "critical", file) in rules and ("pickle.code", "critical", file) in rules


@pytest.mark.parametrize("header", [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 2), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\0",
    b"{'descr': 'evil', 'fortran_order': False, 'shape': (3,), }",
    b"__import__('os')",
])
def test_malformed_arrays_are_named(cli, model, header):
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(12)
    (model / "a.npy").write_bytes(content)
    only(cli, model, "npy.structure", "high", "a.npy")
    (model / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + header)
    only(cli, model, "npy.structure", "high", "a.npy")


@pytest.mark.parametrize("dtype, value", [("F32", b"\0\0\xc0\x7f"), ("F32", b"\0\0\x80\xff"), ("F16", b"\0\x7c"),
                                          ("BF16", b"\xc0\x7f")])
def test_nan_and_infinity_are_named(cli, model, dtype, value):
    tensors = {"w": {"dtype": dtype, "shape": [5], "data_offsets": [0, 5 * len(value)]}}
    content = bytearray(safetensors(tensors))
    (model / "model.safetensors").write_bytes(content)
    assert cli.json("inspect", model)["status"] == "clean"
    content[-len(value):] = value
    (model / "model.safetensors").write_bytes(content)
    (finding,) = cli.json("inspect", model, exit_code=1)["findings"]
    assert (finding["rule"], finding["evidence"]) == ("weights.not_finite", "w")
    assert finding["reason"].startswith("1 values")
    (model / "model.safetensors").unlink()
    numpy.save(model / "w.npy", numpy.array([1, numpy.nan, numpy.inf]))
    (finding,) = cli.json("inspect", model, exit_code=1)["findings"]
    assert finding["rule"] == "weights.not_finite" and finding["reason"].startswith("2 values")


def test_archives_are_opened_and_judged(cli, model):
    (model / "a.zip").write_bytes(zipped({"m.py": b"import os\n", "config.json": b'{"auto_map": "m.M"}'}))
    assert rules_in(cli, model) == {"file.archive", "python.file", "config.auto_map"}
    inner = zipped({"x.pkl": pickle.dumps(Evil())})
    (model / "a.zip").write_bytes(zipped({"b.zip": inner}, zipfile.ZIP_DEFLATED))
    report = cli.json("inspect", model, exit_code=1)
    assert "b.zip!x.pkl" in {f.get("inside") for f in report["findings"] if f["rule"] == "pickle.code"}
    (model / "a.zip").unlink()
    (model / "a.tar.gz").write_bytes(gzip.compress(tarred([(tarfile.TarInfo("x.pkl"), pickle.dumps(Evil()))])))
    assert "pickle.code" in rules_in(cli, model)


def link(kind, name="x", target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("content", [
    zipped({"../evil": b"x"}), zipped({"/etc/evil": b"x"}), zipped({"a\\..\\b": b"x"}),
    zipped({"a.txt": b"x"})[:-5], zipped({"a.txt": b"hello"}).replace(b"a.txt", b"b.txt", 1),
    zipped({"a.txt": b"hello" * 100}, zipfile.ZIP_DEFLATED).replace(struct.pack("<I", 500), struct.pack("<I", 5)),
    tarred([(tarfile.TarInfo("../evil"), b"x")]), tarred([(tarfile.TarInfo("/evil"), b"x")]),
    tarred([(link(tarfile.SYMTYPE), b"")]), tarred([(link(tarfile.LNKTYPE), b"")]),
    tarred([(link(tarfile.CHRTYPE), b"")]),
], ids=["up", "absolute", "backslash", "cut", "two names", "size lies", "tar up", "tar absolute", "tar link",
        "tar hard link", "tar device"])
def test_archives_that_attack_are_named(cli, model, content):
    (model / "a.zip").write_bytes(content)
    assert "archive.unsafe" in rules_in(cli, model)


def test_a_bomb_is_not_unpacked(cli, model):
    (model / "a.zip").write_bytes(zipped({"zeros": bytes(300 << 20)}, zipfile.ZIP_DEFLATED))
    report = cli.json("inspect", model, exit_code=1)
    assert not report["complete"] and "more than is read" in report["not_inspected"][0]["why"]


def test_foreign_formats_are_named_and_not_called_inspected(cli, model):
    for content in (b"\x08\x07\xff\x00" * 10, b"\x08\x07\x12\x04"):  # the second reads like text
        (model / "model.onnx").write_bytes(content)
        assert rules_in(cli, model) == {"file.foreign", "inspect.incomplete"}


def gguf(keys=(), tensors=(), data=b"", version=3, tensor_count=None, key_count=None) -> bytes:
    """`keys`: (name, text); `tensors`: (name, dims, type, offset)."""
    def text(value):
        return struct.pack("<Q", len(value)) + value
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if tensor_count is None else tensor_count,
                                len(keys) if key_count is None else key_count)
    for name, value in keys:
        out += text(name) + struct.pack("<I", 8) + text(value)
    for name, dims, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        out += struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % 32) + data


def test_gguf_is_read_with_its_template(cli, model):
    tensors = [(b"a", [4], 0, 0), (b"b", [32, 2], 8, 32)]
    (model / "m.gguf").write_bytes(gguf([(b"tokenizer.chat_template", b"{{ m }}")], tensors, bytes(100)))
    assert cli.json("inspect", model)["status"] == "clean"
    (model / "m.gguf").write_bytes(gguf([(b"tokenizer.chat_template", b"{{ x.__class__ }}")], tensors, bytes(100)))
    only(cli, model, "template.attribute", "critical", "m.gguf")


@pytest.mark.parametrize("content", [
    gguf(version=1), gguf(tensor_count=1 << 60), gguf(key_count=1 << 60), gguf(tensor_count=1),
    gguf(tensors=[(b"a", [1 << 20], 0, 0)], data=bytes(64)), gguf(tensors=[(b"a", [4], 0, 1 << 62)], data=bytes(64)),
    gguf(tensors=[(b"a", [1 << 40, 1 << 40], 0, 0)]), gguf(tensors=[(b"a", [2**31 - 1] * 4, 0, 0)], data=bytes(64)),
    gguf(tensors=[(b"a", [1] * 8, 0, 0)], data=bytes(64)), gguf(tensors=[(b"a", [4], 99, 0)], data=bytes(64)),
    gguf(tensors=[(b"a", [4], 8, 0)], data=bytes(64)), gguf(tensors=[(b"a", [4], 0, 3)], data=bytes(64)),
    gguf(tensors=[(b"a", [4], 0, 0), (b"b", [4], 0, 0)], data=bytes(64)),
    gguf(tensors=[(b"a", [4], 0, 0), (b"a", [4], 0, 32)], data=bytes(64)),
    gguf([(b"k", b"v"), (b"k", b"v")]), gguf([(b"k", b"v")])[:40],
], ids=["version", "tensor count", "key count", "cut", "behind the file", "offset", "dimension", "wraps", "rank",
        "type", "blocks", "alignment", "overlap", "names", "keys", "text cut"])
def test_malformed_gguf_is_named(cli, model, content):
    (model / "m.gguf").write_bytes(content)
    only(cli, model, "gguf.structure", "high", "m.gguf")


@pytest.mark.parametrize("front", [b"hello\n", b"\x89PNG\r\n\x1a\n" + bytes(40), struct.pack("<Q", 2) + b"{}"], ids=["text", "image", "safetensors"])
def test_an_archive_behind_something_else_is_opened(cli, model, front):
    (model / "logo.png").write_bytes(front + zipped({"x.pkl": pickle.dumps(Evil())}))
    report = cli.json("inspect", model, exit_code=1)
    assert {"archive.unsafe", "pickle.code"} <= {f["rule"] for f in report["findings"]}
    (archive,) = [f for f in report["findings"] if f["rule"] == "archive.unsafe"]
    assert archive["offset"] == len(front)
    # Offsets that count what stands before are as good to readers.
    with zipfile.ZipFile(model / "logo.png", "a") as appended:
        appended.writestr("y.pkl", pickle.dumps(Evil()))
    assert {"archive.unsafe", "pickle.code"} <= rules_in(cli, model)


def test_streams_behind_the_first_and_other_wrappers_are_opened(cli, model):
    evil = pickle.dumps(Evil(), 0)
    (model / "a.gz").write_bytes(gzip.compress(evil[:5]) + bytes(8) + gzip.compress(evil[5:]))
    assert "pickle.code" in rules_in(cli, model)
    (model / "a.gz").write_bytes(gzip.compress(evil) + b"more")
    report = cli.json("inspect", model, exit_code=1)
    assert "pickle.code" in {f["rule"] for f in report["findings"]} and not report["complete"]
    (model / "a.gz").unlink()
    (model / "a.joblib").write_bytes(zlib.compress(evil))
    assert "pickle.code" in rules_in(cli, model)
    for packed in (bz2.compress(evil), lzma.compress(evil)):
        (model / "a.joblib").write_bytes(packed)
        assert not cli.json("inspect", model, exit_code=1)["complete"]


def test_only_numbered_storages_of_a_checkpoint_are_left_unread(cli, model):
    (model / "model.pt").write_bytes(zipped({"m/data.pkl": pickle.dumps({}), "m/data/0": bytes(8), "m/data/x.py": b"import os\n"}))
    assert rules_in(cli, model) == {"pickle.file", "python.file"}
    (model / "model.pt").write_bytes(zipped({"m/data.pkl": pickle.dumps({}), "m/data/0": pickle.dumps(Evil())}))
    assert "pickle.code" in rules_in(cli, model)


def test_entries_of_tar_of_any_type_are_read(cli, model):
    odd = tarfile.TarInfo("x.pkl")
    odd.type = b"Z"
    odd.size = len(pickle.dumps(Evil()))
    out = odd.tobuf() + pickle.dumps(Evil()) + bytes(-odd.size % 512)
    (model / "a.tar").write_bytes(out + bytes(1024))
    assert "pickle.code" in rules_in(cli, model)
    (model / "a.tar").write_bytes(tarred([(tarfile.TarInfo("a.txt"), b"x")]) + tarred([(tarfile.TarInfo("b.txt"), b"x")]))
    assert "archive.unsafe" in rules_in(cli, model)


@pytest.mark.parametrize("content, kind", [
    (numpy.array([1, numpy.nan], dtype=">f4"), "npy"), (numpy.array([1, numpy.inf], dtype=">f8"), "npy"), (numpy.array([1, numpy.nan], dtype=">f2"), "npy"),
    (numpy.array([1, complex(0, numpy.inf)], dtype="<c16"), "npy"),
    (struct.pack("<ff", 1, float("nan")), 0), (b"\0\0\0\x7c", 1), (b"\0\0\x80\x7f", 30), (struct.pack("<dd", 1, float("inf")), 28),
])
def test_nan_and_infinity_are_named_in_every_type_and_order(cli, model, content, kind):
    if kind == "npy":
        numpy.save(model / "w.npy", content)
    else:
        (model / "w.gguf").write_bytes(gguf(tensors=[(b"w", [2], kind, 0)], data=content))
    (finding,) = cli.json("inspect", model, exit_code=1)["findings"]
    assert finding["rule"] == "weights.not_finite" and finding["reason"].startswith("1 values")


def test_records_and_dates_of_numpy_are_told_from_objects(cli, model):
    numpy.save(model / "a.npy", numpy.zeros(2, dtype="M8[ns]"))
    assert cli.json("inspect", model)["status"] == "clean"
    numpy.save(model / "a.npy", numpy.zeros(2, dtype=[("O", "<f4")]))
    assert rules_in(cli, model) == {"inspect.incomplete"}
    numpy.save(model / "a.npy", numpy.zeros(2, dtype=[("a", "<f4"), ("b", "O")]), allow_pickle=True)
    assert {"npy.object", "pickle.file"} <= rules_in(cli, model)
    # numpy takes the last of two keys; a reader that takes the first sees plain numbers.
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'descr': '|O', }\n"
    (model / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle.dumps(Evil()))
    assert {"npy.structure", "pickle.code"} <= rules_in(cli, model)


def test_every_finding_of_structure_names_its_place(cli, model):
    (model / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x02\x00{}")
    (model / "b.gguf").write_bytes(gguf(tensors=[(b"a", [4], 99, 0)], data=bytes(64)))
    (model / "c.mlxfn").write_bytes(struct.pack("<Q", 6) + b"0.32.4" + b"\xff" * 40)
    (model / "d.safetensors").write_bytes(struct.pack("<Q", 1 << 30) + b"{}")
    places = {f["file"]: f.get("offset") for f in cli.json("inspect", model, exit_code=1)["findings"]}
    assert set(places) == {"a.npy", "b.gguf", "c.mlxfn", "d.safetensors"} and None not in places.values()
    assert places["b.gguf"] > 24


EXPORTS = """
import sys, mlx.core as mx, mlx.nn as nn
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 4))
encoder, norm, rope, quantized = nn.TransformerEncoderLayer(32, 4), nn.RMSNorm(8), nn.RoPE(8), nn.QuantizedLinear(64, 64)
mx.eval(model.parameters(), encoder.parameters(), norm.parameters(), quantized.parameters())
def many(x):
    y = rope(norm(x))
    a, b = mx.split(y, 2, axis=-1)
    return [mx.concatenate([mx.softmax(a), mx.sort(b)], axis=-1), mx.argmax(y), mx.take(y, mx.array([0, 1]), axis=1), mx.pad(y, 1), mx.cumsum(y),
            mx.fast.scaled_dot_product_attention(y, y, y, scale=1.0), y.astype(mx.float16), mx.logsumexp(y), y[:, 1:3], mx.divmod(a, b + 1)[0]]
mx.export_function(sys.argv[1] + "/mlp.mlxfn", lambda x: model(x), mx.zeros((4, 16)))
mx.export_function(sys.argv[1] + "/shapeless.mlxfn", lambda x: model(x), mx.zeros((4, 16)), shapeless=True)
mx.export_function(sys.argv[1] + "/encoder.mlxfn", lambda x: encoder(x, None), mx.zeros((1, 5, 32)))
mx.export_function(sys.argv[1] + "/quantized.mlxfn", lambda x: quantized(x), mx.zeros((2, 64)))
mx.export_function(sys.argv[1] + "/many.mlxfn", many, mx.zeros((1, 4, 6, 8)))
with mx.exporter(sys.argv[1] + "/two.mlxfn", lambda x: model(x)) as each:
    each(mx.zeros((1, 16)))
    each(mx.zeros((2, 16)))
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Functions that the real mlx exported, by name."""
    folder = tmp_path_factory.mktemp("exports")
    subprocess.run([sys.executable, "-c", EXPORTS, folder], check=True, capture_output=True, timeout=120)
    return {file.stem: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("name", ["mlp", "encoder", "quantized", "many", "two"])
def test_functions_that_mlx_exported_are_read_to_their_end(cli, model, exports, name):
    (model / "f.mlxfn").write_bytes(exports[name])
    report = cli.json("inspect", model)
    assert (report["status"], report["complete"]) == ("clean", True)


def test_a_shapeless_function_is_named(cli, model, exports):
    (model / "f.mlxfn").write_bytes(exports["shapeless"])
    only(cli, model, "mlxfn.shapeless", "medium", "f.mlxfn")


def changed(data, find, replacement, nth=0):
    at = -1
    for _ in range(nth + 1):
        at = data.index(find, at + 1)
    return data[:at] + replacement + data[at + len(find):]


@pytest.mark.parametrize("attack", [
    lambda data: data[:-1],
    lambda data: data[:60],
    lambda data: data + b"\0",
    lambda data: struct.pack("<Q", 1 << 62) + data[8:],
    lambda data: changed(data, b"AddMM", b"AddMN"),
    lambda data: changed(data, struct.pack("<ii", 4, 16), struct.pack("<ii", -4, 16)),
    lambda data: changed(data, struct.pack("<Qii", 2, 4, 16), struct.pack("<Qii", 1 << 40, 4, 16)),
    lambda data: changed(data, struct.pack("<ii", 4, 16) + struct.pack("<iB", 10, 4), struct.pack("<ii", 4, 16) + struct.pack("<iB", 99, 4)),
    lambda data: changed(data, struct.pack("<ii", 32, 16), struct.pack("<ii", 2**31 - 1, 2**31 - 1)),
], ids=["cut", "cut in the header", "longer", "text", "operation", "negative", "rank", "type", "behind the file"])
def test_malformed_functions_are_named(cli, model, exports, attack):
    (model / "f.mlxfn").write_bytes(attack(exports["mlp"]))
    only(cli, model, "mlxfn.structure", "high", "f.mlxfn")
