# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps scan` beside an independent oracle in Python (PyPI's `packaging` and OSV's evaluation), over every package of a
real snapshot of PyPI's advisories, with versions that are listed, between, before, after and beyond. Equal, all of it."""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import zipfile

import pytest
from packaging.version import InvalidVersion, Version

SNAPSHOT = pathlib.Path(__file__).resolve().parents[3] / "shared/advisories/pypi-osv-2025-02-12.zip"
pytestmark = pytest.mark.skipif(not SNAPSHOT.is_file(), reason="../shared/advisories is not there")


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def parsed(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


@pytest.fixture(scope="session")
def advisories():
    """Affected entries by package: (record, affected), withdrawn ones left out."""
    by_package = {}
    with zipfile.ZipFile(SNAPSHOT) as archive:
        for name in archive.namelist():
            record = json.loads(archive.read(name))
            if record.get("withdrawn"):
                continue
            for affected in record["affected"]:
                by_package.setdefault(normalized(affected["package"]["name"]), []).append((record, affected))
    return by_package


def judge(affected, text):
    """"affected", "unaffected" or "could-not-tell", by the OSV schema's own evaluation."""
    version = parsed(text)
    if version is not None and version.local:
        # Ours is stricter than the schema: a local version is affected where its public version is.
        named = any((parsed(value) or Version("0")).local for one in affected.get("ranges", []) for event in one["events"] for value in event.values())
        public = judge(affected, version.public)
        if public == "affected" and not named:
            return public
    evaluated, unclear = any(parsed(listed) for listed in affected.get("versions", [])), version is None
    for listed in affected.get("versions", []):
        if listed == text or (version is not None and parsed(listed) == version):
            return "affected"
    for one in affected.get("ranges", []):
        if one["type"] == "GIT":
            continue
        if one["events"] and all(event == {"introduced": "0"} for event in one["events"]):
            return "affected"  # every version, also one that cannot be compared
        events = [(kind, parsed(value) if value != "0" else None, value) for event in one["events"] for kind, value in event.items()]
        if version is None or any(at is None and value != "0" for _, at, value in events):
            unclear = True
            continue
        evaluated = True
        vulnerable = False
        for kind, at, _ in sorted(events, key=lambda event: (event[1] is not None, event[1] or Version("0"))):
            if kind == "introduced" and (at is None or version >= at):
                vulnerable = True
            elif kind == "fixed" and version >= at:
                vulnerable = False
            elif kind == "last_affected" and version > at:
                vulnerable = False
        if vulnerable:
            return "affected"
    return "could-not-tell" if unclear or not evaluated else "unaffected"


def expected(entries, text):
    """The ids of the records that affect the version, and those of which it could not be told."""
    standing = {}
    for record, affected in entries:
        standing.setdefault(record["id"], set()).add(judge(affected, text))
    hit = {record for record, seen in standing.items() if "affected" in seen}
    return hit, {record for record, seen in standing.items() if "could-not-tell" in seen} - hit


def versions_of(entries, rng):
    """Some that are listed, and neighbours of every event."""
    listed = [version for _, affected in entries for version in affected.get("versions", [])]
    events = [value for _, affected in entries for one in affected.get("ranges", []) if one["type"] != "GIT"
              for event in one["events"] for value in event.values()]
    texts = [rng.choice(listed)] if listed else []
    if events:
        text = rng.choice(events)
        texts += [text, text + ".0", text + ".dev1", text + "rc1", text + ".post1", text + "+local.1", "1!" + text]
    texts += ["0", "0.0.1.dev0", "999999999999999999999.0", "1.0-alpha.1"]
    return [text for text in texts if re.fullmatch(r"[^\s;#,]+", text)]


def scan(cli, folder, pins):
    """Ids by package, from one scan of a requirements file."""
    file = folder / "requirements.txt"
    file.write_text("".join(f"{name}==={version}\n" for name, version in pins.items()))
    done = cli.run("deps", "scan", file, "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    rows = {row["name"]: row for row in report["components"]}
    assert set(rows) == set(pins)
    return rows


def test_every_package_of_the_snapshot_is_judged_as_by_the_oracle(cli, advisories, tmp_path):
    cli.ok("deps", "db", "update", "--from", SNAPSHOT)
    rng = random.Random(23)
    rounds = [{name: version for name, version in ((name, rng.choice(versions_of(entries, rng))) for name, entries in advisories.items())}
              for _ in range(12)]
    compared = affected = 0
    for pins in rounds:
        rows = scan(cli, tmp_path, pins)
        for name, version in pins.items():
            hit, unclear = expected(advisories[name], version)
            ours = {one for finding in rows[name]["findings"] for one in finding["ids"]}
            known = {record["id"] for record, _ in advisories[name]}
            assert ours & known == hit, (name, version)
            told = {one["text"].split(":")[0] for one in rows[name]["could_not_tell"]}
            assert told == unclear, (name, version)
            verdict = "vulnerable" if hit else "could-not-tell" if unclear else "clean"
            assert rows[name]["verdict"] == verdict, (name, version)
            compared += 1
            affected += bool(hit)
    assert compared > 8000 and affected > 1000


def test_names_are_normalised_on_both_sides(cli, advisories, tmp_path):
    """A record for `Products.CMFPlone` is found for `products-cmfplone`, and the other way."""
    written = {record_name: name for name, entries in advisories.items() for _, affected in entries
               for record_name in [affected["package"]["name"]] if record_name != name}
    assert len(written) >= 3
    cli.ok("deps", "db", "update", "--from", SNAPSHOT)
    for spelled, name in sorted(written.items())[:40]:
        rows = {}
        for spelling in (spelled, name, name.replace("-", "_").upper()):
            version = next((v for _, affected in advisories[name] for v in affected.get("versions", []) if parsed(v)), "0.0.1")
            file = tmp_path / "requirements.txt"
            file.write_text(f"{spelling}=={version}\n")
            report = json.loads(cli.run("deps", "scan", file, "--json").stdout)
            rows[spelling] = report["components"][0]
        assert len({json.dumps([row["name"], row["verdict"], row["findings"]]) for row in rows.values()}) == 1, spelled


@pytest.mark.skipif(not os.environ.get("OSV_SCANNER"), reason="OSV_SCANNER names no osv-scanner 2.5")
def test_osv_scanner_finds_nothing_that_we_do_not_and_what_it_misses_is_explained(cli, advisories, tmp_path):
    """One listed version of each package. osv-scanner 2.5.0 misses records whose name is not normalised, and, of those without a list of
    versions, the ones whose range of commits stands before the range of versions."""
    cli.ok("deps", "db", "update", "--from", SNAPSHOT)
    cache = tmp_path / "osv/osv-scalibr/PyPI"
    cache.mkdir(parents=True)
    shutil.copy(SNAPSHOT, cache / "all.zip")
    rng = random.Random(31)
    listed = {name: [version for _, affected in entries for version in affected.get("versions", []) if parsed(version)] for name, entries in advisories.items()}
    pins = {name: rng.choice(versions) for name, versions in listed.items() if versions}
    rows = scan(cli, tmp_path, pins)
    (tmp_path / "requirements.txt").write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    done = subprocess.run([os.environ["OSV_SCANNER"], "scan", "source", "--offline", "--format", "json", "-L", tmp_path / "requirements.txt"], capture_output=True,
                          text=True, timeout=120, env={**os.environ, "OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY": str(tmp_path / "osv")})
    theirs = {(normalized(package["package"]["name"]), one["id"]) for result in json.loads(done.stdout)["results"]
              for package in result["packages"] for one in package["vulnerabilities"]}
    known = {(name, record["id"]): (record, affected) for name, entries in advisories.items() for record, affected in entries}
    ours = {(name, one) for name, row in rows.items() for finding in row["findings"] for one in finding["ids"] if (name, one) in known}
    assert theirs <= ours and len(theirs) > 1500
    for name, missed in ours - theirs:
        _, affected = known[name, missed]
        kinds = [one["type"] for one in affected.get("ranges", [])]
        unnormalised = affected["package"]["name"] != name
        assert unnormalised or (not affected.get("versions") and kinds[:1] == ["GIT"]), (name, missed)
