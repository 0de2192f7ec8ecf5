# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps inventory` beside Python's own view of the same environment, files and locks."""
import hashlib
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import conftest
from wheel_maker import environment, install, repack, wheel

ROOT = conftest.ROOT
VENV = ROOT / ".venv"


def packages(found):
    """What is installed. Copies inside of other packages are listed too, and marked."""
    return {(c["name"], c["version"]) for c in found["components"] if c["kind"] == "package" and
            c["purl"].startswith("pkg:pypi/") and not is_vendored(c)}


def is_vendored(component):
    return {"name": "vendored", "value": "true"} in component.get("properties", [])


def by_name(found, name):
    return [c for c in found["components"] if c["name"] == name]


@pytest.fixture(scope="module")
def venv_inventory(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    done = subprocess.run([str(conftest.BIN / "mlxguard"), "deps", "inventory", str(VENV), "--json",
                           "--state", str(state)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_packages_are_those_that_importlib_lists(venv_inventory):
    theirs = {(canonicalize_name(d.metadata["Name"]), d.version)
              for d in importlib.metadata.distributions(path=[str(conftest.site_packages())])}
    assert packages(venv_inventory) == theirs


def test_the_packages_are_those_that_pip_lists(venv_inventory):
    listed = json.loads(subprocess.run(
        [VENV / "bin/python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True, text=True, check=True).stdout)
    assert packages(venv_inventory) == {(canonicalize_name(p["name"]), p["version"]) for p in listed}


def test_who_needs_whom_as_packaging_judges_the_markers(venv_inventory):
    installed = {canonicalize_name(d.metadata["Name"]): d
                 for d in importlib.metadata.distributions(path=[str(conftest.site_packages())])}
    names = {c["purl"]: c["name"] for c in venv_inventory["components"]
             if c["kind"] == "package" and not is_vendored(c)}
    context = {**default_environment(), "extra": ""}
    for name, distribution in installed.items():
        always = set()
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(context):
                always.add(canonicalize_name(requirement.name))
        ours = {names[purl] for c in by_name(venv_inventory, name) for purl in c["needs"] if purl in names}
        assert always & installed.keys() <= ours, name
        asked = {canonicalize_name(Requirement(t).name) for t in distribution.requires or []}
        assert ours <= asked, name


def test_copies_inside_of_pip_are_those_of_its_own_list(venv_inventory):
    vendored = {(c["name"], c["version"]) for c in venv_inventory["components"] if is_vendored(c)}
    listed = conftest.site_packages() / "pip/_vendor/vendor.txt"
    theirs = {tuple(line.split("#")[0].strip().split("==")) for line in listed.read_text().splitlines() if "==" in line}
    assert {(canonicalize_name(name), version) for name, version in theirs} <= vendored


def test_unmet_requirements_are_those_that_pip_reports(venv_inventory):
    told = subprocess.run([VENV / "bin/python", "-m", "pip", "check", "--disable-pip-version-check"],
                          capture_output=True, text=True).stdout
    theirs = {(canonicalize_name(line.split()[0]), canonicalize_name(re.search(r"requires ([\w.-]+)|has requirement ([\w.-]+)", line).group(1) or ""))
              for line in told.splitlines() if " requires " in line}
    ours = set()
    for one in venv_inventory["observations"]:
        match = re.match(r"(\S+) requires ([\w.-]+?)[<>=!~].*is not here$|(\S+) requires ([\w.-]+), which", one["message"])
        if one["kind"] == "missing" and match:
            groups = [g for g in match.groups() if g]
            ours.add((groups[0], canonicalize_name(groups[1])))
    assert ours == theirs


def test_native_parts_of_mlx_each_with_evidence_and_confidence(venv_inventory):
    mlx = by_name(venv_inventory, "mlx-cpu")[0]
    parts = {c["name"]: c for c in venv_inventory["components"] if c["purl"] in mlx["needs"]}
    expected = {"fmt": ("12.1.0", "high"), "nlohmann-json": ("3.11.3", "high"),
                "gguflib": ("8fa6eb65236618e28fd7710a0fba565f7faa1848", None),
                "pocketfft": ("", None), "libblas3": ("3.10.0-2ubuntu1", "high"),
                "liblapack3": ("3.10.0-2ubuntu1", "high"),
                "libgfortran5": ("12.3.0-1ubuntu1~22.04.3", "high"),
                "libquadmath0": ("12.3.0-1ubuntu1~22.04.3", "high")}
    for name, (version, confidence) in expected.items():
        assert name in parts, name
        assert parts[name]["version"] == version, name
        if confidence:
            assert parts[name]["confidence"] == confidence, name
        assert parts[name]["evidence"], name
        for evidence in parts[name]["evidence"]:
            assert evidence["kind"] and (evidence["where"] or evidence["kind"] == "knowledge"), name
    assert parts["fmt"]["evidence"][0]["where"].endswith("libmlx.so")
    core = by_name(venv_inventory, "mlx")[0]
    nanobind = [c for c in venv_inventory["components"] if c["purl"] in core["needs"] and c["name"] == "nanobind"]
    assert [c["version"] for c in nanobind] == ["2.15.0"]


def test_the_needed_closure_is_what_the_loader_finds(venv_inventory):
    library = conftest.site_packages() / "mlx/lib/libmlx.so"
    listed = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    files = {c.get("location", "") for c in venv_inventory["components"]}
    files |= {p["value"] for c in venv_inventory["components"] for p in c["properties"] if p["name"] == "file"}
    known = {os.path.realpath(VENV / file) for file in files if file}
    for path in re.findall(r"=> (/\S+)", listed):
        assert os.path.realpath(path) in known, path


def test_a_wheel_of_mlx(cli, tmp_path):
    path = repack(conftest.site_packages(), "mlx-cpu", "py3-none-manylinux_2_35_x86_64", tmp_path)
    found = cli.json("deps", "inventory", path)
    assert found["source"] == "wheel" and packages(found) == {("mlx-cpu", "0.32.4")}
    names = {c["name"] for c in found["components"]}
    assert {"fmt", "nlohmann-json", "gguflib", "pocketfft", "libblas3", "liblapack3"} <= names
    assert not [o for o in found["observations"] if o["kind"].startswith("record")]


@pytest.mark.parametrize("change, kind", [
    (lambda f: f.write_bytes(f.read_bytes() + b"\n"), "record-mismatch"),
    (lambda f: f.unlink(), "record-missing"),
    (lambda f: f.with_name("more.py").write_text("x = 1\n"), "unrecorded"),
    (lambda f: (f.parents[1] / "evil.pth").write_text("import os\n"), "path-code"),
])
def test_files_that_differ_from_record_are_found(cli, tmp_path, change, kind):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    assert cli.json("deps", "inventory", env)["observations"] == []
    change(env / "lib/python3.11/site-packages/a/__init__.py")
    assert kind in {o["kind"] for o in cli.json("deps", "inventory", env)["observations"]}


def test_cycles_duplicates_and_unmet_requirements(cli, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ["b"]), ("b", "1.0", ["a", "absent>=2"]), ("c", "1.0", ["a>=2"])])
    install(env / "lib/python3.11/site-packages", "a", "0.9")
    found = cli.json("deps", "inventory", env)
    kinds = [o["kind"] for o in found["observations"]]
    assert kinds.count("duplicate") == 1 and kinds.count("missing") >= 2
    assert len(by_name(found, "a")) == 2
    tree = cli.ok("deps", "inventory", env, "--tree").stdout
    assert "(above)" in tree


def test_lock_files_of_the_tools_that_write_them(cli, tmp_path):
    """uv writes three formats of one project; each reads as the same packages and hashes."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "leaf", "2.0")
    wheel(wheels, "middle", "1.5", ["leaf>=1", "winonly; sys_platform == 'win32'"])
    wheel(wheels, "winonly", "1.0")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["middle"]\n')
    uv = [str(VENV / "bin/uv")]
    common = ["--no-index", "--find-links", str(wheels), "--python", sys.executable, "--quiet"]
    subprocess.run([*uv, "lock", *common], cwd=tmp_path, check=True)
    for name, options in {"pylock.toml": ["--format", "pylock.toml"], "requirements.txt": []}.items():
        subprocess.run([*uv, "export", *common, *options, "-o", name], cwd=tmp_path, check=True,
                       stdout=subprocess.DEVNULL)
    read = {name: cli.json("deps", "inventory", tmp_path / name)
            for name in ("uv.lock", "pylock.toml", "requirements.txt")}
    expected = {("leaf", "2.0"), ("middle", "1.5"), ("winonly", "1.0")}
    for name, found in read.items():
        assert packages(found) == expected, name
    middle = by_name(read["uv.lock"], "middle")[0]
    assert middle["direct"] and {p.split("/")[1] for p in middle["needs"]} == {"leaf@2.0", "winonly@1.0"}
    digest = hashlib.sha256((wheels / "leaf-2.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert by_name(read["pylock.toml"], "leaf")[0]["hashes"] == [f"sha256:{digest}"]
    assert cli.json("deps", "inventory", tmp_path)["source"] == "pylock"


def test_our_own_lock_files_read_as_pip_reads_them(cli):
    from pip._internal.req.req_file import parse_requirements
    from pip._internal.network.session import PipSession
    lock = ROOT / "requirements/test.lock"
    theirs = {}
    for one in parse_requirements(str(lock), session=PipSession()):
        requirement = Requirement(one.requirement)
        theirs[canonicalize_name(requirement.name)] = (str(requirement.specifier)[2:],
                                                       {f"sha256:{h}" for h in one.options["hashes"]["sha256"]})
    found = cli.json("deps", "inventory", lock)
    ours = {c["name"]: (c["version"], set(c["hashes"])) for c in found["components"]}
    assert ours == theirs


def test_mlxguard_lists_itself(cli):
    found = cli.json("deps", "inventory", "--self")
    root = next(c for c in found["components"] if c["name"] == "mlxguard")
    names = {c["name"]: c for c in found["components"]}
    needed = subprocess.run(["ldd", str(conftest.BIN / "mlxguard")], capture_output=True, text=True).stdout
    for library, package in {"libcrypto": "libssl3", "libseccomp": "libseccomp2", "libzip": "libzip4",
                             "libsimdjson": "libsimdjson14", "libsqlite3": "libsqlite3-0"}.items():
        if library in needed:
            version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                                     text=True, check=True).stdout
            assert names[package]["version"] == version
    lock = (ROOT / "rust/Cargo.lock").read_text()
    for crate in ("tokenizers", "blake3"):
        version = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock).group(1)
        assert names[crate]["version"] == version and names[crate]["purl"] in root["needs"]
    assert names["mlx-cpu"]["version"] == importlib.metadata.version("mlx-cpu")


def test_what_is_none_of_these_is_refused_with_its_code(cli, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"x")
    for target, code, exit_code in [(tmp_path / "absent", "io.not_found", 3), (tmp_path, "deps.environment", 3),
                                    (tmp_path / "x.bin", "deps.environment", 3)]:
        answer = cli.json("deps", "inventory", target, exit_code=exit_code)
        assert answer["error"]["code"] == code
