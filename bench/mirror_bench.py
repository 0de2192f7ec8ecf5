#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mirror beside proxpi: one upstream index, the same files, 32 clients at once, cold and from the cache.

mlxguard checks each file's digest, opens it, judges it and logs the decision before it answers; proxpi passes it on.
Both run with an empty cache in each round; rounds are interleaved. One JSON line a measurement.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from urllib.parse import urljoin, urlsplit

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
from package_index import Upstream  # noqa: E402

CLIENTS = 32
PACKAGES = int(os.environ.get("PACKAGES", "64"))
BYTES_EACH = int(os.environ.get("BYTES_EACH", str(1 << 20)))
ROUNDS = int(os.environ.get("ROUNDS", "5"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"mirror_bench: a server ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("mirror_bench: a server did not start")


def start_mlxguard(upstream, folder):
    port = free_port()
    command = [ROOT / "build/bin/mlxguard", "deps", "mirror", "serve", "--state", folder / "state", "--upstream", upstream.url,
               "--listen", f"127.0.0.1:{port}"]
    for reason in ("no-database", "unlisted-package", "native-part"):
        command += ["--accept", reason]
    return port, "/simple", subprocess.Popen(command, stdout=subprocess.DEVNULL)


def start_proxpi(upstream, folder):
    port = free_port()
    environment = {**os.environ, "PROXPI_INDEX_URL": upstream.url, "PROXPI_CACHE_DIR": str(folder / "cache"),
                   "PROXPI_DOWNLOAD_TIMEOUT": "60", "PROXPI_LOGGING_LEVEL": "ERROR"}
    process = subprocess.Popen([sys.executable, "-m", "flask", "--app", "proxpi.server", "run", "--port", str(port), "--with-threads"],
                               env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return port, "/index", process


def get(connection, path, accept="text/html"):
    for _ in range(4):  # redirects
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status not in (301, 302, 307, 308):
            return answer.status, body
        path = urlsplit(urljoin(path, answer.headers["Location"])).path
    return answer.status, body


def fetch(port, prefix, name):
    """The project's page, then its file, as an installer does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    page = f"{prefix}/{name}/"
    status, html = get(connection, page)
    assert status == 200, (status, html[:200])
    link = re.search(rb'href="([^"#]+\.whl)', html).group(1).decode()
    status, body = get(connection, urlsplit(urljoin(page, link)).path)
    assert status == 200 and len(body) >= BYTES_EACH // 2, (status, body[:200])
    connection.close()


def round_of(start, upstream, names):
    with tempfile.TemporaryDirectory() as folder:
        port, prefix, process = start(upstream, pathlib.Path(folder))
        try:
            wait_for(port, process)
            seconds = []
            for _ in ("cold", "cached"):
                begin = time.perf_counter()
                with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                    list(pool.map(lambda name: fetch(port, prefix, name), names))
                seconds.append(time.perf_counter() - begin)
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            return (*seconds, int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024)
        finally:
            process.terminate()
            process.wait(30)


def main():
    upstream = Upstream()
    names = [f"package{index}" for index in range(PACKAGES)]
    for name in names:
        upstream.add(name, "1.0", files={f"{name}/data.txt": os.urandom(BYTES_EACH // 2).hex()})
    servers = {"mlxguard": start_mlxguard, "proxpi": start_proxpi}
    seen = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, start in servers.items():
            seen[name].append(round_of(start, upstream, names))
    middle = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in seen.items()}
    for index, what in enumerate(("cold", "cached")):
        print(json.dumps({"bench": "mirror", "what": what, "clients": CLIENTS, "files": PACKAGES, "bytes_each": BYTES_EACH, "rounds": ROUNDS,
                          "mlxguard_s": round(middle["mlxguard"][index], 3), "proxpi_s": round(middle["proxpi"][index], 3),
                          "ratio": round(middle["mlxguard"][index] / middle["proxpi"][index], 3),
                          "mlxguard_peak_mib": round(middle["mlxguard"][2]), "proxpi_peak_mib": round(middle["proxpi"][2])}))
    upstream.stop()


if __name__ == "__main__":
    main()
