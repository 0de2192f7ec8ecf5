# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps scan` and `deps db` as a user meets them: verdicts, exit codes, reasons, suppressions, updates that go wrong."""
import hashlib
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def record(id="GHSA-aaaa-0001", name="alpha", events=({"introduced": "0"}, {"fixed": "2.0"}), **more):
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {"id": id, "modified": NOW, "summary": "a summary", "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges}], **more}


def write_records(folder, *records):
    folder.mkdir(exist_ok=True)
    for one in records:
        (folder / f"{one['id']}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture
def know(cli, tmp_path):
    """Makes a database of these records."""
    def know(*records):
        folder = tmp_path / "records"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        return cli.json("deps", "db", "update", "--from", write_records(folder, *records))
    return know


@pytest.fixture
def pins(tmp_path):
    def pins(*lines):
        file = tmp_path / "requirements.txt"
        file.write_text("\n".join(lines) + "\n")
        return file
    return pins


def row(report, name):
    return next(one for one in report["components"] if one["name"] == name)


def test_a_vulnerable_version_is_found_with_its_fix_and_its_rating(cli, know, pins):
    know(record(aliases=["CVE-2024-1"], severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]))
    report = cli.json("deps", "scan", pins("alpha==1.5"), exit_code=1)
    assert report["verdict"] == "vulnerable" and report["database"]["newest"] == NOW
    finding, = row(report, "alpha")["findings"]
    assert finding["id"] == "CVE-2024-1" and finding["ids"] == ["CVE-2024-1", "GHSA-aaaa-0001"]
    assert finding["fixed_in"] == ["2.0"] and finding["suppressed"] is None
    assert [(one["score"], one["rating"], one["source"]) for one in finding["ratings"]] == [(9.8, "critical", "GHSA-aaaa-0001")]
    kinds = [event["type"] for event in cli.events()]
    assert {"deps.scanned", "deps.vulnerable", "advisories.updated"} <= set(kinds)


def test_clean_is_said_of_what_is_known_only(cli, know, pins):
    know(record())
    assert cli.json("deps", "scan", pins("alpha==2.0"))["verdict"] == "clean"
    report = cli.json("deps", "scan", pins("alpha==2.0", "stranger==1.0"), exit_code=1)
    assert report["verdict"] == "could-not-tell"
    assert [one["reason"] for one in row(report, "stranger")["could_not_tell"]] == ["unlisted-package"]


def test_what_could_not_be_told_is_accepted_by_name(cli, know, pins):
    know(record())
    file = pins("alpha==2.0", "Stranger_One==1.0", "stranger-two==1.0")
    assert cli.run("deps", "scan", file, "--accept", "stranger-one").returncode == 1
    assert cli.run("deps", "scan", file, "--accept", "Stranger.One", "--accept", "stranger-two").returncode == 0
    report = cli.json("deps", "scan", file, "--accept", "unlisted-package")
    assert row(report, "stranger-two")["could_not_tell"][0]["accepted"] is True
    assert report["verdict"] == "accepted" and report["counts"]["accepted"] == 2 and report["counts"]["clean"] == 1
    assert cli.run("deps", "scan", file, "--accept", "stranger-one,stranger-two").returncode == 0
    unknown = cli.json("deps", "scan", file, "--accept", "stranger-three", exit_code=2)["error"]
    assert unknown["code"] == "usage" and "stranger-three" in unknown["message"] and "unlisted-package" in unknown["hint"]
    know(record(events=({"introduced": "0"},)))
    assert cli.run("deps", "scan", pins("alpha==2.0"), "--accept", "alpha").returncode == 1, "a vulnerability is not accepted so"


def test_an_accepted_reason_makes_nothing_clean_that_another_record_could_tell(cli, know, pins):
    know(record(), record("GHSA-commits", events=None))
    accepted = ("--accept", "unevaluated-range")
    report = cli.json("deps", "scan", pins("alpha==2.0"), *accepted)
    assert report["verdict"] == "accepted" and report["counts"]["clean"] == 0
    assert cli.json("deps", "scan", pins("alpha==1.0"), *accepted, exit_code=1)["verdict"] == "vulnerable"


def test_a_baseline_accepts_what_is_known_today_and_nothing_else(cli, know, pins, tmp_path):
    know(record(), record("GHSA-b", name="beta"))
    file, baseline = pins("alpha==1.0", "stranger==1.0"), tmp_path / "baseline.json"
    terms = ("--reason", "looked at", "--author", "us", "--expires", "2999-12-31")
    made = cli.json("deps", "baseline", file, "-o", baseline, *terms)
    assert made["entries"] == 2
    report = cli.json("deps", "scan", file, "--baseline", baseline)
    assert report["verdict"] == "accepted" and report["baseline"] == {"used": 2, "expired": [], "unused": []}
    assert row(report, "alpha")["findings"][0]["accepted"] == {"reason": "looked at", "author": "us", "expires": "2999-12-31"}
    shown = cli.ok("deps", "scan", file, "--baseline", baseline).stdout
    assert "2 components: 0 clean, 2 accepted, 0 vulnerable, 0 could not tell" in shown and "until 2999-12-31" in shown
    # Another version, another package.
    report = cli.json("deps", "scan", pins("alpha==1.1", "beta==1.0"), "--baseline", baseline, exit_code=1)
    assert report["counts"]["vulnerable"] == 2 and len(report["baseline"]["unused"]) == 2
    assert "unused" in cli.run("deps", "scan", pins("alpha==1.1"), "--baseline", baseline).stdout


def test_an_expired_entry_of_a_baseline_accepts_nothing_and_is_said(cli, know, pins, tmp_path):
    know(record())
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"format": "mlxguard-baseline-1", "entries": [
        {"package": "pkg:pypi/alpha@1.0", "id": "GHSA-aaaa-0001", "reason": "r", "author": "a", "expires": "2020-01-01"}]}))
    report = cli.json("deps", "scan", pins("alpha==1.0"), "--baseline", baseline, exit_code=1)
    assert report["verdict"] == "vulnerable" and report["baseline"]["expired"][0]["id"] == "GHSA-aaaa-0001"
    assert "expired" in cli.run("deps", "scan", pins("alpha==1.0"), "--baseline", baseline).stdout
    for bad in ("{}", "[", '{"format": "mlxguard-baseline-1", "entries": [{"id": "x"}]}'):
        baseline.write_text(bad)
        error = cli.json("deps", "scan", pins("alpha==1.0"), "--baseline", baseline, exit_code=3)["error"]
        assert error["code"] == "deps.file" and error["hint"]
    for expires in ("yesterday", "2020-01-01"):
        command = ("deps", "baseline", pins("alpha==1.0"), "-o", baseline, "--reason", "r", "--author", "a", "--expires", expires)
        assert cli.json(*command, exit_code=2)["error"]["code"] == "usage"
    assert cli.run("deps", "baseline", pins("alpha==1.0"), "-o", baseline, "--author", "a", "--expires", "2999-01-01").returncode == 2


