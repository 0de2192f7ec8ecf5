# SPDX-License-Identifier: Apache-2.0
"""The mirror between an upstream that lies and clients that do not keep to HTTP."""
import concurrent.futures
import gzip
import hashlib
import http.server
import json
import pathlib
import threading

import pytest

from mirror_process import advisory, osv, start, upstream  # noqa: F401
from raw_http import Connection

WHEEL = "alpha-1.0-py3-none-any.whl"


def code_of(body):
    return json.loads(body)["code"]


def cached(cli, digest):
    return cli.state / "mirror/files" / digest[:2] / digest


def test_it_is_locked_up_before_it_serves(start):
    mirror = start()
    assert {mirror.ready["isolation"][name] for name in ("landlock", "seccomp", "no_new_privs", "no_capabilities")} == {"active"}
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{mirror.process.pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_cached_file_that_is_lost_while_it_runs_is_fetched_again(cli, upstream, start, damage):
    file, digest = upstream.add("alpha", "1.0")
    mirror = start()
    assert mirror.file("alpha", file)[0] == 200
    path = cached(cli, digest)
    path.chmod(0o600)
    path.unlink() if damage == "removed" else path.write_bytes(b"other bytes")
    status, body, _ = mirror.file("alpha", file)
    assert status == 200 and hashlib.sha256(body).hexdigest() == digest


def test_metadata_that_is_not_the_wheels_own_is_found_out(cli, upstream, start):
    file, _ = upstream.add("alpha", "1.0")
    lie = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: evil\n"
    upstream.bodies[file + ".metadata"] = lie
    upstream.projects["alpha"][0]["core-metadata"] = {"sha256": hashlib.sha256(lie).hexdigest()}
    mirror = start()
    status, body, _ = mirror.file("alpha", file)
    assert status == 403 and b"METADATA" in body
    assert mirror.get(f"/files/alpha/{file}.metadata")[0] == 403  # now that it is known


def test_metadata_of_another_digest_is_not_served(upstream, start):
    file, _ = upstream.add("alpha", "1.0")
    upstream.bodies[file + ".metadata"] = b"Metadata-Version: 2.1\nName: other\n"
    status, body, _ = start().get(f"/files/alpha/{file}.metadata")
    assert status == 502 and code_of(body) == "mirror.digest"


def test_metadata_is_refused_like_its_file_and_served_as_an_event(cli, upstream, start, tmp_path):
    bad, _ = upstream.add("alpha", "1.0")
    good, _ = upstream.add("alpha", "1.1")
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("alpha", {"introduced": "0"}, {"fixed": "1.1"})))
    mirror = start(accept=())
    status, body, _ = mirror.get(f"/files/alpha/{bad}.metadata")
    assert status == 403 and code_of(body) == "mirror.blocked"
    assert mirror.get(f"/files/alpha/{good}.metadata")[0] == 200
    served = cli.events("--type", "mirror.served")
    assert len(served) == 1 and good in json.dumps(served)
    assert f"/files/{bad}.metadata" not in upstream.requests


def test_the_bytes_of_one_project_are_not_anothers(cli, upstream, start):
    file, digest = upstream.add("alpha", "1.0")
    upstream.add("beta", "1.0")
    liar = upstream.projects["beta"][0]
    liar.update(url=f"../../files/{file}", hashes={"sha256": digest})
    del liar["core-metadata"], liar["size"]
    mirror = start()
    assert mirror.file("alpha", file)[0] == 200
    status, body, _ = mirror.file("beta", "beta-1.0-py3-none-any.whl")
    assert status == 403 and code_of(body) == "mirror.blocked"
    assert mirror.file("alpha", file)[0] == 200


@pytest.mark.parametrize("selector", ["Alpha==1.0.0", "alpha==v1", "sha256"])
def test_a_quarantine_counts_however_it_is_spelled(cli, upstream, start, selector):
    file, digest = upstream.add("alpha", "1.0")
    mirror = start()
    assert mirror.file("alpha", file)[0] == 200
    cli.ok("deps", "mirror", "quarantine", f"sha256:{digest}" if selector == "sha256" else selector, "--reason", "reported")
    assert mirror.file("alpha", file)[0] == 403


def test_auditors_are_told_what_is_known_and_never_nothing(cli, upstream, start, tmp_path):
    upstream.add("alpha", "1.0")
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("alpha", {"introduced": "0"}, {"fixed": "1.1"})))
    mirror = start(accept=())
    for version in ("1.0", "1.0.0", "0.9+local"):  # however it is spelled, and whether or not upstream has it
        status, body, _ = mirror.get(f"/pypi/Alpha/{version}/json")
        assert status == 200 and json.loads(body)["vulnerabilities"][0]["fixed_in"] == ["1.1"], version
    status, body, _ = mirror.get("/pypi/alpha/1.1/json")
    assert status == 200 and json.loads(body)["vulnerabilities"] == []
    for path in ("/pypi/nobody-knows/1.0/json", "/pypi/alpha/not-a-version/json"):
        status, body, _ = mirror.get(path)
        assert status == 503 and code_of(body) == "deps.could_not_tell", path


