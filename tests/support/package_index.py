# SPDX-License-Identifier: Apache-2.0
"""A package index of our own making (PEP 691), and wheels to put into it; for tests and benchmarks."""
import base64
import hashlib
import http.server
import io
import json
import threading
import time
import zipfile

OLD = "2024-01-01T00:00:00.000000Z"


def wheel(name, version, files=None, requires=()):
    """The bytes of a wheel whose RECORD is right."""
    info = f"{name}-{version}.dist-info"
    entries = dict(files or {f"{name}/__init__.py": f"version = {version!r}\n"})
    requirements = "".join(f"Requires-Dist: {one}\n" for one in requires)
    entries[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}"
    entries[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    entries[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in entries.items():
            archive.writestr(path, text)
    return out.getvalue(), entries[f"{info}/METADATA"].encode()


class Upstream:
    """A package index (PEP 691). `requests` is every path that was asked for; `raw` answers by hand: path -> f(handler)."""

    def __init__(self):
        self.projects = {}
        self.bodies = {}
        self.requests = []
        self.raw = {}
        self.delay_seconds = 0
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                index.requests.append(self.path)
                if self.path in index.raw:
                    try:
                        return index.raw[self.path](self)
                    except OSError:  # the client has had enough
                        self.close_connection = True
                        return None
                kind, body = index.answer(self.path)
                if self.path.startswith("/files/"):
                    time.sleep(index.delay_seconds)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                try:
                    self.wfile.write(body or b"")
                except BrokenPipeError:
                    pass

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path):
        if path.startswith("/files/"):
            return "application/octet-stream", self.bodies.get(path[len("/files/"):])
        name = path.removeprefix("/simple/").strip("/")
        if name not in self.projects:
            return "text/plain", None
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": sorted({f["version"] for f in self.projects[name]}),
                "files": [{k: v for k, v in f.items() if k != "version"} for f in self.projects[name]]}
        return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()

    def add(self, name, version, uploaded=OLD, digest=None, yanked=False, **kwargs):
        body, metadata = wheel(name, version, **kwargs)
        file = f"{name}-{version}-py3-none-any.whl"
        self.bodies[file] = body
        self.bodies[file + ".metadata"] = metadata
        self.projects.setdefault(name, []).append(
            {"filename": file, "url": f"../../files/{file}", "version": version, "size": len(body), "upload-time": uploaded, "yanked": yanked,
             "hashes": {"sha256": digest or hashlib.sha256(body).hexdigest()},
             "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()}})
        return file, hashlib.sha256(body).hexdigest()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
