# SPDX-License-Identifier: Apache-2.0
"""What the inventory reads and what it does not: nothing is left out silently, and what cannot be read ends with 3."""
import json

import pytest

from wheel_maker import environment, wheel

NOW = "2026-01-01T00:00:00Z"
FRESH = ("--max-age", "100y")


@pytest.fixture
def known(cli, tmp_path):
    """A database that knows these packages and affects copied below 2.0."""
    folder = tmp_path / "osv"
    folder.mkdir()
    for name, fixed in (("a", "0.1"), ("b", "0.1"), ("tool", "0.1"), ("copied", "2.0"), ("setuptools", "0.1")):
        (folder / f"T-{name}.json").write_text(json.dumps({
            "id": f"T-{name}", "modified": NOW, "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}]}))
    cli.ok("deps", "db", "update", "--from", folder)


def scan(cli, target, *options, exit_code=0):
    return cli.json("deps", "scan", target, *FRESH, *options, exit_code=exit_code)


def reasons(report):
    return [(one["reason"], one["text"]) for one in report["could_not_tell"]]


UV = ('version = 1\n[[package]]\nname = "app"\nversion = "0"\nsource = { virtual = "." }\ndependencies = [{ name = "a" }]\n'
      '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "r" }\n')


def test_of_several_locks_one_is_read_and_the_others_are_named(cli, known, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text(UV)
    (project / "requirements-dev.txt").write_text("b==1\n    # via us\n")
    report = scan(cli, project, exit_code=1)
    assert [one["name"] for one in report["components"]] == ["a"]
    (reason, text), = reasons(report)
    assert reason == "unreadable" and text.startswith("requirements-dev.txt: not read, since uv.lock was")
    report = scan(cli, project, "--every-lock")
    assert [one["name"] for one in report["components"]] == ["a", "b"] and report["verdict"] == "clean"
    assert len(cli.json("deps", "inventory", project, "--every-lock")["components"]) == 2


def test_a_file_that_another_one_names_was_read(cli, known, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "requirements.txt").write_text("-r requirements-base.txt\nb==1\n    # via us\n")
    (project / "requirements-base.txt").write_text("a==1\n")
    assert len(scan(cli, project)["components"]) == 2


def test_a_requirements_file_may_name_one_above_it_inside_the_project(cli, known, tmp_path):
    project = tmp_path / "project"
    (project / "requirements").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (project / "base.txt").write_text("a==1\n")
    (project / "requirements/dev.txt").write_text("-r ../base.txt\nb==1\n")
    assert len(scan(cli, project / "requirements/dev.txt")["components"]) == 2
    (project / "requirements/dev.txt").write_text("-r ../../secret.txt\n")
    (tmp_path / "secret.txt").write_text("a==1\n")
    assert scan(cli, project / "requirements/dev.txt", exit_code=3)["error"]["code"] == "deps.file"


@pytest.mark.parametrize("name, tool", [("Pipfile.lock", "Pipenv"), ("pdm.lock", "PDM"), ("environment.yml", "conda")])
def test_locks_of_other_tools_are_said_to_be_unsupported(cli, known, tmp_path, name, tool):
    (tmp_path / name).write_text("{}")
    error = scan(cli, tmp_path / name, exit_code=3)["error"]
    assert tool in error["message"] and error["hint"]
    project = tmp_path / "project"
    project.mkdir()
    (project / name).write_text("{}")
    assert tool in scan(cli, project, exit_code=3)["error"]["message"]
    (project / "uv.lock").write_text(UV)
    assert tool in reasons(scan(cli, project, exit_code=1))[0][1]


def test_an_spdx_document_is_read_as_well_as_written(cli, known, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ["copied"]), ("copied", "1.0", ())])
    cli.ok("deps", "inventory", env, "-o", tmp_path / "bom.spdx.json")
    report = scan(cli, tmp_path / "bom.spdx.json", exit_code=1)
    copied = next(one for one in report["components"] if one["name"] == "copied")
    assert copied["verdict"] == "vulnerable" and copied["path"] == ["a", "copied"]


def test_direct_pins_are_said_to_be_only_that(cli, known, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("a==1\n")
    report = scan(cli, file)
    assert report["verdict"] == "clean" and [one["kind"] for one in report["observations"]] == ["incomplete"]
    assert "not what that needs" in cli.ok("deps", "scan", file, *FRESH).stdout


def test_what_code_decides_could_not_be_told(cli, known, tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text('[build-system]\nrequires = ["setuptools==70"]\n[project]\nname = "x"\ndynamic = ["dependencies"]\n')
    report = scan(cli, file, exit_code=1)
    assert "dynamic" in reasons(report)[0][1]
    assert [one["name"] for one in report["components"]] == ["setuptools"]


def test_copies_inside_of_packages_are_looked_at(cli, known, tmp_path):
    inside = {"tool/_vendor/__init__.py": "", "tool/_vendor/copied/__init__.py": "",
              "tool/_vendor/copied-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: copied\nVersion: 1.0\n\n"}
    env = environment(tmp_path / "env", [("tool", "1.0", (), inside)])
    report = scan(cli, env, exit_code=1)
    copied = next(one for one in report["components"] if one["name"] == "copied")
    assert copied["verdict"] == "vulnerable" and copied["path"] == ["tool", "copied"]
    assert scan(cli, wheel(tmp_path, "tool", "1.0", (), inside), exit_code=1)["verdict"] == "vulnerable"
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"tool==1.0 --hash=sha256:{'a' * 64}\n")
    assert cli.json("deps", "check", lock, env)["passed"], "a copy is no package of the environment"


def test_copies_without_metadata_could_not_be_told(cli, known, tmp_path):
    inside = {"tool/_vendor/__init__.py": "", "tool/_vendor/copied/__init__.py": ""}
    env = environment(tmp_path / "env", [("tool", "1.0", (), inside)])
    (_, text), = reasons(scan(cli, env, exit_code=1))
    assert text.startswith("lib/python3.11/site-packages/tool/_vendor: copies of packages without metadata")
    assert reasons(scan(cli, wheel(tmp_path, "tool", "1.0", (), inside), exit_code=1))


def test_a_missing_record_counts_and_leftovers_are_named(cli, known, tmp_path):
    env = environment(tmp_path / "env", [("tool", "1.0", ())])
    site = env / "lib/python3.11/site-packages"
    (site / "~ool-0.9.dist-info").mkdir()
    (site / "~ool-0.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: tool\nVersion: 0.9\n\n")
    report = scan(cli, env)
    assert [(one["kind"], one["where"]) for one in report["observations"]] == [
        ("unrecorded", "lib/python3.11/site-packages/~ool-0.9.dist-info")]
    (site / "tool-1.0.dist-info/RECORD").unlink()
    assert "there is no RECORD" in reasons(scan(cli, env, exit_code=1))[0][1]


@pytest.mark.parametrize("name, text", [
    ("requirements.txt", "a b c\n"), ("requirements.txt", "a==1; what\n"), ("requirements.txt", b"\xff\xfe"),
    ("requirements.txt", "--what\n"), ("pylock.toml", "packages = 1\n"), ("pylock.toml", b"\xff"), ("uv.lock", "="),
    ("poetry.lock", "[metadata]\n"), ("bom.json", "{"), ("bom.json", "[]"), ("bom.json", b"\xff"), ("bom.xml", "<bom/>"),
    ("bom.cdx", "{}")])
def test_what_cannot_be_read_ends_with_3_everywhere(cli, known, tmp_path, name, text):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    for command in (("scan", file), ("inventory", file), ("check", file, env), ("updates", file),
                    ("lock", file, "-o", tmp_path / "out.toml")):
        done = cli.run("deps", *command, "--json")
        assert done.returncode == 3, (command, done.stdout)
        assert json.loads(done.stdout)["error"]["code"] in ("deps.file", "sbom.invalid"), command
    assert cli.run("deps", "scan", env, *FRESH, "--vex", file).returncode == 3


@pytest.mark.parametrize("name", ["bom.cdx", "bom.xml", "bom", "bom.spdx"])
def test_an_output_of_an_unknown_ending_is_an_error(cli, tmp_path, name):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    error = cli.json("deps", "inventory", env, "-o", tmp_path / name, exit_code=2)["error"]
    assert error["code"] == "usage" and ".cdx.json" in error["message"]
    assert not (tmp_path / name).exists()
