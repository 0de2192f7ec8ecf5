# SPDX-License-Identifier: Apache-2.0
"""Hostile wheels, archives, environments and lock files: each is refused or told, with its exact code."""
import io
import pathlib
import tarfile
import zipfile

import pytest

from wheel_maker import (environment, files_of, install, local_header_patch, metadata, record_hash, wheel,
                         zip_with_sizes)

SECONDS_MAX = 20


def refused(cli, path, code, exit_code=1):
    done = cli.json("deps", "inventory", path, exit_code=exit_code, timeout=SECONDS_MAX)
    assert done["error"]["code"] == code, done
    return done


def kinds(cli, path):
    return {o["kind"] for o in cli.json("deps", "inventory", path, timeout=SECONDS_MAX)["observations"]}


def write(path: pathlib.Path, files: dict, compression=zipfile.ZIP_DEFLATED) -> pathlib.Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def wheel_path(tmp_path):
    return tmp_path / "a-1.0-py3-none-any.whl"


def test_a_zip_bomb_by_its_ratio(cli, wheel_path):
    refused(cli, write(wheel_path, {**files_of("a", "1.0"), "big": bytes(600 << 20)}), "input.too_large")


def test_a_zip_bomb_that_lies_about_its_size(cli, wheel_path):
    zip_with_sizes(wheel_path, "a/x.py", 1 << 31)  # by its ratio
    refused(cli, wheel_path, "input.too_large")


def test_overlapping_entries(cli, wheel_path):
    """Many names of one packed stream: small on disk, huge when unpacked."""
    write(wheel_path, {"n0": bytes(1 << 20)})
    data = wheel_path.read_bytes()
    start = data.index(b"PK\x01\x02")
    entry = data[start:data.index(b"PK\x05\x06")]
    many = b"".join(entry.replace(b"n0", f"{i:02x}".encode()) for i in range(256))
    end = bytearray(data[data.index(b"PK\x05\x06"):])
    end[8:12] = (256).to_bytes(2, "little") * 2
    end[12:16] = len(many).to_bytes(4, "little")
    wheel_path.write_bytes(data[:start] + many + bytes(end))
    refused(cli, wheel_path, "wheel.invalid")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py", "a\\..\\evil.py", "a/\x00b.py"])
def test_paths_that_lead_out(cli, wheel_path, name):
    stand_in = "Z" * len(name)
    write(wheel_path, {**files_of("a", "1.0"), stand_in: b"x"})
    local_header_patch(wheel_path, stand_in.encode(), name.encode())
    refused(cli, wheel_path, "wheel.invalid")


def test_two_entries_of_one_name(cli, wheel_path):
    with pytest.warns(UserWarning), zipfile.ZipFile(wheel_path, "w") as archive:
        for name, data in files_of("a", "1.0").items():
            archive.writestr(name, data)
        archive.writestr("a/__init__.py", b"import evil\n")
    refused(cli, wheel_path, "wheel.invalid")


def test_a_link_in_a_wheel(cli, wheel_path):
    with zipfile.ZipFile(wheel_path, "w") as archive:
        for name, data in files_of("a", "1.0").items():
            archive.writestr(name, data)
        link = zipfile.ZipInfo("a/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    refused(cli, wheel_path, "wheel.invalid")


def test_two_dist_infos_and_none(cli, wheel_path):
    refused(cli, write(wheel_path, {**files_of("a", "1.0"), **files_of("b", "1.0")}), "wheel.invalid")
    refused(cli, write(wheel_path, {"a/__init__.py": b""}), "wheel.invalid")


def test_metadata_of_another_package(cli, wheel_path):
    files = files_of("a", "1.0")
    files["a-1.0.dist-info/METADATA"] = metadata("popular", "1.0").encode()
    path = write(wheel_path, files)
    done = cli.run("deps", "inventory", path, "--json")
    assert done.returncode == 1 or "record-mismatch" in done.stdout


def test_files_that_record_does_not_have_or_that_differ(cli, wheel_path):
    files = files_of("a", "1.0")
    files["a/extra.py"] = b"x"
    files["a/__init__.py"] = b"changed"
    assert {"record-mismatch", "unrecorded"} <= kinds(cli, write(wheel_path, files))


def test_code_in_a_pth_file_of_a_wheel(cli, tmp_path):
    path = wheel(tmp_path, "a", "1.0", files={"a_init.pth": "import os; os.system('x')\n"})
    assert "path-code" in kinds(cli, path)


def test_a_truncated_wheel_at_every_length(cli, tmp_path):
    whole = wheel(tmp_path, "a", "1.0").read_bytes()
    path = tmp_path / "b-1.0-py3-none-any.whl"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        done = cli.run("deps", "inventory", path, "--json", timeout=SECONDS_MAX)
        assert done.returncode == 1, (length, done.stderr)


def test_a_source_archive_with_links_and_paths_that_lead_out(cli, tmp_path):
    for name, kind in [("../evil", tarfile.REGTYPE), ("/abs", tarfile.REGTYPE)]:
        path = tmp_path / "a-1.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member, data in {"a-1.0/PKG-INFO": metadata("a", "1.0").encode(), name: b"x"}.items():
                info = tarfile.TarInfo(member)
                info.size, info.type = len(data), kind
                archive.addfile(info, io.BytesIO(data))
        refused(cli, path, "wheel.invalid")


def test_a_source_archive_that_unpacks_to_much(cli, tmp_path):
    path = tmp_path / "a-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a-1.0/big")
        info.size = 600 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    refused(cli, path, "input.too_large")


