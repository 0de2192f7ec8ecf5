# SPDX-License-Identifier: Apache-2.0
"""Advisory records as nobody should write them, and as somebody does: none of them makes a scan say "clean" of what it did not compare."""
import hashlib
import io
import json
import time
import zipfile

import pytest

NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
BELOW_2 = [{"introduced": "0"}, {"fixed": "2.0"}]


def record(id="GHSA-aaaa-0001", name="alpha", events=BELOW_2, ecosystem="PyPI", **more):
    return {"id": id, "modified": NOW, "affected": [affected(name, events, ecosystem)], **more}


def affected(name="alpha", events=BELOW_2, ecosystem="PyPI", **more):
    ranges = [{"type": "ECOSYSTEM", "events": events}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, **more}


def zipped(**records):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, one in records.items():
            archive.writestr(name, one if isinstance(one, str) else json.dumps(one))
    return data.getvalue()


@pytest.fixture
def update(cli, tmp_path):
    """Makes a database of these records, or texts by file name."""
    def update(*records, **texts):
        folder = tmp_path / "records"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for number, one in enumerate(records):
            (folder / f"{number}.json").write_text(json.dumps(one))
        for name, text in texts.items():
            (folder / name.replace("_yaml", ".yaml")).write_text(text)
        return cli.json("deps", "db", "update", "--from", folder)["database"]
    return update


@pytest.fixture
def judge(cli, tmp_path):
    """Verdict, ids of findings and reasons of one requirement."""
    def judge(line):
        (tmp_path / "requirements.txt").write_text(line + "\n")
        done = cli.run("deps", "scan", tmp_path / "requirements.txt", "--json")
        report = json.loads(done.stdout)
        assert (done.returncode == 0) == (report["verdict"] == "clean")
        one = report["components"][0]
        return one["verdict"], sorted(id for found in one["findings"] for id in found["ids"]), [one["reason"] for one in one["could_not_tell"]]
    return judge


@pytest.mark.parametrize("ecosystem", ["PyPI", "pypi", "PYPI", "PyPI:https://pypi.invalid/simple"])
def test_any_spelling_of_the_ecosystem_is_it(update, judge, ecosystem):
    update(record(ecosystem=ecosystem), record("OTHER-1", events=[{"introduced": "9"}]))
    assert judge("alpha==1.0")[0] == "vulnerable"


@pytest.mark.parametrize(("versions", "pin", "verdict", "reasons"), [
    (["nonsense", "also none"], "1.0", "could-not-tell", ["unevaluated-range"]),
    (["nonsense", "1.0"], "1.0", "vulnerable", []),
    (["nonsense", "1.0"], "1.1", "clean", []),
    (["1.0.0"], "v1", "vulnerable", []),
    (["2.0+cpu"], "2.0", "clean", []),
    (["2.0"], "2.0+cpu", "vulnerable", []),
])
def test_lists_of_versions_with_what_is_none(update, judge, versions, pin, verdict, reasons):
    update({"id": "GHSA-a", "modified": NOW, "affected": [affected(events=None, versions=versions)]})
    assert judge(f"alpha=={pin}")[0::2] == (verdict, reasons)


