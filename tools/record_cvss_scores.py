#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records the scores that PyPI's `cvss` package (Red Hat) gives to CVSS vectors.

Writes tests/vectors/cvss/scores.json. Run it in an environment of its own:

    python3 -m venv reference && reference/bin/pip install cvss==3.6
    reference/bin/python tools/record_cvss_scores.py

"all": every vector of a version's mandatory metrics, the last metric varying fastest, as scores in
tenths (of v4.0 the SHA-256 of the tenths, one a line). "some": random vectors with optional metrics,
malformed ones among them; null: refused.
"""
import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import random

import cvss
from cvss import constants2, constants3, constants4

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests/vectors/cvss/scores.json"
VERSIONS = {
    "2.0": ("", cvss.CVSS2, constants2.METRICS_VALUE_NAMES, constants2.METRICS_MANDATORY),
    "3.0": ("CVSS:3.0/", cvss.CVSS3, constants3.METRICS_VALUE_NAMES, constants3.METRICS_MANDATORY),
    "3.1": ("CVSS:3.1/", cvss.CVSS3, constants3.METRICS_VALUE_NAMES, constants3.METRICS_MANDATORY),
    "4.0": ("CVSS:4.0/", cvss.CVSS4, constants4.METRICS_VALUE_NAMES, constants4.METRICS_MANDATORY),
}
SPOILERS = ["", "XX:Y", "AV:N", "AV", "E:Z", "U:clear", "MSC:S", "C:H:H", ":", " A:N", "a:n"]


def every_score(version):
    prefix, scorer, values, mandatory = VERSIONS[version]
    for chosen in itertools.product(*(list(values[name]) for name in mandatory)):
        vector = prefix + "/".join(f"{name}:{value}" for name, value in zip(mandatory, chosen))
        yield round(float(scorer(vector).scores()[0]) * 10)


def random_vector(version, rng):
    prefix, _, values, mandatory = VERSIONS[version]
    share = rng.choice([0, 0.2, 0.9])
    names = [name for name in values if name in mandatory or rng.random() < share]
    if rng.random() < 0.05:
        names.remove(rng.choice(names))
    parts = [f"{name}:{rng.choice(list(values[name]))}" for name in names]
    if rng.random() < 0.1:
        rng.shuffle(parts)
    if rng.random() < 0.1:
        parts.insert(rng.randint(0, len(parts)), rng.choice(SPOILERS))
    return prefix + "/".join(parts)


def score_of(version, vector):
    try:
        return float(VERSIONS[version][1](vector).scores()[0])
    except cvss.exceptions.CVSSError:
        return None


def main() -> None:
    rng = random.Random(4)
    recorded = {"by": "cvss " + importlib.metadata.version("cvss"), "all": {}, "some": []}
    for version, (prefix, _, values, mandatory) in VERSIONS.items():
        tenths = list(every_score(version))
        row = {"prefix": prefix, "metrics": [[name, list(values[name])] for name in mandatory]}
        if version == "4.0":
            row["sha256"] = hashlib.sha256("".join(f"{one}\n" for one in tenths).encode()).hexdigest()
        else:
            row["tenths"] = tenths
        recorded["all"][version] = row
        for _ in range(1500 if version == "4.0" else 200):
            vector = random_vector(version, rng)
            recorded["some"].append([vector, score_of(version, vector)])
    recorded["some"].sort(key=lambda row: row[0])
    FILE.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(row) for row in recorded.pop("some"))
    FILE.write_text(json.dumps(recorded)[:-1] + ', "some": [\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
