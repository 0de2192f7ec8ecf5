# SPDX-License-Identifier: Apache-2.0
"""SBOMs that mlxguard writes are valid for others, and those of others are read or refused as they should be."""
import hashlib
import json

import pytest
from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry, Resource
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

import conftest
from wheel_maker import environment, repack

DATA = conftest.SHARED / "data/cyclonedx"
STAMP = ("--timestamp", "2024-01-02T03:04:05Z")


@pytest.fixture(scope="module")
def cyclonedx():
    documents = {p.name: json.loads(p.read_text()) for p in (DATA / "schema").glob("*.json")}
    registry = Registry().with_resources(
        [(name, Resource.from_contents(d)) for name, d in documents.items()] +
        [(d["$id"], Resource.from_contents(d)) for d in documents.values() if "$id" in d])
    return Draft7Validator(documents["bom-1.6.schema.json"], registry=registry, format_checker=FormatChecker())


@pytest.fixture
def signed_model(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    cli.sign(folder)
    return folder


@pytest.fixture
def targets(cli, tmp_path):
    """An environment, a wheel with native parts, a lock, and mlxguard itself."""
    env = environment(tmp_path / "env", [("a", "1.0", ["b"]), ("b", "2.0", ["a"])])
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"a==1.0 --hash=sha256:{'a' * 64}\nc>=1\n")
    wheel = repack(conftest.site_packages(), "mlx-cpu", "py3-none-manylinux_2_35_x86_64", tmp_path)
    return [[conftest.ROOT / ".venv"], [env], [lock], [wheel], ["--self"]]


def test_cyclonedx_is_valid_by_its_schema(cli, cyclonedx, targets):
    for target in targets:
        bom = json.loads(cli.ok("deps", "inventory", *target, "--cyclonedx", timeout=300).stdout)
        assert bom["specVersion"] == "1.6"
        assert [e.message for e in cyclonedx.iter_errors(bom)] == [], target
        refs = [c["bom-ref"] for c in bom["components"]] + [bom["metadata"]["component"]["bom-ref"]]
        assert len(refs) == len(set(refs))
        for dependency in bom["dependencies"]:
            assert dependency["ref"] in refs and set(dependency.get("dependsOn", [])) <= set(refs)


def test_spdx_is_valid_for_its_own_tools(cli, tmp_path, targets):
    for number, target in enumerate(targets):
        path = tmp_path / f"{number}.spdx.json"
        cli.ok("deps", "inventory", *target, "-o", path, timeout=300)
        document = parse_file(str(path))
        assert document.creation_info.spdx_version == "SPDX-2.3"
        assert [m.validation_message for m in validate_full_spdx_document(document)] == [], target


def test_what_was_written_reads_back_the_same(cli, tmp_path, targets):
    for number, target in enumerate(targets):
        direct = cli.json("deps", "inventory", *target, timeout=300)
        path = tmp_path / f"{number}.cdx.json"
        cli.ok("deps", "inventory", *target, "-o", path, timeout=300)
        again = cli.json("deps", "inventory", path)
        pick = lambda found: {c["purl"]: (c["name"], c["version"], sorted(c["hashes"]), sorted(c["needs"]))
                              for c in found["components"] if c["kind"] != "application"}
        ours, theirs = pick(direct), pick(again)
        assert ours.keys() <= theirs.keys(), target
        for purl, values in ours.items():
            assert theirs[purl] == values, purl


def test_the_same_input_gives_the_same_bytes(cli, targets):
    for form in ("--cyclonedx", "--spdx"):
        one = cli.ok("deps", "inventory", *targets[1], form, *STAMP).stdout
        assert one == cli.ok("deps", "inventory", *targets[1], form, *STAMP).stdout
        assert "2024-01-02T03:04:05" in one


