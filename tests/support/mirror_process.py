# SPDX-License-Identifier: Apache-2.0
"""A running mirror in front of an upstream of our own making, as fixtures for tests."""
import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlsplit

import pytest

from package_index import Upstream

ACCEPTED = ("no-database", "unlisted-package", "native-part")


@pytest.fixture
def upstream():
    index = Upstream()
    yield index
    index.stop()


class Mirror:
    def __init__(self, cli, upstream, *options, accept=ACCEPTED):
        port = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{port.getsockname()[1]}"
        port.close()
        command = [str(cli.binary), "deps", "mirror", "serve", "--state", str(cli.state), "--listen", self.address,
                   "--upstream", upstream.url, "--json", *options]
        for reason in accept:
            command += ["--accept", reason]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.ready = json.loads(line)
        assert "index_url" in self.ready, self.ready
        self.index = self.ready["index_url"]

    def get(self, path, accept=None, method="GET", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.address}{path}", method=method,
                                         headers={**headers, **({"Accept": accept} if accept else {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read(), refused.headers

    def page(self, project):
        status, body, _ = self.get(f"/simple/{project}/", "application/vnd.pypi.simple.v1+json")
        assert status == 200, body
        return json.loads(body)

    def file(self, project, filename):
        entry = next(f for f in self.page(project)["files"] if f["filename"] == filename)
        return self.get(urlsplit(urljoin(f"{self.index}{project}/", entry["url"])).path)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def start(cli, upstream):
    running = []

    def start(*options, **kwargs):
        running.append(Mirror(cli, upstream, *options, **kwargs))
        return running[-1]

    start.running = running
    yield start
    for mirror in running:
        mirror.stop()


def osv(folder, *records):
    folder.mkdir(exist_ok=True)
    for record in records:
        (folder / f"{record['id']}.json").write_text(json.dumps(record))
    return folder


def advisory(name, *events, id="GHSA-test-0001", **more):
    return {"id": id, "modified": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "summary": "runs what it is sent", "aliases": ["CVE-2024-0001"],
            "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}], **more}