@pytest.mark.parametrize(("records", "pin", "reason"), [
    ([record()], "alpha==not.a.version", "version"),
    ([record()], "alpha>=1.0", "no-version"),
    ([record(events=None)], "alpha==1.0", "unevaluated-range"),
    ([record(events=({"introduced": "abc"},))], "alpha==1.0", "unevaluated-range"),
])
def test_why_it_could_not_be_told(cli, know, pins, records, pin, reason):
    know(*records)
    pin = pin.replace("==not", "===not")
    report = cli.json("deps", "scan", pins(pin), exit_code=1)
    assert report["verdict"] == "could-not-tell"
    assert [one["reason"] for one in row(report, "alpha")["could_not_tell"]] == [reason]


def test_commits_alone_could_not_tell(cli, know, pins):
    one = record(events=None)
    one["affected"][0]["ranges"] = [{"type": "GIT", "repo": "https://x.invalid/r", "events": [{"introduced": "0"}, {"fixed": "abcdef"}]}]
    know(one)
    report = cli.json("deps", "scan", pins("alpha==1.0"), exit_code=1)
    assert "only commits" in row(report, "alpha")["could_not_tell"][0]["text"]


def test_without_a_database_nothing_is_clean(cli, pins):
    report = cli.json("deps", "scan", pins("alpha==1.0"), exit_code=1)
    assert report["verdict"] == "could-not-tell" and [one["reason"] for one in report["could_not_tell"]] == ["no-database"]


