#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mlxguard beside MLServer: the same exported MLP, the same request, the same load generator, the same minutes.

mlxguard validates, runs in a locked worker and logs each request; with `answer_after_durable` (the default) it
answers when the event is on disk. One JSON line a measurement; rounds are interleaved.
"""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "build/bin"
CONNECTIONS = (1, 16)
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = os.environ.get("SECONDS_EACH", "3")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url, headers=None, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=2).status == 200:
                return
        time.sleep(0.1)
    sys.exit(f"gateway_bench: {url} did not become ready")


def start_mlxguard(work, model, name, *settings):
    config = work / f"{name}.toml"
    config.write_text(f'[models]\nmlp = "{model}"\n[worker]\nthreads = 1\n' + "\n".join(settings) + "\n")
    process = subprocess.Popen([BIN / "mlxguard", "serve", "--json", "-c", config, "--listen", "127.0.0.1:0",
                                "--state", work / "state", "--allow-anonymous"], stdout=subprocess.PIPE, text=True)
    ready = json.loads(process.stdout.readline())
    return process, ready["url"], "/v2/models/mlp/infer"


def start_mlserver(work, model):
    folder = work / "mlserver"
    folder.mkdir()
    shutil.copy(ROOT / "bench/mlserver_mlp/runtime.py", folder)
    port = free_port()
    (folder / "settings.json").write_text(json.dumps({"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
                                                      "parallel_workers": 0, "debug": False}))  # its worker pool does not start with this Python: served in process, which is its faster way
    (folder / "model-settings.json").write_text(json.dumps({"name": "mlp", "implementation": "runtime.Function",
                                                            "parameters": {"uri": str(model / "model.mlxfn")}}))
    process = subprocess.Popen([ROOT / ".venv-bench/bin/mlserver", "start", "."], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(folder)})
    wait_for(f"http://127.0.0.1:{port}/v2/models/mlp/ready")
    return process, f"http://127.0.0.1:{port}", "/v2/models/mlp/infer"


def load(url, path, body, connections, seconds=SECONDS):
    host, port = url.removeprefix("http://").split(":")
    done = subprocess.run([BIN / "http_load", host, port, path, "--body", body,
                           "--connections", str(connections), "--seconds", str(seconds), "--warmup", "0.5"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"gateway_bench: {url}: {done.stderr}")
    return json.loads(done.stdout)


def prepare(work):
    """A signed model and a request for it: (folder of the model, file of the body)."""
    subprocess.run([ROOT / ".venv/bin/python", ROOT / "tools/export_functions.py", work / "models"], check=True,
                   stdout=subprocess.DEVNULL)
    model = work / "models/mlp"
    passphrase = work / "passphrase"
    passphrase.touch(0o600)
    passphrase.write_text("benchmark passphrase")
    for command in (["key", "new", "bench"], ["sign", model, "--key", "bench"]):
        subprocess.run([BIN / "mlxguard", *command, "--passphrase-file", passphrase, "--state", work / "state"], check=True,
                       stdout=subprocess.DEVNULL)
    spec = json.loads((model / "mlxguard.json").read_text())["inputs"][0]
    shape = [extent if isinstance(extent, int) else extent["max"] for extent in spec["shape"]]
    count = 1
    for extent in shape:
        count *= extent
    body = work / "body.json"
    body.write_text(json.dumps({"inputs": [{"name": spec["name"], "shape": shape, "datatype": "FP32",
                                            "data": [round(0.01 * i % 1, 3) for i in range(count)]}]}))
    return model, body


def main():
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as temp:
        work = pathlib.Path(temp)
        model, body = prepare(work)
        servers = {}
        try:
            servers["mlxguard durable"] = start_mlxguard(work, model, "durable")
            servers["mlxguard queued"] = start_mlxguard(work, model, "queued", "[log]", "answer_after_durable = false")
            servers["mlserver 1.7.1"] = start_mlserver(work, model)
            for connections in CONNECTIONS:
                results = {name: [] for name in servers}
                for _ in range(ROUNDS):
                    for name, (_, url, path) in servers.items():
                        results[name].append(load(url, path, body, connections))
                peer = statistics.median(r["req_per_s"] for r in results["mlserver 1.7.1"])
                for name, rounds in results.items():
                    rate = statistics.median(r["req_per_s"] for r in rounds)
                    print(json.dumps({"bench": "gateway", "who": name, "connections": connections, "rounds": ROUNDS,
                                      "requests_per_second": round(rate, 1), "ratio_to_mlserver": round(rate / peer, 2),
                                      "p50_us": statistics.median(r["p50_us"] for r in rounds),
                                      "p99_us": statistics.median(r["p99_us"] for r in rounds),
                                      "errors": sum(r["errors"] for r in rounds)}), flush=True)
        finally:
            for process, _, _ in servers.values():
                process.terminate()
            for process, _, _ in servers.values():
                process.wait(20)


if __name__ == "__main__":
    main()
