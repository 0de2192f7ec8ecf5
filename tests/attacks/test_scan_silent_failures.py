# SPDX-License-Identifier: Apache-2.0
"""Where other scanners said "no vulnerabilities" and exited with 0 because they had not looked: each is a case here."""
import json
import time

import pytest

NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
ECOSYSTEM = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}
GIT = {"type": "GIT", "repo": "https://x.invalid/r", "events": [{"introduced": "0"}, {"fixed": "0123abcd"}]}


def record(name="alpha", ranges=(ECOSYSTEM,), id="GHSA-aaaa-0001"):
    return {"id": id, "modified": NOW, "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": list(ranges)}]}


@pytest.fixture
def scan(cli, tmp_path):
    def scan(text, *records, name="requirements.txt"):
        if records:
            folder = tmp_path / "records"
            folder.mkdir(exist_ok=True)
            for one in records:
                (folder / f"{one['id']}.json").write_text(json.dumps(one))
            cli.ok("deps", "db", "update", "--from", folder)
        (tmp_path / name).write_text(text)
        done = cli.run("deps", "scan", tmp_path / name, "--json")
        return done.returncode, json.loads(done.stdout)
    return scan


def test_no_database_is_not_no_vulnerability(scan):
    """osv-scanner 2.5.0 --offline-vulnerabilities without a database: "No issues found", exit 0."""
    code, report = scan("alpha==1.0\n")
    assert code == 1 and report["verdict"] == "could-not-tell"


def test_a_database_elsewhere_is_not_taken_for_one(cli, scan, tmp_path):
    """osv-scanner ignores the documented variable of its database's folder. Ours is named, and part of the verdict."""
    code, report = scan("alpha==1.0\n", record())
    assert code == 1 and report["verdict"] == "vulnerable" and report["database"]["source"] == "records"
    other = cli.run("deps", "scan", tmp_path / "requirements.txt", "--state", tmp_path / "elsewhere", "--json")
    assert other.returncode == 1 and json.loads(other.stdout)["database"] is None


def test_dependencies_that_no_service_knows_are_not_skipped(scan):
    """pip-audit 2.10.1 before a mirror without the vulnerability JSON: 20 of 20 skipped, exit 0."""
    code, report = scan("".join(f"package{i}==1.0\n" for i in range(20)), record())
    assert code == 1 and len(report["components"]) == 20
    assert all(one["verdict"] == "could-not-tell" for one in report["components"])


@pytest.mark.parametrize("spelling", ["zope.interface", "Zope.Interface", "zope_interface", "ZOPE-INTERFACE"])
def test_names_with_a_dot_are_not_dropped(scan, spelling):
    """google/osv-scanner#2940: names with a dot in requirements.txt are dropped, exit 0."""
    code, report = scan(f"{spelling}==1.0\n", record("zope.interface"))
    assert code == 1 and report["components"][0]["findings"]


def test_a_record_whose_name_is_not_normalised_is_found(scan):
    code, report = scan("jw-util==1.0\n", record("jw.util"))
    assert code == 1 and report["components"][0]["findings"]


@pytest.mark.parametrize("ranges", [(GIT, ECOSYSTEM), (ECOSYSTEM, GIT)])
def test_a_range_of_commits_hides_no_range_of_versions(scan, ranges):
    """osv-scanner 2.5.0 passes over the ECOSYSTEM range when a GIT range comes first."""
    code, report = scan("alpha==1.0\n", record(ranges=ranges))
    assert code == 1 and report["verdict"] == "vulnerable"
    code, report = scan("alpha==2.0\n", record(ranges=ranges))
    assert code == 0 and report["verdict"] == "clean"


def test_commits_alone_are_not_clean(scan):
    code, report = scan("alpha==1.0\n", record(ranges=(GIT,)))
    assert code == 1 and report["verdict"] == "could-not-tell"


@pytest.mark.parametrize(("name", "text"), [("requirements.txt", ""), ("requirements.txt", "# nothing yet\n"), ("pylock.toml", 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n')])
def test_nothing_at_all_is_not_clean(scan, name, text):
    code, report = scan(text, record(), name=name)
    assert code == 1 and [one["reason"] for one in report["could_not_tell"]] == ["empty"]


@pytest.mark.parametrize("line", ["alpha @ https://x.invalid/alpha.tar.gz", "git+https://x.invalid/alpha.git#egg=alpha", "-e ./alpha", "alpha", "alpha>=1", "${NAME}==1.0",
                                  "-r missing.txt", "alpha==1.*", "./alpha-1.0.tar.gz"])
def test_a_line_of_which_no_version_can_be_told_is_not_clean(scan, line):
    try:
        code, report = scan(f"beta==1.0\n{line}\n", record(), record("beta", [{"type": "ECOSYSTEM", "events": [{"introduced": "5"}]}], id="GHSA-b"))
    except json.JSONDecodeError:
        pytest.fail("no answer")
    assert code != 0, report
    assert "error" in report or report["verdict"] != "clean"


def test_what_the_scan_could_not_read_is_not_clean(scan):
    code, report = scan("alpha==1.0\nthis is ((( no requirement\n", record("alpha", [{"type": "ECOSYSTEM", "events": [{"introduced": "5"}]}]))
    assert code != 0