def test_an_old_database_could_not_tell(cli, know, pins):
    know({**record(), "modified": "2020-01-01T00:00:00Z"})
    report = cli.json("deps", "scan", pins("alpha==2.0"), exit_code=1)
    assert [one["reason"] for one in report["could_not_tell"]] == ["old-database"]
    assert cli.json("deps", "scan", pins("alpha==2.0"), "--max-age", "40y")["verdict"] == "clean"
    assert cli.json("deps", "scan", pins("alpha==2.0"), "--accept", "old-database")["verdict"] == "accepted"


def test_aliases_are_one_vulnerability_and_withdrawn_ones_none(cli, know, pins):
    info = know(record("GHSA-1", aliases=["CVE-1"]), record("PYSEC-1", aliases=["CVE-1"]), record("OTHER-2", aliases=["GHSA-1"]),
                record("GHSA-9"), record("GHSA-W", withdrawn=NOW))
    assert info["database"]["withdrawn"] == 1
    findings = row(cli.json("deps", "scan", pins("alpha==1.0"), exit_code=1), "alpha")["findings"]
    assert [one["ids"] for one in findings] == [["CVE-1", "GHSA-1", "OTHER-2", "PYSEC-1"], ["GHSA-9"]]


def openvex(tmp_path, **statement):
    file = tmp_path / "vex.json"
    file.write_text(json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://x.invalid/vex", "author": "we", "timestamp": NOW, "version": 1,
                                "statements": [{"vulnerability": {"name": "GHSA-aaaa-0001"}, "products": [{"@id": "pkg:pypi/alpha"}], **statement}]}))
    return file


def test_vex_suppresses_with_a_justification_and_it_is_shown(cli, know, pins, tmp_path):
    know(record())
    vex = openvex(tmp_path, status="not_affected", justification="vulnerable_code_not_in_execute_path")
    report = cli.json("deps", "scan", pins("alpha==1.0"), "--vex", vex)
    assert report["verdict"] == "suppressed" and report["counts"] == {
        "clean": 0, "suppressed": 1, "accepted": 0, "could-not-tell": 0, "vulnerable": 0}
    assert row(report, "alpha")["findings"][0]["suppressed"]["justification"] == "vulnerable_code_not_in_execute_path"
    shown = cli.ok("deps", "scan", pins("alpha==1.0"), "--vex", vex).stdout
    assert "GHSA-aaaa-0001" in shown and "vulnerable_code_not_in_execute_path" in shown
    assert "1 components: 0 clean, 1 suppressed, 0 vulnerable" in shown


