# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps mirror serve` between the real pip and uv and an upstream index of our own making."""
import hashlib
import json
import pathlib
import subprocess
import sys
import threading
import time
from urllib.parse import urljoin, urlsplit

import pytest

from mirror_process import advisory, osv, start, upstream  # noqa: F401


def pip(mirror, target, *names):
    return subprocess.run([sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--index-url", mirror.index,
                           "--target", target, *names], capture_output=True, text=True, timeout=120)


def test_pip_installs_through_it_and_again_without_upstream(cli, upstream, start, tmp_path):
    upstream.add("alpha", "1.0", requires=["beta>=2"])
    file, digest = upstream.add("beta", "2.1")
    mirror = start("--index-ttl", "1s")
    done = pip(mirror, tmp_path / "one", "alpha")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one/beta/__init__.py").read_text() == "version = '2.1'\n"
    assert f"/files/{file}" in upstream.requests

    upstream.stop()
    time.sleep(1.1)  # the pages are no longer fresh: upstream is asked, and does not answer
    done = pip(mirror, tmp_path / "two", "alpha")
    assert done.returncode == 0, done.stderr
    served = json.dumps(cli.events("--type", "mirror.served"))
    assert file in served and digest in served
    listed = cli.json("deps", "mirror", "list")
    assert {(row["filename"], row["action"]) for row in listed["files"]} == {
        ("alpha-1.0-py3-none-any.whl", "served"), ("beta-2.1-py3-none-any.whl", "served")}


