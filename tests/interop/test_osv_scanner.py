# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps scan` beside osv-scanner (offline, the same records) over every package of a real snapshot. What it misses is explained
record by record, and it finds nothing that we do not. OSV_SCANNER names the program; 2.5.0 is the one that the explanations are of."""
import json
import os
import random
import shutil
import subprocess

import pytest
from test_osv_differential import SNAPSHOT, advisories, expected, judge, parsed, scan, versions_of  # noqa: F401 (a fixture)

SCANNER = os.environ.get("OSV_SCANNER") or shutil.which("osv-scanner")
pytestmark = [pytest.mark.skipif(not SNAPSHOT.is_file(), reason="../shared/advisories is not there"),
              pytest.mark.skipif(not SCANNER, reason="osv-scanner is not installed (OSV_SCANNER names it)")]


def theirs(folder, requirements):
    """Ids of records by normalised name."""
    cache = folder / "osv/osv-scalibr/PyPI"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copy(SNAPSHOT, cache / "all.zip")
    done = subprocess.run([SCANNER, "scan", "source", "--offline", "--format", "json", "-L", requirements], capture_output=True, text=True,
                          timeout=300, env=os.environ | {"OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY": str(folder / "osv")})
    found = {}
    for result in json.loads(done.stdout)["results"]:
        for package in result["packages"]:
            found.setdefault(package["package"]["name"], set()).update(one["id"] for one in package["vulnerabilities"])
    return found


def why_missed(name, version, entries):
    """Why osv-scanner passes over the entries of a record that affect the version; nothing: nobody knows."""
    affecting = [one for one in entries if judge(one, version) == "affected"]
    if all(one["package"]["name"] != name for one in affecting):
        return "the record's name is not normalised"
    if all((one.get("ranges") or [{}])[0].get("type") == "GIT" for one in affecting):
        return "of a range of commits and one of versions it reads the first alone"
    if parsed(version).local:
        return "we hold a local version for its public one"
    if not any(one.get("ranges") for one in affecting) and version not in affecting[0]["versions"]:
        return "it compares listed versions as texts: 1.0.0 is not 1.0"
    return None


def test_every_difference_to_osv_scanner_is_explained(cli, advisories, tmp_path):  # noqa: F811
    cli.ok("deps", "db", "update", "--from", SNAPSHOT)
    rng = random.Random(99)
    reasons, compared = {}, 0
    for _ in range(3):
        pins = {name: rng.choice([text for text in versions_of(entries, rng) if parsed(text)]) for name, entries in advisories.items()}
        rows = scan(cli, tmp_path, pins)
        (tmp_path / "requirements.txt").write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        found = theirs(tmp_path, tmp_path / "requirements.txt")
        for name, version in pins.items():
            known = {record["id"] for record, _ in advisories[name]}
            ours = {one for finding in rows[name]["findings"] for one in finding["ids"]} & known
            assert found.get(name, set()) <= ours, (name, version)
            for missed in ours - found.get(name, set()):
                why = why_missed(name, version, [affected for record, affected in advisories[name] if record["id"] == missed])
                assert why, (name, version, missed)
                reasons[why] = reasons.get(why, 0) + 1
            compared += 1
    assert compared > 2000 and sum(reasons.values()) > 100, reasons