@pytest.mark.parametrize("statement", [{"status": "not_affected"}, {"status": "not_affected", "justification": "trust me"}, {"status": "nonsense"}])
def test_vex_without_a_justification_is_refused(cli, know, pins, tmp_path, statement):
    know(record())
    done = cli.run("deps", "scan", pins("alpha==1.0"), "--vex", openvex(tmp_path, **statement), "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["code"] == "vex.invalid"


@pytest.mark.parametrize(("statement", "suppressed"), [({"status": "affected", "action_statement": "update"}, False), ({"status": "under_investigation"}, False),
                                                       ({"status": "fixed"}, True)])
def test_only_some_states_suppress(cli, know, pins, tmp_path, statement, suppressed):
    know(record())
    done = cli.run("deps", "scan", pins("alpha==1.0"), "--vex", openvex(tmp_path, **statement))
    assert done.returncode == (0 if suppressed else 1)


NOT_AFFECTED = {"status": "not_affected", "justification": "inline_mitigations_already_exist"}


def statements(tmp_path, *rows, **document):
    """An OpenVEX document: rows of (time, status, product)."""
    file = tmp_path / "vex.json"
    listed = [{"vulnerability": {"name": "GHSA-aaaa-0001"}, **({"timestamp": time} if time else {}), **(NOT_AFFECTED if status == "not_affected" else {"status": status}),
               "products": [product if isinstance(product, dict) else {"@id": product}]} for time, status, product in rows]
    file.write_text(json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://x.invalid/vex", "author": "we", "statements": listed, **document}))
    return file


@pytest.mark.parametrize(("rows", "document", "suppressed"), [
    ([("2024-01-02T00:00:00Z", "not_affected"), ("2024-01-01T00:00:00Z", "affected")], {}, True),
    ([("2024-01-01T00:00:00Z", "not_affected"), ("2024-01-02T00:00:00Z", "affected")], {}, False),
    ([("2024-01-02T00:00:00Z", "under_investigation"), ("2024-01-01T00:00:00Z", "not_affected")], {}, False),
    ([("2024-01-01T12:00:00+02:00", "not_affected"), ("2024-01-01T11:00:00Z", "affected")], {}, False),
    ([("2024-01-01T00:00:00Z", "affected"), ("2024-01-01T00:00:00Z", "not_affected")], {}, True),
    ([(None, "not_affected"), ("2024-01-01T00:00:00Z", "affected")], {"timestamp": "2024-06-01T00:00:00Z"}, True),
    ([("2024-01-01T00:00:00Z", "affected"), (None, "not_affected")], {}, False),
])
def test_the_newest_statement_counts(cli, know, pins, tmp_path, rows, document, suppressed):
    know(record())
    vex = statements(tmp_path, *((time, status, "pkg:pypi/alpha") for time, status in rows), **document)
    assert cli.run("deps", "scan", pins("alpha==1.0"), "--vex", vex).returncode == (0 if suppressed else 1)


@pytest.mark.parametrize(("product", "suppressed"), [
    ("pkg:pypi/alpha", True), ("pkg:pypi/Alpha@1.0", True), ("pkg:pypi/alpha@1.1", False), ("pkg:pypi/beta", False), ("pkg:npm/alpha", False),
    ("pkg:pypi/alpha@1.0?arch=arm64", False), ("pkg:pypi/alpha@1.0#tests", False),
    ({"@id": "https://x.invalid/app", "identifiers": {"purl": "pkg:pypi/alpha@1.0"}}, True),
    ({"@id": "pkg:oci/app@sha256:1", "subcomponents": [{"@id": "pkg:pypi/alpha@1.0"}]}, False),
    ({"@id": "pkg:oci/app@sha256:1", "subcomponents": [{"@id": "pkg:pypi/beta"}]}, False),
    ({"@id": "pkg:pypi/other@1.0", "subcomponents": [{"@id": "pkg:pypi/alpha@1.0"}]}, False),
    ({"@id": "pkg:pypi/alpha@1.0", "subcomponents": [{"@id": "pkg:generic/inner"}]}, False),
])
def test_a_statement_is_about_its_product_alone(cli, know, pins, tmp_path, product, suppressed):
    know(record())
    vex = statements(tmp_path, (NOW, "not_affected", product))
    assert cli.run("deps", "scan", pins("alpha==1.0"), "--vex", vex).returncode == (0 if suppressed else 1)


@pytest.mark.parametrize(("product", "given", "suppressed"), [
    ("pkg:oci/app@sha256:1", "pkg:oci/app@sha256:1", True), ("pkg:oci/app", "pkg:oci/app@sha256:2", True),
    ("pkg:oci/app@sha256:1", "pkg:oci/app@sha256:2", False), ("pkg:oci/app", "pkg:oci/other", False),
    ("https://x.invalid/app", "https://x.invalid/app", True)])
def test_a_statement_about_parts_of_a_product_needs_that_product(cli, know, pins, tmp_path, product, given, suppressed):
    know(record())
    vex = statements(tmp_path, (NOW, "not_affected", {"@id": product, "subcomponents": [{"@id": "pkg:pypi/alpha@1.0"}]}))
    done = cli.run("deps", "scan", pins("alpha==1.0"), "--vex", vex, "--vex-product", given, "--json")
    assert done.returncode == (0 if suppressed else 1)
    assert len(json.loads(done.stdout)["unused_vex"]) == (0 if suppressed else 1)
    shown = cli.run("deps", "scan", pins("alpha==1.0"), "--vex", vex)
    assert shown.returncode == 1 and f"--vex-product {product}" in shown.stdout


def test_a_statement_that_suppresses_nothing_is_said(cli, know, pins, tmp_path):
    know(record())
    report = cli.json("deps", "scan", pins("alpha==2.0"), "--vex", statements(tmp_path, (NOW, "not_affected", "pkg:pypi/alpha")))
    assert report["verdict"] == "clean" and report["unused_vex"][0]["vulnerability"] == "GHSA-aaaa-0001"


def test_a_statement_without_product_or_with_no_time_is_refused(cli, know, pins, tmp_path):
    know(record())
    for vex in (statements(tmp_path, ("yesterday", "not_affected", "pkg:pypi/alpha")), statements(tmp_path, (NOW, "not_affected", {"@id": "urn:x"})),
                statements(tmp_path, (NOW, "not_affected", {"@id": "pkg:oci/a", "subcomponents": [{"@id": "urn:x"}]}))):
        assert cli.json("deps", "scan", pins("alpha==1.0"), "--vex", vex, exit_code=3)["error"]["code"] == "vex.invalid"


def test_known_exploited_vulnerabilities_are_marked(cli, know, pins, tmp_path):
    know(record(aliases=["CVE-2024-7"]))
    catalog = tmp_path / "kev.json"
    catalog.write_text(json.dumps({"vulnerabilities": [{"cveID": "CVE-2024-7", "dateAdded": "2024-05-05"}]}))
    cli.ok("deps", "db", "update", "--kev", catalog)
    assert row(cli.json("deps", "scan", pins("alpha==1.0"), exit_code=1), "alpha")["findings"][0]["exploited_since"] == "2024-05-05"


def test_the_path_that_brings_it_in_is_shown(cli, know, tmp_path):
    site = tmp_path / "env/lib/python3.11/site-packages"
    for name, requires in (("top", ["middle"]), ("middle", ["alpha>=1"]), ("alpha", [])):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + "".join(f"Requires-Dist: {one}\n" for one in requires))
        (info / "RECORD").write_text(f"{name}-1.0.dist-info/METADATA,,\n{name}-1.0.dist-info/RECORD,,\n")
    (site / "top-1.0.dist-info/REQUESTED").write_text("")
    (tmp_path / "env/pyvenv.cfg").write_text("version = 3.11.7\ninclude-system-site-packages = false\n")
    know(record())
    report = cli.json("deps", "scan", tmp_path / "env", "--accept", "unlisted-package", "--accept", "unreadable", exit_code=1)
    assert row(report, "alpha")["path"] == ["top", "middle", "alpha"]


def test_sarif_has_every_finding(cli, know, pins, tmp_path):
    know(record(), record("GHSA-b", name="beta"))
    done = cli.run("deps", "scan", pins("alpha==1.0", "beta==1.0", "stranger==1"), "--sarif", "-")
    run, = json.loads(done.stdout)["runs"]
    assert done.returncode == 1
    assert {one["ruleId"] for one in run["results"]} == {"GHSA-aaaa-0001", "GHSA-b", "deps.could_not_tell", "deps.incomplete"}
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in run["results"]} <= set(rules)
    assert "Fix: upgrade alpha to 2.0" in rules["GHSA-aaaa-0001"]["help"]["text"]
    for result in run["results"]:
        assert result["partialFingerprints"] and result["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] == "SRCROOT"


def place(result):
    physical = result["locations"][0]["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical.get("region", {}).get("startLine")


def test_sarif_places_findings_where_they_are_written(cli, know, pins, tmp_path):
    know(record())
    file = pins("# a comment", "stranger==1", "alpha==1.0")
    run, = json.loads(cli.run("deps", "scan", file, "--sarif", "-").stdout)["runs"]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == f"file://{tmp_path}/"
    assert {result["ruleId"]: place(result) for result in run["results"] if "alpha" in result["message"]["text"]} == {
        "GHSA-aaaa-0001": ("requirements.txt", 3)}
    known_line = [place(result) for result in run["results"] if result["message"]["text"].startswith("stranger")]
    assert known_line == [("requirements.txt", 2)]
    env = tmp_path / "env"
    site = env / "lib/python3.11/site-packages/alpha-1.0.dist-info"
    site.mkdir(parents=True)
    (env / "pyvenv.cfg").write_text("version = 3.11.2\ninclude-system-site-packages = false\n")
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n\n")
    (site / "RECORD").write_text("alpha-1.0.dist-info/RECORD,,\n")
    run, = json.loads(cli.run("deps", "scan", env, "--sarif", "-").stdout)["runs"]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == f"file://{env}/"
    assert place(next(one for one in run["results"] if one["ruleId"] == "GHSA-aaaa-0001")) == (
        "lib/python3.11/site-packages/alpha-1.0.dist-info", None)


def test_broken_records_are_left_out_counted_and_named(cli, tmp_path, pins):
    folder = write_records(tmp_path / "records", record())
    (folder / "broken.json").write_text("{")
    (folder / "nothing.json").write_text('{"id": "X"}')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "event.json").write_text(json.dumps(record("E", events=({"invented": "1"},))))
    done = cli.run("deps", "db", "update", "--from", folder, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["database"]["skipped"] == 4
    assert all(name in done.stderr for name in ("broken.json", "nothing.json", "deep.json", "event.json"))
    assert json.loads(cli.run("deps", "scan", pins("alpha==1.0"), "--json").stdout)["database"]["skipped"] == 4
    # 2.0 is fixed by the one record that can be read; what the broken one says of alpha nobody knows.
    report = cli.json("deps", "scan", pins("alpha==2.0"), exit_code=1)
    assert report["verdict"] == "could-not-tell"
    assert "event.json" in row(report, "alpha")["could_not_tell"][0]["text"]


def test_a_record_of_tomorrow_makes_no_database_younger(cli, know, pins):
    old, tomorrow = record(id="A"), record(id="B", name="beta")
    old["modified"], tomorrow["modified"] = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    assert know(old, tomorrow)["database"]["newest"] == "2020-01-01T00:00:00Z"
    report = cli.json("deps", "scan", pins("alpha==2.0"), exit_code=1)
    assert [one["reason"] for one in report["could_not_tell"]] == ["old-database"]


@pytest.mark.parametrize(("pin", "verdict"), [("alpha==1.9+cpu", "vulnerable"), ("alpha==2.0+cpu", "clean"), ("alpha==1!0", "clean"), ("alpha===1.9.post1", "vulnerable"),
                                              ("alpha==2.0rc1", "vulnerable")])
def test_versions_at_the_edges(cli, know, pins, pin, verdict):
    know(record())
    assert json.loads(cli.run("deps", "scan", pins(pin), "--json").stdout)["verdict"] == verdict


def test_yaml_records_are_read(cli, tmp_path, pins):
    folder = tmp_path / "yaml"
    folder.mkdir()
    (folder / "PYSEC-1.yaml").write_text(f"id: PYSEC-1\nmodified: '{NOW}'\naffected:\n- package: {{name: alpha, ecosystem: PyPI}}\n"
                                         "  ranges:\n  - type: ECOSYSTEM\n    events:\n    - introduced: \"0\"\n    - fixed: 1.10\n")
    (folder / "bomb.yaml").write_text("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi")))
    (folder / "deep.yaml").write_text("- " * 100_000)
    info = cli.json("deps", "db", "update", "--from", folder)["database"]
    assert (info["records"], info["skipped"]) == (1, 2)
    assert cli.run("deps", "scan", pins("alpha==1.9")).returncode == 1
    assert cli.run("deps", "scan", pins("alpha==1.10")).returncode == 0