def test_uv_installs_through_it(upstream, start, tmp_path):
    upstream.add("alpha", "1.0", requires=["beta>=2"])
    upstream.add("beta", "2.1")
    mirror = start()
    uv = pathlib.Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.fail("uv belongs to the requirements of the tests")
    done = subprocess.run([uv, "pip", "install", "--no-config", "--no-cache", "--index-url", mirror.index, "--target", tmp_path / "t", "alpha"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t/beta/__init__.py").is_file()


def test_the_index_says_what_its_standards_say(upstream, start):
    upstream.add("alpha", "1.0")
    upstream.add("alpha", "1.1", yanked="broken build")
    mirror = start()
    page = mirror.page("alpha")
    assert page["meta"]["api-version"].startswith("1.") and page["name"] == "alpha"
    assert sorted(page["versions"]) == ["1.0", "1.1"]                                   # PEP 700
    files = {entry["filename"]: entry for entry in page["files"]}
    first = files["alpha-1.0-py3-none-any.whl"]
    assert first["hashes"]["sha256"] == hashlib.sha256(upstream.bodies[first["filename"]]).hexdigest()
    assert first["upload-time"].startswith("2024-01-01") and first["size"] == len(upstream.bodies[first["filename"]])
    assert files["alpha-1.1-py3-none-any.whl"]["yanked"] == "broken build"              # PEP 592
    status, html, headers = mirror.get("/simple/alpha/", "text/html")                   # PEP 503
    assert status == 200 and headers["Content-Type"].startswith(("text/html", "application/vnd.pypi.simple.v1+html"))
    assert b"data-yanked=\"broken build\"" in html and b"#sha256=" in html
    path = urlsplit(urljoin(f"{mirror.index}alpha/", first["url"])).path                # PEP 658
    status, body, _ = mirror.get(path + ".metadata")
    assert status == 200 and body == upstream.bodies[first["filename"] + ".metadata"]
    assert mirror.get("/simple/no-such-thing/")[0] == 404


def test_what_cannot_be_told_is_held_with_its_reason(cli, upstream, start):
    file, _ = upstream.add("alpha", "1.0")
    mirror = start(accept=("no-database",))
    status, body, _ = mirror.file("alpha", file)
    assert status == 200 or status == 423
    mirror.stop()
    done = cli.run("deps", "mirror", "serve", "--upstream", upstream.url, "--listen", "127.0.0.1:0", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["code"] == "advisories.database"


def test_young_files_are_held(cli, upstream, start):
    young = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    upstream.add("alpha", "1.0")
    file, _ = upstream.add("alpha", "2.0", uploaded=young)
    mirror = start("--cooldown", "7d")
    assert [f["filename"] for f in mirror.page("alpha")["files"]] == ["alpha-1.0-py3-none-any.whl"]
    deadline = time.monotonic() + 30  # the record is written behind the answer
    while not (held := cli.json("deps", "mirror", "list", "--action", "held")["files"]):
        assert time.monotonic() < deadline, "a file that the page does not show is not listed"
    assert held[0]["filename"] == file and "is too new: held until" in held[0]["reason"]
    status, body, _ = mirror.get(f"/files/alpha/{file}")
    assert status in (404, 423)
    assert cli.events("--type", "mirror.held"), "the decision is an event"


def test_quarantine_and_release_count_at_once(cli, upstream, start):
    file, _ = upstream.add("alpha", "1.0")
    mirror = start()
    assert mirror.file("alpha", file)[0] == 200
    cli.ok("deps", "mirror", "quarantine", "alpha==1.0", "--reason", "reported to us")
    status, body, _ = mirror.file("alpha", file)
    assert status == 403 and b"mirror.blocked" in body and b"reported to us" in body
    cli.ok("deps", "mirror", "release", "alpha==1.0", "--reason", "a false alarm")
    assert mirror.file("alpha", file)[0] == 200
    assert len(cli.events("--type", "mirror.released")) == 2
    assert cli.events("--type", "mirror.blocked")


def test_an_allow_list_is_all_there_is(cli, upstream, start, tmp_path):
    kept, digest = upstream.add("alpha", "1.0")
    other, _ = upstream.add("alpha", "1.1")
    unlisted, _ = upstream.add("beta", "1.0")
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"alpha==1.0 --hash=sha256:{digest}\n")
    mirror = start("--allow", str(lock))
    assert mirror.file("alpha", kept)[0] == 200
    assert [f["filename"] for f in mirror.page("alpha")["files"]] == [kept]
    # A project that the lock does not know is shown, so that the installer's error says why it gets nothing.
    status, body, _ = mirror.file("beta", unlisted)
    assert status == 403 and b"mirror.not_allowed" in body


def test_bytes_that_are_not_what_the_index_says_are_not_served(cli, upstream, start):
    file, _ = upstream.add("alpha", "1.0", digest="0" * 64)
    mirror = start()
    status, body, _ = mirror.file("alpha", file)
    assert status in (502, 403) and b"mirror.digest" in body
    assert not list((cli.state / "mirror/files").rglob("0" * 64))


def test_killed_in_the_middle_of_a_download_it_leaves_nothing_half(cli, upstream, start):
    file, digest = upstream.add("alpha", "1.0", files={"alpha/data.txt": "x" * 5_000_000})
    upstream.delay_seconds = 2
    mirror = start()
    mirror.page("alpha")
    asking = threading.Thread(target=lambda: pytest.raises(Exception, mirror.file, "alpha", file))
    asking.start()
    time.sleep(1)
    mirror.process.kill()
    mirror.process.wait()
    asking.join()
    upstream.delay_seconds = 0
    again = start()
    assert again.file("alpha", file)[0] == 200
    assert [path.name for path in (cli.state / "mirror/files").rglob("*") if path.is_file()] == [digest]
    assert list((cli.state / "mirror/incoming").iterdir()) == []


def test_hostile_pages_are_refused_whole(cli, upstream, start):
    upstream.add("alpha", "1.0")
    mirror = start("--index-ttl", "0s")
    good = upstream.answer
    for body in (b"", b"{", b"{}", b'{"files": 3}', b"[" * 100_000, b'{"files": [' + b'{"filename": "../../x.whl", "url": "file:///etc/passwd"}]}'):
        upstream.answer = lambda path, body=body: ("application/vnd.pypi.simple.v1+json", body)
        status, answer, _ = mirror.get("/simple/alpha/")
        assert status in (404, 502) or b"passwd" not in answer
    upstream.answer = good
    assert mirror.page("alpha")["files"]


def test_a_vulnerable_release_is_blocked_with_its_reason_as_soon_as_the_database_knows(cli, upstream, start, tmp_path):
    bad, _ = upstream.add("alpha", "1.0")
    good, _ = upstream.add("alpha", "1.1")
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("other", {"introduced": "0"})))
    mirror = start(accept=("unlisted-package",))
    assert mirror.file("alpha", bad)[0] == 200
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("Alpha", {"introduced": "0"}, {"fixed": "1.1"}, id="GHSA-test-0002")))
    status, body, _ = mirror.file("alpha", bad)
    assert status == 403 and b"CVE-2024-0001" in body
    assert mirror.file("alpha", good)[0] == 200
    assert any(row["filename"] == bad and row["action"] == "blocked" for row in cli.json("deps", "mirror", "list")["files"])
    status, body, _ = mirror.get("/pypi/alpha/1.0/json")
    assert status == 200 and json.loads(body)["vulnerabilities"][0]["fixed_in"] == ["1.1"]


def test_what_no_database_knows_is_held(cli, upstream, start, tmp_path):
    file, _ = upstream.add("alpha", "1.0")
    cli.ok("deps", "db", "update", "--from", osv(tmp_path / "osv", advisory("other", {"introduced": "0"})))
    mirror = start(accept=())
    status, body, _ = mirror.file("alpha", file)
    assert status == 423 and b"unlisted-package" in body
