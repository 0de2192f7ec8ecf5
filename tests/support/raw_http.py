# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand: sends the bytes it is given, reads what comes back, checks nothing that it need not."""
import json
import socket
import urllib.parse


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def code(self) -> str:
        """The stable code of an error, wherever the protocol puts it; the header must agree."""
        error = self.json()["error"]
        code = error["code"] if isinstance(error, dict) else error.rsplit("[", 1)[1].rstrip("]")
        assert code == self.headers["x-mlxguard-code"]
        return code


class Connection:
    def __init__(self, url: str, timeout=20.0):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)
        return self

    def _more(self) -> bool:
        got = self.socket.recv(65536)
        self.unread += got
        return bool(got)

    def answer(self) -> Answer:
        while b"\r\n\r\n" not in self.unread:
            if not self._more():
                raise EOFError(f"closed before a whole head: {self.unread!r}")
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        if status == 100:
            return self.answer()
        while len(self.unread) < length:
            if not self._more():
                raise EOFError("closed before a whole body")
        body, self.unread = self.unread[:length], self.unread[length:]
        return Answer(status, headers, body)

    def closed(self) -> bool:
        """Waits for the end of the stream; false if anything else comes."""
        try:
            return not self.unread and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def request(method: str, path: str, key: str | None, body: bytes | None = None, *extra: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *extra]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None:
        if not any(line.lower().startswith("content-type") for line in extra):
            lines.append("Content-Type: application/json")
        if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in extra):
            lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