def test_the_digest_is_checked_and_a_failed_update_leaves_the_old_database(cli, know, tmp_path, pins):
    know(record())
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("GHSA-n.json", json.dumps(record("GHSA-n", name="beta")))
    before = (cli.state / "advisories/osv.db").read_bytes()
    error = cli.json("deps", "db", "update", "--from", archive, "--sha256", "0" * 64, exit_code=1)["error"]
    assert error["code"] == "advisories.digest" and error["actual"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    for bad in (b"no zip at all", archive.read_bytes()[:100]):
        (tmp_path / "bad.zip").write_bytes(bad)
        assert cli.run("deps", "db", "update", "--from", tmp_path / "bad.zip").returncode in (1, 3)
    (tmp_path / "empty").mkdir()
    assert cli.json("deps", "db", "update", "--from", tmp_path / "empty", exit_code=3)["error"]["code"] == "advisories.database"
    assert (cli.state / "advisories/osv.db").read_bytes() == before
    cli.ok("deps", "db", "update", "--from", archive, "--sha256", hashlib.sha256(archive.read_bytes()).hexdigest())


def test_killed_while_it_updates_the_old_database_stays(cli, know, tmp_path):
    know(record())
    before = (cli.state / "advisories/osv.db").read_bytes()
    folder = tmp_path / "many"
    write_records(folder, *(record(f"GHSA-{i}", name=f"p{i}") for i in range(3000)))
    for delay in (0.01, 0.03, 0.06, 0.1, 0.15):
        process = subprocess.Popen([cli.binary, "deps", "db", "update", "--from", folder, "--state", cli.state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        database = (cli.state / "advisories/osv.db").read_bytes()
        assert database == before or cli.json("deps", "db", "status")["database"]["records"] == 3000


def test_a_damaged_database_is_an_error_and_never_clean(cli, know, pins):
    know(record())
    file = cli.state / "advisories/osv.db"
    data = bytearray(file.read_bytes())
    for at in (0, 9, 40, len(data) // 2, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        file.write_bytes(broken)
        done = cli.run("deps", "scan", pins("alpha==2.0"), "--json")
        assert done.returncode == 3 and json.loads(done.stdout)["error"]["code"] == "advisories.database"
    file.write_bytes(data[:20])
    assert cli.run("deps", "scan", pins("alpha==2.0")).returncode == 3


def test_a_feed_counts_when_its_key_signed_it_and_it_is_not_older(cli, know, pins, passphrase_file, tmp_path):
    know(record("X-1", name="other"))
    own = write_records(tmp_path / "own", record("MLXG-1", name="mlx", events=({"introduced": "0"}, {"fixed": "0.30"})))
    for version in (1, 2):
        cli.ok("deps", "db", "sign-feed", "--from", own, "-o", tmp_path / f"feed{version}.json", "--version-number", version, "--key", "signer",
               "--passphrase-file", passphrase_file)
    public = cli.state / "keys/signer.pub"
    update = lambda version, key=public: cli.run("deps", "db", "update", "--feed", tmp_path / f"feed{version}.json", "--feed-key", key, "--json")
    assert update(2).returncode == 0
    report = cli.json("deps", "scan", pins("mlx==0.29"), exit_code=1)
    assert row(report, "mlx")["findings"][0]["id"] == "MLXG-1" and report["feed"]["records"] == 1
    older = update(1)
    assert older.returncode == 1 and json.loads(older.stdout)["error"]["code"] == "advisories.feed"
    cli.ok("key", "new", "stranger", "--passphrase-file", passphrase_file)
    assert json.loads(update(2, cli.state / "keys/stranger.pub").stdout)["error"]["code"] == "advisories.feed"
    text = (tmp_path / "feed2.json").read_text()
    (tmp_path / "feed2.json").write_text(text.replace('"payload":"', '"payload":"A', 1))
    assert json.loads(update(2).stdout)["error"]["code"] == "advisories.feed"


def test_a_feed_whose_version_is_lost_or_whose_key_is_revoked_is_not_replaced(cli, know, pins, passphrase_file, tmp_path):
    own = write_records(tmp_path / "own", record("MLXG-1", name="mlx"))
    for version in (2, 3):
        cli.ok("deps", "db", "sign-feed", "--from", own, "-o", tmp_path / f"feed{version}.json", "--version-number", version, "--key", "signer",
               "--passphrase-file", passphrase_file)
    update = ("deps", "db", "update", "--feed-key", cli.state / "keys/signer.pub", "--feed")
    cli.ok(*update, tmp_path / "feed3.json")
    present = next(cli.state.rglob("feed.db"))
    data = present.read_bytes()
    present.write_bytes(data[:40])
    error = cli.json(*update, tmp_path / "feed2.json", exit_code=1)["error"]
    assert error["code"] == "advisories.feed" and "damaged" in error["message"]
    assert present.read_bytes() == data[:40]
    present.unlink()
    cli.ok(*update, tmp_path / "feed3.json")
    cli.ok("key", "revoke", "signer", "--reason", "lost", "--passphrase-file", passphrase_file)
    assert cli.json(*update, tmp_path / "feed3.json", exit_code=1)["error"]["code"] == "key.revoked"
    know(record())
    assert cli.json("deps", "scan", pins("alpha==2.0"), exit_code=1)["error"]["code"] == "key.revoked", "what the key signed while it was good"
    present.unlink()
    cli.ok("deps", "scan", pins("alpha==2.0"))


def test_of_feeds_that_come_at_once_the_newest_stays(cli, know, passphrase_file, tmp_path):
    know(record())
    own = write_records(tmp_path / "own", *(record(f"MLXG-{i}", name=f"part{i}", details="x" * 1000) for i in range(200)))
    feeds = {version: tmp_path / f"feed{version}.json" for version in range(1, 9)}
    for version, feed in feeds.items():
        cli.ok("deps", "db", "sign-feed", "--from", own, "-o", feed, "--version-number", version, "--key", "signer", "--passphrase-file", passphrase_file)
    running = {version: subprocess.Popen([cli.binary, "deps", "db", "update", "--feed", feed, "--feed-key", cli.state / "keys/signer.pub", "--state", cli.state, "--json"],
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE) for version, feed in reversed(feeds.items())}
    ended = {version: process.wait(60) for version, process in running.items()}
    assert ended[8] == 0 and set(ended.values()) <= {0, 1}
    assert cli.json("deps", "db", "status")["feed"]["version"] == 8
    assert cli.json("deps", "db", "update", "--feed", feeds[7], "--feed-key", cli.state / "keys/signer.pub", exit_code=1)["error"]["code"] == "advisories.feed"


def test_a_feed_of_many_records_is_taken_over(cli, know, pins, passphrase_file, tmp_path):
    know(record("X-1", name="other"))
    own = write_records(tmp_path / "own", *(record(f"MLXG-{i}", name=f"part{i}", details="x" * 1000) for i in range(500)))
    cli.ok("deps", "db", "sign-feed", "--from", own, "-o", tmp_path / "feed.json", "--version-number", 1, "--key", "signer", "--passphrase-file", passphrase_file)
    assert (tmp_path / "feed.json").stat().st_size > 500_000
    info = cli.json("deps", "db", "update", "--feed", tmp_path / "feed.json", "--feed-key", cli.state / "keys/signer.pub")
    assert info["feed"]["records"] == 500


def test_a_database_is_fetched_from_a_url(cli, tmp_path, pins):
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("GHSA-n.json", json.dumps(record()))
    handler = lambda *args: http.server.SimpleHTTPRequestHandler(*args, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    cli.ok("deps", "db", "update", "--from", f"{url}/all.zip")
    assert cli.run("deps", "scan", pins("alpha==1.0")).returncode == 1
    missing = cli.run("deps", "db", "update", "--from", f"{url}/none.zip", "--json")
    assert missing.returncode == 3 and json.loads(missing.stdout)["error"]["code"] == "mirror.upstream"
    server.shutdown()
    plain = cli.run("deps", "db", "update", "--from", "http://192.0.2.1/all.zip", "--json")
    assert json.loads(plain.stdout)["error"]["code"] == "usage"
    assert not [path for path in (cli.state / "advisories").iterdir() if path.name.startswith("download")]


@pytest.mark.skipif(not (SHARED / "data/kev").is_dir(), reason="../shared/data/kev is not there")
def test_the_real_catalog_is_read(cli):
    catalog = next((SHARED / "data/kev").rglob("*.json"))
    assert cli.json("deps", "db", "update", "--kev", catalog)["exploited"] > 1000
