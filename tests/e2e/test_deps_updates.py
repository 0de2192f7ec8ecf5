# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps updates` and `deps watch`: the smallest upgrades, and events only for what is new."""
import json
import os
import signal
import subprocess
import threading
import time
import http.server
import hashlib

import pytest

import conftest
from wheel_maker import environment, wheel

VENV = conftest.ROOT / ".venv"


def advisory(number, package, fixed=None, introduced="0"):
    events = [{"introduced": introduced}] + ([{"fixed": fixed}] if fixed else [])
    return {"id": f"TEST-{number}", "modified": "2026-01-01T00:00:00Z", "schema_version": "1.6.0",
            "summary": "s", "details": "d",
            "affected": [{"package": {"ecosystem": "PyPI", "name": package},
                          "ranges": [{"type": "ECOSYSTEM", "events": events}]}]}


@pytest.fixture
def index(tmp_path):
    """Versions that matter: leaf 1.1 ends one finding, 1.3 both; top 1.0 holds leaf below 1.2."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "1.1", "1.2", "1.3", "2.0"):
        wheel(folder, "leaf", version)
    wheel(folder, "top", "1.0", ["leaf<1.2"])
    wheel(folder, "top", "1.1", ["leaf<2"])
    wheel(folder, "top", "3.0", ["leaf"])
    wheel(folder, "other", "1.0")
    wheel(folder, "other", "2.0")
    return folder


@pytest.fixture
def tool_env(index):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    uv = index.parent / "uv.toml"  # uv has no variable that turns its index off
    uv.write_text(f"no-index = true\nfind-links = [{json.dumps(str(index))}]\n")
    return {**keep, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "UV_CONFIG_FILE": str(uv),
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture
def env(tmp_path):
    return environment(tmp_path / "env", [("leaf", "1.0", ()), ("top", "1.0", ["leaf<1.2"]), ("other", "1.0", ())])


def database(cli, tmp_path, *records):
    folder = tmp_path / f"osv{time.monotonic_ns()}"
    folder.mkdir()
    for record in (*records, advisory("none-top", "top", "0.1"), advisory("none-other", "other", "0.1")):
        (folder / f"{record['id']}.json").write_text(json.dumps(record))
    cli.ok("deps", "db", "update", "--from", folder)


def updates(cli, env, tool_env, *options, exit_code=0):
    return cli.json("deps", "updates", env, "--python", VENV / "bin/python", "--cooldown", "0", "--max-age", "100y", *options,
                    exit_code=exit_code, env=tool_env)


@pytest.mark.parametrize("resolver", ["uv", "pip"])
def test_the_smallest_fix_that_resolves_and_nothing_else_moves(cli, env, tmp_path, tool_env, resolver):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    answer = updates(cli, env, tool_env, "--resolver", resolver)
    assert [(u["name"], u["from"], u["to"], u["clears"]) for u in answer["upgrades"]] == [
        ("leaf", "1.0", "1.1", ["TEST-1"])]
    assert answer["beside"] == [] and answer["remaining"] == []


def test_what_holds_a_fix_back_rises_as_little_as_it_must(cli, env, tmp_path, tool_env):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"), advisory(2, "leaf", "1.3"))
    out = tmp_path / "pylock.toml"
    answer = updates(cli, env, tool_env, "-o", out)
    assert [(u["name"], u["to"]) for u in answer["upgrades"]] == [("leaf", "1.3")]
    assert answer["beside"] == [{"name": "top", "from": "1.0", "to": "1.1"}]
    assert {c["name"] + c["version"] for c in cli.json("deps", "inventory", out)["components"]} == {
        "leaf1.3", "top1.1", "other1.0"}


def test_a_fix_that_has_a_finding_of_its_own_is_passed_over(cli, env, tmp_path, tool_env):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"), advisory(2, "leaf", "1.2", introduced="1.1"))
    assert updates(cli, env, tool_env)["upgrades"][0]["to"] == "1.2"


def test_without_a_fix_it_says_so_and_fails(cli, env, tmp_path, tool_env):
    database(cli, tmp_path, advisory(1, "leaf"))
    answer = updates(cli, env, tool_env, exit_code=1)
    assert answer["upgrades"][0]["no_fix"] == ["TEST-1"] and answer["upgrades"][0]["to"] == ""


@pytest.mark.parametrize("affected", [{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.1"}]}]},
                                      {"versions": ["1.0", "1.1"]}])
def test_a_fix_that_no_advisory_names_is_looked_for(cli, env, tmp_path, tool_env, affected):
    record = advisory(1, "leaf")
    record["affected"] = [{"package": {"ecosystem": "PyPI", "name": "leaf"}, **affected}]
    database(cli, tmp_path, record)
    answer = updates(cli, env, tool_env)
    assert [(u["name"], u["to"], u["clears"], u["no_fix"]) for u in answer["upgrades"]] == [("leaf", "1.2", ["TEST-1"], [])]


def test_two_watches_tell_a_finding_once(cli, env, tmp_path):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    command = [cli.binary, "deps", "watch", str(env), "--once", "--state", str(cli.state), *ACCEPT]
    watches = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [watch.wait(60) for watch in watches] == [1] * 4
    assert len(cli.events("--type", "deps.vulnerable")) == 1


def test_a_fix_that_does_not_resolve_is_no_upgrade(cli, env, tmp_path, tool_env):
    database(cli, tmp_path, advisory(1, "leaf", "7.0"))
    assert updates(cli, env, tool_env, exit_code=3)["error"]["code"] == "deps.resolver"


def test_nothing_to_do_and_nothing_to_go_by(cli, env, tmp_path, tool_env):
    answer = updates(cli, env, tool_env, exit_code=3)
    assert answer["error"]["code"] == "advisories.database"
    database(cli, tmp_path, advisory(1, "leaf", "0.5"))
    assert updates(cli, env, tool_env) == {"upgrades": [], "beside": [], "remaining": [], "could_not_tell": [], "kept": []}


def test_what_no_resolver_is_asked_about_is_named_and_counts(cli, tmp_path, tool_env):
    """A requirement by URL, from a repository, and one without a version: each stays, and the verdict is the scan's."""
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    file = tmp_path / "requirements.txt"
    file.write_text("leaf==1.0\nother>=1\nstranger @ https://host.invalid/stranger-1.0-py3-none-any.whl\n"
                    "-e git+https://host.invalid/x@abc#egg=edited\n")
    answer = updates(cli, file, tool_env, exit_code=1)
    assert [(u["name"], u["to"]) for u in answer["upgrades"]] == [("leaf", "1.1")]
    assert answer["remaining"] == []
    assert {(one["name"], one["why"]) for one in answer["kept"]} == {
        ("other", "no exact version of it is told"), ("stranger", "it comes from a URL"),
        ("edited", "it is a folder of sources")}
    assert any(one.startswith("other: ") for one in answer["could_not_tell"])
    assert cli.run("deps", "scan", file, "--max-age", "100y").returncode == 1
    answer = updates(cli, file, tool_env, "--accept", "unlisted-package,no-version", "--accept", "stranger,edited")
    assert answer["could_not_tell"] == []