def test_valid_files_of_the_specification_are_read(cli):
    files = sorted((DATA / "1.6").glob("valid-*.json"))
    assert len(files) > 40
    refused = {f.name: cli.run("deps", "inventory", f, "--json").stdout for f in files
               if cli.run("deps", "inventory", f, "--json").returncode != 0}
    assert refused == {}


def test_invalid_files_of_the_specification_are_refused(cli, cyclonedx):
    files = sorted((DATA / "1.6").glob("invalid-*.json"))
    assert len(files) > 20
    for file in files:
        answer = cli.json("deps", "inventory", file, exit_code=3)
        assert answer["error"]["code"] in ("sbom.invalid", "json.duplicate_key"), file.name


def test_models_are_components_with_digest_and_signer(cli, cyclonedx, signed_model, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    bom = json.loads(cli.ok("deps", "inventory", env, "--model", f"tiny={signed_model}", "--cyclonedx").stdout)
    assert [e.message for e in cyclonedx.iter_errors(bom)] == []
    model = next(c for c in bom["components"] if c["type"] == "machine-learning-model")
    report = cli.json("verify", signed_model)
    assert model["hashes"] == [{"alg": "SHA-256", "content": report["root_digest"]}]
    properties = {p["name"]: p["value"] for p in model["properties"]}
    assert properties["mlxguard:signer"] == report["signer"]
    broken = tmp_path / "broken.cdx.json"
    subject = next(p for p in signed_model.rglob("*.safetensors"))
    data = subject.read_bytes()
    subject.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = cli.run("deps", "inventory", env, "--model", f"tiny={signed_model}", "--cyclonedx", "-o", broken)
    subject.write_bytes(data)
    assert done.returncode == 1 and not broken.exists()


def test_hostile_metadata_makes_no_invalid_document(cli, cyclonedx, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ["b[x]; extra == 'y'"]), ("b", "2.0", ()), ("c", "1.0+local.build", ())])
    info = env / "lib/python3.11/site-packages/a-1.0.dist-info"
    (info / "METADATA").write_text('Metadata-Version: 2.1\nName: a\nVersion: 1.0 beta?#%41/..\nLicense: "\\ <b>&\x7f \u202e\nLicense-Expression: MIT AND (\n')
    for hashes in ({"sha256": "not hexadecimal"}, {"sha256": "ab"}, {"sha999": "ab", "md5": "é" * 32}, {"blake3": "", "sha512": "a" * 127}):
        (info / "direct_url.json").write_text(json.dumps({"url": "https://u:p@x.invalid/a b.zip?q=\u202e#f", "archive_info": {"hashes": hashes}}))
        bom = json.loads(cli.ok("deps", "inventory", env, "--cyclonedx").stdout)
        assert [e.message for e in cyclonedx.iter_errors(bom)] == [] and "u:p@" not in json.dumps(bom)
        cli.ok("deps", "inventory", env, "-o", tmp_path / "bom.spdx.json")
        assert [m.validation_message for m in validate_full_spdx_document(parse_file(str(tmp_path / "bom.spdx.json")))] == []


def test_the_serial_number_is_one(cli, cyclonedx, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    bom = json.loads(cli.ok("deps", "inventory", env, "--cyclonedx", "--serial-number", "3E671687-395B-41F5-A30F-A58921A69B79").stdout)
    assert bom["serialNumber"] == "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79" and [e.message for e in cyclonedx.iter_errors(bom)] == []
    assert cli.run("deps", "inventory", env, "--cyclonedx", "--serial-number", "one").returncode == 2


def test_hashes_are_those_of_the_files(cli, tmp_path):
    wheel = repack(conftest.site_packages(), "mlx-cpu", "py3-none-manylinux_2_35_x86_64", tmp_path)
    found = cli.json("deps", "inventory", wheel)
    blas = next(c for c in found["components"] if c["name"] == "libblas3")
    here = conftest.site_packages() / blas["location"]
    assert f"sha256:{hashlib.sha256(here.read_bytes()).hexdigest()}" in blas["hashes"]