def test_records_that_lead_out_of_the_environment(cli, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    record = env / "lib/python3.11/site-packages/a-1.0.dist-info/RECORD"
    secret = tmp_path / "secret"
    secret.write_text("s")
    record.write_text(record.read_text() + f"../../../../secret,{record_hash(b's')},1\n/etc/hosts,sha256=AA,1\n")
    found = cli.json("deps", "inventory", env)
    outside = [o for o in found["observations"] if "outside" in o["message"]]
    assert len(outside) == 2


def test_absurd_versions_and_names(cli, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    site = env / "lib/python3.11/site-packages"
    for number, (name, version) in enumerate([("b", "9" * 5000), ("c", "not a version"), ("d\x1b[31m", "1"),
                                              ("-e", "1"), ("f" * 3000, "1")]):
        info = site / f"x{number}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata(name, version))
    done = cli.run("deps", "inventory", env, timeout=SECONDS_MAX)
    assert done.returncode == 0 and "\x1b[31m" not in done.stdout
    found = cli.json("deps", "inventory", env)
    names = {c["name"] for c in found["components"]}
    assert "a" in names and "-e" not in names
    assert sum(o["kind"] == "unreadable" for o in found["observations"]) >= 2


def test_a_thousand_packages_in_a_circle(cli, tmp_path):
    packages = [(f"p{i}", "1", [f"p{(i + 1) % 1000}"]) for i in range(1000)]
    env = environment(tmp_path / "env", packages)
    assert len(cli.json("deps", "inventory", env, timeout=SECONDS_MAX)["components"]) == 1000
    cli.ok("deps", "inventory", env, "--tree", timeout=SECONDS_MAX)


def test_duplicate_dist_infos_of_names_that_only_look_different(cli, tmp_path):
    env = environment(tmp_path / "env", [("Foo_Bar", "1.0", ())])
    install(env / "lib/python3.11/site-packages", "foo.bar", "1.0")
    assert "duplicate" in kinds(cli, env)


@pytest.mark.parametrize("name, text, code", ids=range(8), argvalues=[
    ("pylock.toml", "a" + ".a" * 100_000 + " = 1\n", "deps.file"),
    ("pylock.toml", "[=", "deps.file"),
    ("pylock.toml", "[" * 100_000, "deps.file"),
    ("pylock.toml", "x = " + "[" * 100_000, "deps.file"),
    ("uv.lock", "version = 1\n[[package]]\nname = 1\n", "deps.file"),
    ("poetry.lock", "\x00", "deps.file"),
    ("requirements.txt", "-r requirements.txt\n" * 1000 + "a==1 --hash=sha256:zz\n", "deps.file"),
    ("bom.json", '{"bomFormat":"CycloneDX","specVersion":"1.6","components":' + "[{" * 50_000, None),
])
def test_hostile_lock_files(cli, tmp_path, name, text, code):
    path = tmp_path / name
    path.write_text(text)
    answer = cli.json("deps", "inventory", path, exit_code=3, timeout=SECONDS_MAX)
    assert code is None or answer["error"]["code"] == code, answer


def test_nothing_is_written_beside_what_is_read(cli, tmp_path):
    path = wheel(tmp_path, "a", "1.0")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if cli.state not in p.parents and p != cli.state}
    cli.json("deps", "inventory", path)
    out = tmp_path / "no" / "where.cdx.json"
    assert cli.run("deps", "inventory", path, "-o", out).returncode != 0
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if cli.state not in p.parents and p != cli.state}
    assert {p: t for p, t in after.items() if p != tmp_path} == {p: t for p, t in before.items() if p != tmp_path}
