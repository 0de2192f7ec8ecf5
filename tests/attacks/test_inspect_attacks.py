# SPDX-License-Identifier: Apache-2.0
"""Models that attack the inspection itself: the inspector's death, standstill and flood are gaps of the report,
and what is behind them is inspected all the same. Nothing in a model is executed, imported or followed."""
import json
import os
import pathlib
import signal
import struct
import subprocess
import threading
import time

import pytest

#: Keeps the inspector busy for long: every bracket is looked at from every other.
SLOW = b"{{ x" + b"[x" * 60_000 + b"]" * 60_000 + b" }}"


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "m_slow.jinja").write_bytes(SLOW)
    (folder / "z.py").write_text("import os\n")
    return folder


def inspector_of(parent: int) -> int | None:
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            name = (entry / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:
            continue
        if int(fields[1]) == parent and name == b"mlxguard-inspector":
            return int(entry.name)
    return None


def busy_inspector(process) -> int:
    """The inspector, once it is locked and works on a file."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pid = inspector_of(process.pid)
        if pid is not None:
            try:
                ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])
            except OSError:
                continue
            if ticks >= 5:
                return pid
        time.sleep(0.005)
    raise AssertionError("no inspector at work")


def start(cli, model):
    return subprocess.Popen([cli.binary, "inspect", model, "--json", "--state", cli.state],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_of(process) -> dict:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    return json.loads(out)


def check_gap_and_the_rest(report, file="m_slow.jinja"):
    assert report["status"] == "incomplete"
    assert [gap["file"] for gap in report["not_inspected"]] == [file]
    assert ("python.file", "z.py") in [(f["rule"], f["file"]) for f in report["findings"]]


@pytest.mark.parametrize("number, word", [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed")])
def test_a_file_that_kills_the_inspector_is_a_gap_and_the_others_go_on(cli, model, number, word):
    process = start(cli, model)
    os.kill(busy_inspector(process), number)
    report = report_of(process)
    check_gap_and_the_rest(report)
    assert word in report["not_inspected"][0]["why"]
    assert inspector_of(process.pid) is None


def test_an_inspector_that_stands_still_is_ended(cli, model):
    process = start(cli, model)
    os.kill(busy_inspector(process), signal.SIGSTOP)
    report = report_of(process)
    check_gap_and_the_rest(report)
    assert "deadline" in report["not_inspected"][0]["why"]


def test_the_inspector_is_locked(cli, model):
    process = start(cli, model)
    pid = busy_inspector(process)
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1" and status["Threads"] == "1"
    assert set(status["CapEff"]) == set(status["CapPrm"]) == {"0"}
    for namespace in ("net", "pid", "mnt", "ipc"):
        assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
    assert os.listdir(f"/proc/{pid}/root") == []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        flags = int(pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text().split("flags:\t")[1].split()[0], 8)
        if str(model) in target:
            assert flags & os.O_ACCMODE == os.O_RDONLY
        else:
            assert target.startswith(("socket:", "pipe:", "/dev/null")), target
    os.kill(pid, signal.SIGKILL)
    report_of(process)


def test_the_inspector_dies_with_its_parent(cli, model):
    process = start(cli, model)
    pid = busy_inspector(process)
    process.kill()
    process.wait()
    end = time.monotonic() + 60
    while pathlib.Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not pathlib.Path(f"/proc/{pid}").exists()
    process.communicate()


def test_a_file_that_shrinks_while_it_is_read(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "z.py").write_text("import os\n")
    file = folder / "config.json"
    file.write_bytes(b'{"a": ' + b"[1," * 0 + b'"' + b"x" * 60_000_000 + b'"}')
    process = start(cli, folder)
    pid = None
    while pid is None and process.poll() is None:
        pid = inspector_of(process.pid)
    while process.poll() is None and pathlib.Path(f"/proc/{pid}/fd/4").exists() is False:
        time.sleep(0.0005)
    os.truncate(file, 10)
    report = report_of(process)
    assert ("python.file", "z.py") in [(f["rule"], f["file"]) for f in report["findings"]]
    # Cut before it was opened, or while it was read: either way it is not called inspected.
    assert report["status"] in ("incomplete", "findings")
    if report["status"] == "incomplete":
        assert report["not_inspected"][0]["file"] == "config.json"


def test_a_file_that_changes_while_it_is_read_is_not_called_inspected(cli, model):
    (model / "m_slow.jinja").write_bytes(b"{{ x" + b"[x" * 20_000 + b"]" * 20_000 + b" }}")
    process = start(cli, model)
    busy_inspector(process)
    with open(model / "m_slow.jinja", "r+b") as file:
        file.write(b"<")
    report = report_of(process)
    check_gap_and_the_rest(report)
    assert "changed while" in report["not_inspected"][0]["why"]


def test_many_files_that_kill_end_the_trying_and_not_the_report(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:02}.jinja").write_bytes(SLOW)
    process = start(cli, folder)
    stop = threading.Event()

    def kill_all():
        while not stop.is_set():
            pid = inspector_of(process.pid)
            if pid is not None:
                try:
                    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])
                    if ticks >= 3:
                        os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.005)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        report = report_of(process)
    finally:
        stop.set()
        killer.join()
    whys = [gap["why"] for gap in report["not_inspected"]]
    assert len(whys) == 40 and sum("too many files" in why for why in whys) == 8


@pytest.mark.parametrize("content", [
    b'{"a":' * 5_000, b"[" * 1_000_000, b'{"\xff\xfe": 1}', b'{"a": "' + b"\\u" * 1000,
    b"\x00" * 100, b'{"auto_map": ' + b'{"a": ' * 63 + b"1" + b"}" * 64,
    b'{"' + b"a" * 5_000_000 + b'": {"auto_map": "x"}}',
], ids=["deep objects", "deep arrays", "not utf-8", "half escapes", "zeros", "one too deep", "a long key"])
def test_hostile_json_ends_in_findings_or_gaps(cli, tmp_path, content):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(content)
    report = cli.json("inspect", folder, exit_code=1)
    assert report["findings"]


def test_findings_are_bounded_and_the_rest_is_said(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"[" + b",".join([b'{"auto_map": "m.M"}'] * 5000) + b"]")
    report = cli.json("inspect", folder, exit_code=1)
    assert report["status"] == "incomplete"
    assert len(report["findings"]) == 1001
    assert "more findings" in report["not_inspected"][0]["why"]


def test_evidence_cannot_play_with_the_terminal(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auto_map": "\x1b[2J\u202eevil\u0007" + "x" * 10_000}))
    (folder / "a\nb\x1b[31m.py").write_text("x\n")
    told = cli.run("inspect", folder)
    assert "\x1b" not in told.stdout and "\u202e" not in told.stdout and "\x07" not in told.stdout
    assert max(len(line) for line in told.stdout.splitlines()) < 400
    report = cli.json("inspect", folder, exit_code=1)
    assert "\u202e" not in json.dumps(report, ensure_ascii=False)


def test_a_fifo_does_not_block_and_a_device_is_not_read(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    os.mkfifo(folder / "model.safetensors")
    if os.geteuid() == 0:
        os.mknod(folder / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    report = cli.json("inspect", folder, exit_code=1)
    assert {f["rule"] for f in report["findings"]} == {"file.special"}


def test_a_link_that_becomes_a_file_elsewhere_is_not_followed(cli, tmp_path):
    """A folder that is swapped for a link between listing and opening: the kernel refuses the path."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "x.json").write_text('{"auto_map": "leak.L"}')
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "x.json").write_text("{}")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            os.rename(folder / "a", tmp_path / "kept")
            os.symlink(secret, folder / "a")
            os.unlink(folder / "a")
            os.rename(tmp_path / "kept", folder / "a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(30):
            done = cli.run("inspect", folder, "--json")
            assert "leak.L" not in done.stdout
    finally:
        stop.set()
        swapper.join()


def test_a_great_header_is_bounded(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    header = b'{"a":' + b" " * 50_000_000
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    report = cli.json("inspect", folder, exit_code=1)
    assert [f["rule"] for f in report["findings"]] == ["safetensors.structure"]
