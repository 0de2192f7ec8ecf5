# SPDX-License-Identifier: Apache-2.0
"""Races between checking a model and loading it (docs/threat-model.md: time of check, time of use).

A process rewrites the weights without pause, between the signed bytes and an attacker's, by rename and in
place, while the model is loaded again and again. Each load ends in the signed weights' answer or in a
refusal; the attacker's weights never answer. Both outcomes have to occur, or there was no race.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = "model.mlxfn"
# What a rewritten file may be refused as; anything else is a bug.
REFUSALS = {"signature.digest_mismatch", "artifact.changed", "signature.file_missing"}
SECONDS_MAX = 150

# argv: file, signed bytes, evil bytes, how. Runs until it is killed. The bytes to move into place are
# prepared beside the model, not in it: a stray file would be refused for its name alone.
REWRITER = """
import os, sys
file, signed, evil, how = sys.argv[1:]
contents = [open(evil, "rb").read(), open(signed, "rb").read()]
spare = os.path.join(os.path.dirname(signed), "spare")
print("ready", flush=True)
while True:
    for content in contents:
        if how == "rename":
            with open(spare, "wb") as out:
                out.write(content)
            os.rename(spare, file)
        else:
            with open(file, "r+b", buffering=0) as out:
                for start in range(0, len(content), 512):
                    out.write(content[start:start + 512])
                out.truncate(len(content))
"""


def export(folder: pathlib.Path, seed: int):
    """The function `mlp` with weights of another seed."""
    script = ("import pathlib, sys; sys.path.insert(0, sys.argv[1]); import mlx.core as mx; real = mx.random.seed; "
              "mx.random.seed = lambda _: real(int(sys.argv[3])); import export_functions; "
              "export_functions.write(pathlib.Path(sys.argv[2]), 'mlp')")
    subprocess.run([sys.executable, "-c", script, ROOT / "tools", folder, str(seed)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models of one shape: what the operator signed, and what the attacker would like to run."""
    folder = tmp_path_factory.mktemp("race")
    export(folder / "good", 0)
    export(folder / "evil", 1)
    shutil.copy(folder / "good/mlxguard.json", folder / "evil/mlxguard.json")
    return folder


@pytest.fixture
def body(tmp_path):
    data = [((i * 7) % 13) / 13 for i in range(64)]
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"inputs": [{"name": "x", "shape": [4, 16], "datatype": "FP32", "data": data}]}))
    return file


@pytest.fixture
def scene(cli, models, body, tmp_path):
    """A signed model; the answers of the signed and of the evil weights, which differ."""

    class Scene:
        model = tmp_path / "model"
        signed = models / "good" / WEIGHTS
        evil = models / "evil" / WEIGHTS

        def run(self, model):
            done = cli.run("run", model, "--input", body, timeout=60)
            if done.returncode == 0:
                return json.loads(done.stdout)["outputs"][0]["data"], None
            assert done.returncode == 1, done.stderr
            return None, done.stderr.split("[", 1)[1].split("]", 1)[0]

        def rewriter(self, how):
            process = subprocess.Popen([sys.executable, "-c", REWRITER, self.model / WEIGHTS, self.signed, self.evil,
                                        how], stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "ready\n"
            return process

    it = Scene()
    shutil.copytree(models / "good", it.model)
    cli.sign(it.model)
    shutil.copytree(models / "evil", tmp_path / "signed-evil")
    cli.sign(tmp_path / "signed-evil")
    it.right_answer, refusal = it.run(it.model)
    assert refusal is None
    it.evil_answer, refusal = it.run(tmp_path / "signed-evil")
    assert refusal is None, "the evil weights must be loadable, or the race shows nothing"
    assert it.right_answer != it.evil_answer
    return it


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rename", "in place"])
def test_weights_rewritten_while_the_model_is_loaded(scene, how):
    outcomes = {"answered": 0, "refused": 0}
    process = scene.rewriter(how)
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while min(outcomes.values()) < 4 or sum(outcomes.values()) < 24:
            assert time.monotonic() < deadline, f"no race in {SECONDS_MAX} s: {outcomes}"
            answer, refusal = scene.run(scene.model)
            if answer is not None:
                assert answer == scene.right_answer
                outcomes["answered"] += 1
            else:
                assert refusal in REFUSALS, refusal
                outcomes["refused"] += 1
        assert process.poll() is None, "the rewriter ended by itself"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rename", "in place"])
def test_weights_rewritten_while_the_model_is_verified(cli, scene, how):
    """`verify` promises nothing about later, but what it answers is consistent with one of the two."""
    good, evil = (cli_digest(file) for file in (scene.signed, scene.evil))
    seen = {"verified": 0, "refused": 0}
    process = scene.rewriter(how)
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while min(seen.values()) < 4:
            assert time.monotonic() < deadline, f"no race in {SECONDS_MAX} s: {seen}"
            answer = json.loads(cli.run("verify", scene.model, "--json").stdout)
            seen[answer["status"]] += 1
            if answer["status"] == "refused":
                assert answer["error"]["code"] in REFUSALS, answer
                if how == "rename" and answer["error"]["code"] == "signature.digest_mismatch":
                    assert (answer["error"]["expected"], answer["error"]["actual"]) == (good, evil)
    finally:
        process.kill()
        process.wait()


def cli_digest(file) -> str:
    return subprocess.run(["openssl", "dgst", "-sha256", "-r", file], check=True, capture_output=True,
                          text=True).stdout.split()[0]


def test_weights_changed_after_verify_are_not_loaded(cli, scene):
    assert cli.json("verify", scene.model)["status"] == "verified"
    shutil.copy(scene.evil, scene.model / WEIGHTS)
    assert scene.run(scene.model) == (None, "signature.digest_mismatch")
    shutil.copy(scene.signed, scene.model / WEIGHTS)
    assert scene.run(scene.model) == (scene.right_answer, None)


def ask(server, body):
    request = urllib.request.Request(f"{server.url}/v2/models/model/infer", data=body.read_bytes(),
                                     headers={"Content-Type": "application/json", **server.headers})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())["outputs"][0]["data"]


def test_a_worker_that_dies_gets_the_verified_bytes_again_not_those_on_disk(cli, scene, body, start_server):
    server = start_server(cli, {"model": scene.model})
    assert ask(server, body) == scene.right_answer
    shutil.copy(scene.evil, scene.model / WEIGHTS)
    os.kill(server.workers()["model"], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ask(server, body) == scene.right_answer
            return
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read()
            assert time.monotonic() < deadline, "the worker did not come back"
            time.sleep(0.05)


@pytest.mark.slow
def test_a_server_started_during_the_race_serves_the_signed_weights_or_does_not_start(cli, scene, body):
    from conftest import Server, ServerDidNotStart

    with Server(cli, {"model": scene.model}) as server:
        api_key = server.api_key  # shown once, by the server that makes it
        assert ask(server, body) == scene.right_answer
    process = scene.rewriter("rename")
    outcomes = {"served": 0, "refused": 0}
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while min(outcomes.values()) < 2:
            assert time.monotonic() < deadline, f"no race in {SECONDS_MAX} s: {outcomes}"
            try:
                with Server(cli, {"model": scene.model}) as server:
                    server.api_key = api_key
                    assert ask(server, body) == scene.right_answer
                    outcomes["served"] += 1
            except ServerDidNotStart as refusal:
                assert refusal.exit_code == 1, refusal.stderr
                assert any(f"[{code}]" in refusal.stderr for code in REFUSALS), refusal.stderr
                outcomes["refused"] += 1
    finally:
        process.kill()
        process.wait()