def test_a_finding_of_an_editable_package_is_still_there(cli, tmp_path, tool_env):
    env = environment(tmp_path / "env", [("leaf", "1.0", ())])
    info = env / "lib/python3.11/site-packages/leaf-1.0.dist-info"
    (info / "direct_url.json").write_text(json.dumps({"url": f"file://{tmp_path}/leaf", "dir_info": {"editable": True}}))
    with open(info / "RECORD", "a") as record:
        record.write("leaf-1.0.dist-info/direct_url.json,,\n")
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    answer = updates(cli, env, tool_env, exit_code=1)
    assert answer["remaining"] == ["leaf 1.0: TEST-1"] and answer["kept"][0]["why"] == "it is a folder of sources"
    shown = cli.run("deps", "updates", env, "--cooldown", "0", "--max-age", "100y", env=tool_env)
    assert "still there: leaf 1.0: TEST-1" in shown.stdout and "nothing to upgrade" not in shown.stdout


@pytest.fixture
def aged_index(index):
    """The same wheels with upload times (PEP 700): leaf 1.1 and other 1.0 are of today, the rest a year old."""
    times = {"leaf-1.1": time.time(), "other-1.0": time.time()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            parts = self.path.strip("/").split("/")
            if parts[0] == "simple":
                files = []
                for path in sorted(index.glob(f"{parts[1]}-*.whl")):
                    stem = "-".join(path.name.split("-")[:2])
                    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(times.get(stem, time.time() - 365 * 86400)))
                    files.append({"filename": path.name, "url": f"/files/{path.name}", "upload-time": stamp,
                                  "size": path.stat().st_size,
                                  "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}})
                body, kind = json.dumps({"meta": {"api-version": "1.1"}, "name": parts[1], "files": files,
                                         "versions": []}).encode(), "application/vnd.pypi.simple.v1+json"
            else:
                body, kind = (index / parts[1]).read_bytes(), "application/octet-stream"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()


def test_a_release_younger_than_the_cooldown_is_not_taken(cli, tmp_path, tool_env, aged_index):
    env = environment(tmp_path / "env", [("leaf", "1.0", ()), ("other", "1.0", ())])  # other is in use already
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    tools = {k: v for k, v in tool_env.items() if not k.startswith(("PIP_", "UV_"))}
    tools["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    common = ["deps", "updates", env, "--python", VENV / "bin/python", "--index-url", aged_index, "--max-age", "100y"]
    assert cli.json(*common, "--cooldown", "0", env=tools)["upgrades"][0]["to"] == "1.1"
    assert cli.json(*common, "--cooldown", "7d", env=tools)["upgrades"][0]["to"] == "1.2"
    answer = cli.json(*common, "--cooldown", "7d", "--resolver", "pip", exit_code=2, env=tools)
    assert answer["error"]["code"] == "usage"


ACCEPT = ("--accept", "native-part", "--accept", "unlisted-package", "--max-age", "100y")


def test_watch_raises_events_for_what_is_new_only(cli, env, tmp_path):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    first = cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)
    assert any("TEST-1" in one for one in first["new"])
    found = lambda: [e for e in cli.events("--type", "deps.vulnerable")]
    assert len(found()) == 1
    again = cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)
    assert again["new"] == [] and again["known"] == first["known"] and len(found()) == 1
    database(cli, tmp_path, advisory(1, "leaf", "1.1"), advisory(2, "top", "1.1"))
    third = cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)
    assert [one for one in third["new"]] == ["pkg:pypi/top@1.0: TEST-2"] and len(found()) == 2
    database(cli, tmp_path)
    assert cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=0)["gone"] >= 2


def test_watch_sees_a_new_database_and_ends_on_a_signal(cli, env, tmp_path):
    database(cli, tmp_path)
    process = subprocess.Popen([cli.binary, "deps", "watch", str(env), "--interval", "1d", "--state", str(cli.state),
                                "--json", *ACCEPT], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(process.stdout.readline())["new"] == []
        database(cli, tmp_path, advisory(9, "leaf", "1.1"))
        assert json.loads(process.stdout.readline())["new"] == ["pkg:pypi/leaf@1.0: TEST-9"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()


def test_an_environment_that_is_gone_is_told_once_and_forgets_nothing(cli, env, tmp_path):
    database(cli, tmp_path, advisory(1, "leaf", "1.1"))
    known = cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)["known"]
    env.rename(tmp_path / "away")
    assert len(cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)["new"]) == 1
    (tmp_path / "away").rename(env)
    back = cli.json("deps", "watch", env, "--once", *ACCEPT, exit_code=1)
    assert back["new"] == [] and back["known"] == known