def test_a_damaged_database_cannot_be_accepted(cli, upstream, start, tmp_path):
    file, _ = upstream.add("alpha", "1.0")
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("alpha", {"introduced": "0"}, {"fixed": "1.1"})))
    mirror = start(accept=("no-database", "old-database", "unlisted-package"))
    assert mirror.file("alpha", file)[0] == 403
    database = cli.state / "advisories/osv.db"
    database.rename(tmp_path / "osv.db")
    database.write_bytes((tmp_path / "osv.db").read_bytes()[:-20])
    status, body, _ = mirror.file("alpha", file)
    assert status == 423 and b"damaged-database" in body
    mirror.stop()
    done = cli.run("deps", "mirror", "serve", "--upstream", upstream.url, "--listen", "127.0.0.1:0", "--accept", "no-database", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["code"] == "advisories.database"


def test_a_feed_alone_blocks_what_it_knows(cli, passphrase_file, upstream, start, tmp_path):
    file, _ = upstream.add("alpha", "1.0")
    records = osv(tmp_path / "ours", advisory("alpha", {"introduced": "0"}, id="MLXG-TEST-1"))
    cli.ok("deps", "db", "sign-feed", "--from", records, "-o", tmp_path / "feed.json", "--version-number", 1, "--key", "signer",
           "--passphrase-file", passphrase_file)
    cli.ok("deps", "db", "update", "--feed", tmp_path / "feed.json", "--feed-key", cli.state / "keys/signer.pub")
    status, body, _ = start(accept=("no-database",)).file("alpha", file)
    assert status == 403 and b"MLXG-TEST-1" in body or b"CVE-2024-0001" in body


def test_strangers_are_an_event(cli, upstream, start, tmp_path):
    upstream.add("alpha", "1.0")
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    keys.chmod(0o600)
    mirror = start("--api-key-file", str(keys))
    assert mirror.get("/simple/alpha/")[0] == 401
    assert mirror.get("/simple/alpha/", Authorization="Bearer 0123456789abcdee")[0] == 401
    assert mirror.get("/simple/alpha/", Authorization="Bearer 0123456789abcdef")[0] == 200
    assert len(cli.events("--type", "auth.failed")) == 2


def test_a_page_that_went_bad_is_an_event_and_the_old_one_stays(cli, upstream, start):
    upstream.add("alpha", "1.0")
    mirror = start("--index-ttl", "0s")
    mirror.page("alpha")
    upstream.answer = lambda path: ("application/vnd.pypi.simple.v1+json", b'{"meta": {"api-version": "1.0"}, "files": [], "files": []}')
    for _ in range(2):
        assert [f["filename"] for f in mirror.page("alpha")["files"]] == [WHEEL]
    assert len(cli.events("--type", "mirror.blocked")) == 1


def test_entries_that_are_not_understood_are_an_event(cli, upstream, start):
    upstream.add("alpha", "1.0")
    upstream.projects["alpha"].append({"filename": "other-1.0-py3-none-any.whl", "url": "javascript:x", "hashes": {}, "version": "1"})
    page = start().page("alpha")
    assert [f["filename"] for f in page["files"]] == [WHEEL]
    held = cli.events("--type", "mirror.held")
    assert len(held) == 1 and held[0]["record"]["unmapped"]["not_understood"] == 1


# --- what upstream does with a file ---------------------------------------------------------------------

def say(status, headers, body=b"", repeat=1):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for _ in range(repeat):
            handler.wfile.write(body)
        handler.close_connection = True
    return answer


LIES = {
    "other bytes": lambda body: say(200, {"Content-Length": str(len(body))}, bytes(len(body))),
    "too few": lambda body: say(200, {"Content-Length": str(len(body))}, body[:-9]),
    "too few, and says so": lambda body: say(200, {"Content-Length": str(len(body) - 9)}, body[:-9]),
    "too many": lambda body: say(200, {}, body + b"x"),
    "endless": lambda body: say(200, {}, bytes(1 << 20), repeat=200),
    "packed": lambda body: say(200, {"Content-Encoding": "gzip"}, gzip.compress(body)),
    "an error": lambda body: say(500, {"Content-Length": "4"}, b"oops"),
    "half": lambda body: say(206, {"Content-Length": str(len(body)), "Content-Range": "bytes 0-9/10"}, body),
    "a loop": lambda body: say(302, {"Location": f"/files/{WHEEL}", "Content-Length": "0"}),
    "a local file": lambda body: say(302, {"Location": "file:///etc/passwd", "Content-Length": "0"}),
    "another scheme": lambda body: say(302, {"Location": "gopher://127.0.0.1:1/x", "Content-Length": "0"}),
    "no place": lambda body: say(302, {"Content-Length": "0"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_is_not_what_the_index_promised_leaves_nothing(cli, upstream, start, lie):
    file, digest = upstream.add("alpha", "1.0")
    upstream.raw[f"/files/{file}"] = LIES[lie](upstream.bodies[file])
    mirror = start()
    status, body, _ = mirror.file("alpha", file)
    assert status == 502 and code_of(body) in ("mirror.digest", "mirror.upstream", "input.truncated", "input.too_large"), body
    assert not cached(cli, digest).exists() and list((cli.state / "mirror/incoming").iterdir()) == []
    assert cli.events("--type", "mirror.blocked")
    upstream.raw.clear()
    assert mirror.file("alpha", file)[0] == 200


@pytest.fixture
def inner():
    """Something in the inner network that is not for installers."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"secret")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("way", ["link", "redirect"])
def test_it_is_not_led_into_the_inner_network(cli, upstream, start, inner, way):
    file, _ = upstream.add("alpha", "1.0")
    place = f"http://127.0.0.1:{inner.server_port}/latest/meta-data"
    if way == "link":
        upstream.projects["alpha"][0]["url"] = place + "/" + file
    else:
        upstream.raw[f"/files/{file}"] = say(302, {"Location": place, "Content-Length": "0"})
    status, body, _ = start().file("alpha", file)
    assert status == 502 and code_of(body) == "mirror.upstream" and inner.asked == []
    allowed = start_again(start, cli, upstream, f"127.0.0.1:{inner.server_port}")
    status, body, _ = allowed.file("alpha", file)
    assert status == 502 and code_of(body) in ("mirror.digest", "input.truncated") and len(inner.asked) == 1


def start_again(start, cli, upstream, inner_host):
    for one in start.running:
        one.stop()
    return start("--inner-host", inner_host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_no_spelling_of_this_machine_is_followed(upstream, start, host):
    file, _ = upstream.add("alpha", "1.0")
    upstream.projects["alpha"][0]["url"] = f"http://{host}:80/{file}"
    status, body, _ = start().file("alpha", file)
    assert status == 502 and b"inner address" in body


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "017700000001"])
def test_a_file_at_an_address_in_an_unusual_form_is_not_listed(upstream, start, host):
    file, _ = upstream.add("alpha", "1.0")
    upstream.projects["alpha"][0]["url"] = f"http://{host}:80/{file}"
    assert [f["filename"] for f in start().page("alpha")["files"]] == []


def test_a_page_that_unpacks_to_more_than_any_page_is_refused(upstream, start):
    upstream.add("alpha", "1.0")
    bomb = gzip.compress(bytes(80 << 20))
    upstream.raw["/simple/alpha/"] = say(200, {"Content-Type": "application/vnd.pypi.simple.v1+json", "Content-Encoding": "gzip"}, bomb)
    status, body, _ = start().get("/simple/alpha/")
    assert status == 502 and code_of(body) == "mirror.page"


def test_many_clients_of_one_cold_file_cause_one_download(cli, upstream, start):
    file, digest = upstream.add("alpha", "1.0", files={"alpha/data.txt": "x" * 2_000_000})
    upstream.delay_seconds = 1
    mirror = start()
    mirror.page("alpha")
    with concurrent.futures.ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda _: mirror.file("alpha", file), range(32)))
    assert {hashlib.sha256(body).hexdigest() for _, body, _ in answers} == {digest}
    assert upstream.requests.count(f"/files/{file}") == 1
    assert len(cli.events("--type", "mirror.served", "--limit", "100")) == 32


def test_a_client_that_goes_away_does_not_stop_the_download(cli, upstream, start):
    file, digest = upstream.add("alpha", "1.0")
    upstream.delay_seconds = 1
    mirror = start()
    mirror.page("alpha")
    with Connection(f"http://{mirror.address}") as gone:
        gone.send(f"GET /files/alpha/{file} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert mirror.file("alpha", file)[0] == 200
    assert upstream.requests.count(f"/files/{file}") == 1


# --- clients ------------------------------------------------------------------------------------------------

def ask(mirror, request):
    """All that comes back until the mirror closes, or the first answer's head."""
    with Connection(f"http://{mirror.address}", timeout=15) as connection:
        connection.send(request)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.socket.recv(65536)
            if not piece:
                break
            got += piece
        return got


BAD = {
    "two lengths": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n", 400),
    "a length and chunks": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 413)),
    "a coding that is unknown": (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n", (400, 413)),
    "a body": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "a nul": (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", (200, 400)),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", 431),
    "a long target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a put": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
    "a connect": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", (400, 405)),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_plain_http_is_refused(start, kind):
    request, expected = BAD[kind]
    mirror = start()
    head = ask(mirror, request)
    status = int(head.split(b" ", 2)[1])
    assert status in (expected if isinstance(expected, tuple) else (expected,)), head
    if status >= 400 and status != 405:
        assert b"Connection: close" in head  # nothing after it is read as another request
    assert mirror.get("/")[0] == 200


@pytest.mark.parametrize("path", ["/files/../../etc/passwd", "/files/alpha/..%2f..%2f..%2fetc%2fpasswd", "/files/alpha/%2e%2e/%2e%2e/operator.json",
                                  "/files/%2e%2e/records", "/simple/%2e%2e/", "/simple/alpha%00/", "/files/alpha/x%00.whl", "//simple/alpha/",
                                  "/simple/alpha/../beta/", "/pypi/%2e%2e/1/json", "/files/alpha/" + "a" * 5000, "/simple/" + "a" * 200 + "/",
                                  "/%", "/simple/%zz/", "/simple/\\alpha/", "/files/alpha/alpha-1.0-py3-none-any.whl/"])
def test_paths_lead_nowhere_else(upstream, start, path):
    upstream.add("alpha", "1.0")
    head = ask(start(), f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert int(head.split(b" ", 2)[1]) in (400, 404), head
    assert b"root:" not in head


def test_ranges_conditions_and_heads(upstream, start):
    file, digest = upstream.add("alpha", "1.0")
    body, etag = upstream.bodies[file], f'"{digest}"'
    mirror = start()
    get = lambda **headers: mirror.get(f"/files/alpha/{file}", **headers)
    assert get(method="HEAD")[1] == b"" and get(method="HEAD")[2]["Content-Length"] == str(len(body))
    status, part, headers = get(Range="bytes=-10")
    assert status == 206 and part == body[-10:] and headers["Content-Range"] == f"bytes {len(body) - 10}-{len(body) - 1}/{len(body)}"
    assert get(Range="bytes=0-0")[1] == body[:1]
    assert get(Range=f"bytes={len(body)}-")[0] == 416
    for ignored in ("bytes=0-1,5-6", "lines=0-1", "bytes=9-1"):
        assert get(Range=ignored)[:2] == (200, body)
    assert get(Range="bytes=0-0", If_Range=etag)[0] == 206
    assert get(Range="bytes=0-0", If_Range='"another"')[:2] == (200, body)
    assert get(If_None_Match=etag)[0] == get(If_None_Match=f'"x", W/{etag}')[0] == 304
    page = mirror.get("/simple/alpha/")[2]["ETag"]
    assert mirror.get("/simple/alpha/", If_None_Match=page)[0] == 304


@pytest.mark.parametrize(("accept", "expected"), [
    ("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+json"),
    ("application/vnd.pypi.simple.latest+json", "application/vnd.pypi.simple.v1+json"),
    ("application/vnd.pypi.simple.v1+html;q=0.2, application/vnd.pypi.simple.v1+json;q=0.1", "application/vnd.pypi.simple.v1+html"),
    ("text/html", "text/html"), ("*/*", "text/html"), (None, "text/html"),
    ("text/html;q=0, application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+json"),
    ("application/vnd.pypi.simple.v2+json", 406), ("image/png", 406), ("text/html;q=0", 406)])
def test_the_form_of_the_index_is_negotiated(upstream, start, accept, expected):
    upstream.add("alpha", "1.0")
    with Connection(f"http://{start().address}") as connection:
        connection.send(f"GET /simple/alpha/ HTTP/1.1\r\nHost: x\r\n{f'Accept: {accept}' + chr(13) + chr(10) if accept else ''}\r\n".encode())
        head = connection.socket.recv(4096).split(b"\r\n\r\n")[0].decode()
    if expected == 406:
        return pytest.fail(head) if " 406 " not in head.splitlines()[0] else None
    assert f"Content-Type: {expected}" in head and "Vary: Accept" in head


def test_names_are_normalised_by_a_redirect(upstream, start):
    upstream.add("alpha", "1.0")
    mirror = start()
    for path in ("/simple/Alpha/", "/simple/alpha", "/simple/ALPHA"):
        head = ask(mirror, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head.startswith(b"HTTP/1.1 301 ") and b"Location: /simple/alpha/" in head
