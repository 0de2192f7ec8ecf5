# SPDX-License-Identifier: Apache-2.0
"""Places where Python imports packages from, and lines that an installer follows, which an inventory could miss in silence: each is
listed, or said to be unread, so that no scan calls it clean."""
import json
import time

import pytest
from wheel_maker import environment, install

NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def record(name):
    return {"id": f"GHSA-{name}", "modified": NOW, "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}]}


@pytest.fixture
def site(tmp_path):
    """An environment with one package, which is clean."""
    return environment(tmp_path / "env", [("alpha", "2.0")]) / "lib/python3.11/site-packages"


@pytest.fixture
def scan(cli, tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    for name in ("alpha", "beta"):
        (folder / f"{name}.json").write_text(json.dumps(record(name)))
    cli.ok("deps", "db", "update", "--from", folder)

    def scan(target):
        done = cli.run("deps", "scan", target, "--json")
        return done.returncode, json.loads(done.stdout)
    return scan


def reasons(report):
    return [one["reason"] for one in report["could_not_tell"]]


def test_the_environment_of_these_tests_is_clean(scan, site, tmp_path):
    code, report = scan(tmp_path / "env")
    assert (code, report["verdict"]) == (0, "clean")


def test_packages_of_the_python_below_are_imported_too(scan, site, tmp_path):
    (tmp_path / "env/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = True\n")
    code, report = scan(tmp_path / "env")
    assert code == 1 and reasons(report) == ["unreadable"] and "/usr/bin" in report["could_not_tell"][0]["text"]


def test_packages_of_conda_are_there_too(scan, site, tmp_path):
    (tmp_path / "env/conda-meta").mkdir()
    code, report = scan(tmp_path / "env")
    assert code == 1 and reasons(report) == ["unreadable"]


@pytest.mark.parametrize("line", ["{elsewhere}", "../../../../elsewhere", "# words\n{elsewhere}", "{elsewhere}  ", "inside"])
def test_a_path_file_that_adds_a_folder_of_packages(scan, site, tmp_path, line):
    install(tmp_path / "elsewhere", "beta", "1.0")
    install(site / "inside", "beta", "1.0")
    (site / "more.pth").write_text(line.format(elsewhere=tmp_path / "elsewhere") + "\n")
    code, report = scan(tmp_path / "env")
    assert code == 1 and reasons(report) == ["unreadable"] and "beta" in report["could_not_tell"][0]["text"]


def test_the_folder_of_a_package_that_is_listed_is_no_surprise(scan, site, tmp_path):
    (tmp_path / "source/alpha.egg-info").mkdir(parents=True)
    (site / "__editable__.alpha.pth").write_text(f"{tmp_path / 'source'}\n")
    code, report = scan(tmp_path / "env")
    assert code == 0 and {one["kind"] for one in report["observations"] if "editable" in one["where"]} == {"path-code", "unrecorded"}


@pytest.mark.parametrize("name", ["beta-1.0-py3.11.egg", "beta.egg-link"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_eggs_are_said_to_be_unread(scan, site, tmp_path, name, as_folder):
    if as_folder:
        (site / name / "EGG-INFO").mkdir(parents=True)
        (site / name / "EGG-INFO/PKG-INFO").write_text("Name: beta\nVersion: 1.0\n")
    else:
        (site / name).write_text("/somewhere\n")
    code, report = scan(tmp_path / "env")
    assert code == 1 and "unreadable" in reasons(report)


def test_a_link_to_a_folder_elsewhere_is_shown(scan, site, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/__init__.py").write_text("")
    (site / "linked").symlink_to(tmp_path / "elsewhere")
    _, report = scan(tmp_path / "env")
    assert ("unrecorded", "lib/python3.11/site-packages/linked") in [(one["kind"], one["where"]) for one in report["observations"]]


def test_a_linked_dist_info_and_a_linked_site_packages_are_read(scan, site, tmp_path):
    install(tmp_path / "elsewhere", "beta", "1.0")
    (site / "beta-1.0.dist-info").symlink_to(tmp_path / "elsewhere/beta-1.0.dist-info")
    assert scan(tmp_path / "env")[1]["verdict"] == "vulnerable"
    moved = tmp_path / "moved"
    site.rename(moved)
    site.symlink_to(moved)
    assert scan(tmp_path / "env")[1]["verdict"] == "vulnerable"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_what_pip_takes_for_a_line_is_one(scan, tmp_path, end):
    """pip ends lines as Python's splitlines() does: more is asked for than a comment seems to say."""
    file = tmp_path / "requirements.txt"
    file.write_text(f"alpha==2.0  # a comment{end}beta==1.0\n", newline="")
    code, report = scan(file)
    assert code == 1 and [one["name"] for one in report["components"]] == ["alpha", "beta"]


@pytest.mark.parametrize("line", ["--pre -r more.txt", "--index-url https://x.invalid/simple -r more.txt", "-i https://x.invalid/simple --requirement more.txt",
                                  "--no-index --requirement=more.txt", "-r more.txt -r more.txt", "--req more.txt"])
def test_what_follows_an_option_is_not_passed_over(scan, tmp_path, line):
    (tmp_path / "more.txt").write_text("beta==1.0\n")
    file = tmp_path / "requirements.txt"
    file.write_text(f"alpha==2.0\n{line}\n")
    code, report = scan(file)
    assert code != 0 and report.get("verdict") != "clean"


def test_options_by_themselves_are_nothing(scan, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("--index-url=https://x.invalid/simple\n-i https://x.invalid\n--pre\n--no-binary :all:\n--require-hashes\nalpha==2.0\n")
    assert scan(file)[0] == 0


@pytest.mark.parametrize(("constraints", "verdict"), [
    ("beta==2.0\n", "clean"), ("beta==1.0\n", "vulnerable"),
    ("beta==2.0; sys_platform == 'win32'\n", "could-not-tell"),
    ("beta==2.0; python_version < '3'\nbeta==1.0; python_version >= '3'\n", "could-not-tell"),
    ("beta==2.0\nbeta==1.0\n", "could-not-tell"), ("beta<2\n", "could-not-tell"),
])
def test_a_constraint_tells_a_version_only_where_it_is_the_only_one(scan, tmp_path, constraints, verdict):
    (tmp_path / "constraints.txt").write_text(constraints)
    file = tmp_path / "requirements.txt"
    file.write_text("-c constraints.txt\nbeta\n")
    assert scan(file)[1]["verdict"] == verdict


def test_several_lines_may_ask_for_one_package(scan, tmp_path):
    (tmp_path / "base.txt").write_text("alpha>=1\nbeta\n-r requirements.txt\n")
    file = tmp_path / "requirements.txt"
    file.write_text("-r base.txt\nalpha<3\nalpha==2.0\nbeta[extra]==2.0\n")
    code, report = scan(file)
    assert code == 0 and [(one["name"], one["version"]) for one in report["components"]] == [("alpha", "2.0"), ("beta", "2.0")]
    file.write_text("alpha==2.0\nalpha==1.0\n")
    code, report = scan(file)
    assert code == 3 and report["error"]["code"] == "deps.file"


def test_passwords_in_urls_are_in_no_output(cli, tmp_path):
    secret = "s3cret-t0ken"
    (tmp_path / "requirements.txt").write_text(
        f"--index-url https://user:{secret}@x.invalid/simple\nalpha @ https://user:{secret}@x.invalid/a.whl\n-e git+https://{secret}@x.invalid/b.git#egg=beta\n")
    done = cli.ok("deps", "inventory", tmp_path / "requirements.txt", "--json")
    assert secret not in done.stdout + done.stderr and "https://x.invalid/a.whl" in done.stdout
    for line in (f"alpha @ https://user:{secret}@x.invalid/a.whl more", f"alpha @ https://u:{secret}@x.invalid/a ; none", f"-r https://u:{secret}@x.invalid/more.txt",
                 f"https://u:{secret}@x.invalid/a.whl", f"alpha @@ https://u:{secret}@x.invalid/a.whl", f"-i https://u:{secret}@x.invalid/ -r https://u:{secret}@x.invalid/"):
        (tmp_path / "requirements.txt").write_text(line + "\n")
        done = cli.run("deps", "scan", tmp_path / "requirements.txt", "--json")
        assert done.returncode != 0 and secret not in done.stdout + done.stderr, line
    assert all(secret not in json.dumps(event) for event in cli.events())


def test_utf_16_is_refused_with_what_to_do(cli, tmp_path):
    for text in ("alpha==1.0\n".encode("utf-16"), "alpha==1.0\n".encode("utf-16-le"), b"alpha==1.0\0\n"):
        (tmp_path / "requirements.txt").write_bytes(text)
        done = cli.run("deps", "scan", tmp_path / "requirements.txt", "--json")
        assert done.returncode != 0 and "UTF-8" in json.dumps(json.loads(done.stdout)["error"])


@pytest.mark.parametrize("kind", ["application", "framework", "container", "library", "file", "firmware", "platform"])
def test_a_python_package_in_a_bom_is_scanned_whatever_it_is_called(scan, tmp_path, kind):
    bom = tmp_path / "bom.json"
    bom.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"type": "application", "name": "mine"}}, "components": [
        {"type": "library", "name": "alpha", "version": "2.0", "purl": "pkg:pypi/alpha@2.0"}, {"type": kind, "name": "beta", "version": "1.0", "purl": "pkg:pypi/beta@1.0"}]}))
    code, report = scan(bom)
    assert code == 1 and [(one["name"], one["verdict"]) for one in report["components"]] == [("alpha", "clean"), ("beta", "vulnerable")]


def test_an_application_in_a_bom_is_not_known_to_be_clean(scan, tmp_path):
    bom = tmp_path / "bom.json"
    bom.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "library", "name": "alpha", "version": "2.0", "purl": "pkg:pypi/alpha@2.0"}, {"type": "application", "name": "openssl", "version": "1.0"}]}))
    code, report = scan(bom)
    assert code == 1 and report["verdict"] == "could-not-tell"