@pytest.mark.parametrize("events", [[{"fixed": "2.0"}], [{"last_affected": "2.0"}], [], [{"introduced": ""}], [{"introduced": "none"}, {"fixed": "2.0"}]])
def test_a_range_that_nothing_begins_is_not_evaluated(update, judge, events):
    update({"id": "GHSA-a", "modified": NOW, "affected": [{"package": {"ecosystem": "PyPI", "name": "alpha"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]})
    assert judge("alpha==1.0") == ("could-not-tell", [], ["unevaluated-range"])


def test_events_that_share_an_object_all_count(update, judge):
    update(record(events=[{"introduced": "0", "fixed": "2.0"}]))
    assert judge("alpha==1.0")[0] == "vulnerable"
    assert judge("alpha==2.0")[0] == "clean"


@pytest.mark.parametrize(("pin", "verdict"), [("2.0", "vulnerable"), ("2.0+cpu", "vulnerable"), ("2.0.post1", "clean"), ("2.0.dev1", "vulnerable")])
def test_the_last_affected_version_and_builds_of_it(update, judge, pin, verdict):
    update(record(events=[{"introduced": "0"}, {"last_affected": "2.0"}]))
    assert judge(f"alpha=={pin}")[0] == verdict


def test_a_package_in_two_blocks_of_one_record_is_held_against_both(update, judge):
    update({"id": "GHSA-a", "modified": NOW, "affected": [affected(events=[{"introduced": "5"}]), affected(name="Alpha", events=BELOW_2)]})
    assert judge("alpha==1.0")[0] == "vulnerable"
    assert judge("alpha==6.0")[0] == "vulnerable"
    assert judge("alpha==3.0")[0] == "clean"


def test_what_names_no_package_is_left_out_and_counted(update, judge):
    info = update({"id": "GHSA-a", "modified": NOW, "affected": [{"ranges": [{"type": "ECOSYSTEM", "events": BELOW_2}]}]}, record("GHSA-b"))
    assert (info["records"], info["foreign"]) == (1, 1)
    assert judge("alpha==1.0")[1] == ["GHSA-b"]


@pytest.mark.parametrize(("withdrawn", "verdict"), [("2020-01-01T00:00:00Z", "clean"), ("2999-01-01T00:00:00Z", "vulnerable"), ("perhaps", "could-not-tell"), ("", "vulnerable")])
def test_withdrawn_is_what_was_withdrawn_by_now(update, judge, withdrawn, verdict):
    update(record(withdrawn=withdrawn), record("OTHER-1", events=[{"introduced": "9"}]))
    assert judge("alpha==1.0")[0] == verdict


def test_a_broken_record_that_says_it_is_withdrawn_some_day_still_counts(update, judge):
    broken = record(withdrawn="2999-01-01T00:00:00Z")
    broken["affected"][0]["ranges"][0]["type"] = "SPACE"
    update(broken, record("OTHER-1", events=[{"introduced": "9"}]))
    assert judge("alpha==1.0")[0] == "could-not-tell"


@pytest.mark.parametrize("package", [{"ecosystem": "PyPI", "name": "alpha"}, {"ecosystem": "pypi", "name": "Alpha"}, {"ecosystem": "", "purl": "pkg:pypi/alpha"}])
def test_a_broken_record_speaks_for_every_package_that_it_names(update, judge, package):
    update({"id": "GHSA-a", "modified": NOW, "affected": [{"package": package, "ranges": [{"type": "SPACE"}]}]}, record("OTHER-1", events=[{"introduced": "9"}]))
    assert judge("alpha==1.0") == ("could-not-tell", [], ["unevaluated-range"])


def test_aliases_in_a_circle_are_one_vulnerability(update, judge, cli, tmp_path):
    update(record("A-1", aliases=["B-1"]), record("B-1", aliases=["C-1"]), record("C-1", aliases=["A-1", "CVE-2024-1"]), record("D-1", aliases=["D-1"]))
    assert judge("alpha==1.0")[1] == ["A-1", "B-1", "C-1", "CVE-2024-1", "D-1"]
    found = json.loads(cli.run("deps", "scan", tmp_path / "requirements.txt", "--json").stdout)["components"][0]["findings"]
    assert sorted(one["id"] for one in found) == ["CVE-2024-1", "D-1"]


def test_of_two_records_with_one_id_neither_hides_the_other(update, judge):
    update(record("GHSA-a", events=[{"introduced": "9"}]), record("GHSA-a", events=BELOW_2), record("GHSA-a", events=[{"introduced": "8"}]))
    assert judge("alpha==1.0")[:2] == ("vulnerable", ["GHSA-a"])


@pytest.mark.parametrize("line", ["alpha==1.0", "alpha===not-a-version", "alpha", "alpha>=1", "alpha @ https://x.invalid/alpha.tar.gz"])
def test_malware_is_found_whatever_the_version(update, judge, line):
    update(record("MAL-2024-1", events=[{"introduced": "0"}]))
    assert judge(line)[:2] == ("vulnerable", ["MAL-2024-1"])


def test_a_rating_is_told_in_words_or_by_every_version_of_cvss(update, cli, tmp_path):
    update(record("GHSA-a", database_specific={"severity": "MODERATE"}),
           record("GHSA-b", severity=[{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]),
           record("GHSA-c", severity=[{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N"}]),
           record("GHSA-d", severity=[{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:N/I:N/A:C"}]))
    (tmp_path / "requirements.txt").write_text("alpha==1.0\n")
    report = json.loads(cli.run("deps", "scan", tmp_path / "requirements.txt", "--json").stdout)
    ratings = {one["id"]: [(rating["rating"], rating["score"]) for rating in one["ratings"]] for one in report["components"][0]["findings"]}
    assert ratings == {"GHSA-a": [("medium", None)], "GHSA-b": [("critical", 9.3)], "GHSA-c": [("", None)], "GHSA-d": [("high", 7.8)]}


def test_an_archive_of_another_ecosystem_or_of_nothing_leaves_the_old_database(update, judge, cli, tmp_path):
    update(record())
    npm = record("GHSA-n", name="left-pad", ecosystem="npm")
    npm["affected"][0]["package"]["purl"] = "pkg:npm/left-pad"
    for content in (zipped(), zipped(**{"GHSA-n.json": npm}), zipped(**{"note.txt": "nothing"}), zipped(**{"GHSA-n.json": record("GHSA-n", ecosystem="npm")}), b"", b"PK"):
        (tmp_path / "all.zip").write_bytes(content)
        done = cli.run("deps", "db", "update", "--from", tmp_path / "all.zip", "--json")
        assert done.returncode == 3 and json.loads(done.stdout)["error"]["code"] == "advisories.database"
        assert judge("alpha==1.0")[1] == ["GHSA-aaaa-0001"]


def test_records_in_folders_of_an_archive_are_read(cli, judge, tmp_path):
    (tmp_path / "all.zip").write_bytes(zipped(**{"a/b/GHSA-a.json": record("GHSA-a"), "GHSA-b.yaml": json.dumps(record("GHSA-b"))}))
    cli.ok("deps", "db", "update", "--from", tmp_path / "all.zip")
    assert judge("alpha==1.0")[1] == ["GHSA-a", "GHSA-b"]


def test_what_is_left_out_makes_no_database_younger(update, cli, tmp_path):
    old = {**record(), "modified": "2020-01-01T00:00:00Z"}
    info = update(old, record("GHSA-n", ecosystem="npm"), {"id": "GHSA-x", "modified": NOW, "affected": []})
    assert info["newest"] == "2020-01-01T00:00:00Z"


YAML = """id: PYSEC-1
modified: "2020-01-01T00:00:00Z"
affected:
- package: &p {ecosystem: PyPI, name: alpha}
  ranges:
  - type: ECOSYSTEM
    events: &e [{introduced: "0"}, {fixed: 1.10}]
- package: *p
  versions: !!seq [3.0, !!str 3.1]
"""


def test_anchors_and_tags_of_yaml_mean_what_they_mean(update, judge):
    update(**{"PYSEC-1_yaml": YAML})
    assert [judge(f"alpha=={version}")[0] for version in ("1.9", "1.10", "3.0", "3.1")] == ["vulnerable", "clean", "vulnerable", "vulnerable"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))


@pytest.mark.parametrize("text", [
    BOMB + YAML,
    "---\n" + YAML + "---\n" + YAML.replace("PYSEC-1", "PYSEC-2"),
    YAML.replace("- package: *p\n", "- <<: {package: {ecosystem: PyPI, name: beta}}\n"),
    YAML + "id: PYSEC-3\n",
    "[" * 5000,
    "id: *nowhere\n",
])
def test_yaml_that_says_more_than_is_read_is_left_out_as_a_whole_and_counted(update, text):
    info = update(record(), **{"bad_yaml": text})
    assert (info["records"], info["skipped"]) == (1, 1)


def test_a_digest_is_one_in_capitals_too_and_is_never_ignored(cli, tmp_path):
    data = zipped(**{"GHSA-a.json": record()})
    (tmp_path / "all.zip").write_bytes(data)
    cli.ok("deps", "db", "update", "--from", tmp_path / "all.zip", "--sha256", hashlib.sha256(data).hexdigest().upper())
    done = cli.run("deps", "db", "update", "--kev", tmp_path / "kev.json", "--sha256", "0" * 64)
    assert done.returncode == 2
