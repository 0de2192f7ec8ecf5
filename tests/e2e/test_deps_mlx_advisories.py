# SPDX-License-Identifier: Apache-2.0
"""The records in advisories/, as a feed: signed, taken over, and held against versions of mlx."""
import json
import pathlib

import pytest

RECORDS = pathlib.Path(__file__).resolve().parents[2] / "advisories"
CASES = [("mlx==0.29.3", {"CVE-2025-62608", "CVE-2025-62609", "GHSA-2284-h945-8w3c", "MLXG-2026-0003", "MLXG-2026-0004", "MLXG-2026-0005"}),
         ("mlx==0.29.4", {"GHSA-2284-h945-8w3c", "MLXG-2026-0003", "MLXG-2026-0004", "MLXG-2026-0005"}),
         ("mlx-cpu==0.32.0", {"GHSA-2284-h945-8w3c", "MLXG-2026-0003", "MLXG-2026-0004"}),
         ("mlx==0.32.4", set()), ("mlx-lm==0.31.3", {"CVE-2026-5843"}), ("mlx_lm==0.32.2", set())]


@pytest.fixture
def feed(cli, passphrase_file, tmp_path):
    done = cli.json("deps", "db", "sign-feed", "--from", RECORDS, "-o", tmp_path / "feed.json", "--version-number", 1, "--key", "signer",
                    "--passphrase-file", passphrase_file)
    assert done["version"] == 1
    updated = cli.json("deps", "db", "update", "--feed", tmp_path / "feed.json", "--feed-key", cli.state / "keys/signer.pub")
    assert updated["feed"]["records"] == len(list(RECORDS.glob("*.json"))) and updated["feed"]["skipped"] == 0


@pytest.mark.parametrize(("pin", "ids"), CASES)
def test_versions_of_mlx_are_judged_by_the_feed(cli, feed, tmp_path, pin, ids):
    file = tmp_path / "requirements.txt"
    file.write_text(pin + "\n")
    done = cli.run("deps", "scan", file, "--json", "--accept", "no-database")
    assert done.returncode == (1 if ids else 0), done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == ("vulnerable" if ids else "accepted")
    found = set().union(*[finding["ids"] for finding in report["components"][0]["findings"]])
    ours = {one for one in found if not one.startswith("MLXG-") or one in ids}
    assert ids <= ours and len(report["components"][0]["findings"]) == len(ids)
