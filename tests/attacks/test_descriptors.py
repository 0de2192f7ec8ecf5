# SPDX-License-Identifier: Apache-2.0
"""Which descriptors each process of a running server holds. What is not listed here must not be there: a
descriptor of the operator's terminal or log file inside a locked process is a way out of it."""
import collections
import os
import pathlib
import pty
import re
import subprocess

import httpx

O_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR


def descriptors(pid):
    """number -> (kind or path, access and O_NONBLOCK flags, full link)"""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = os.readlink(entry)
            info = pathlib.Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
        except FileNotFoundError:
            continue  # the supervisor's log opened and closed it meanwhile
        flags = int(re.search(r"^flags:\s*(\d+)", info, re.M)[1], 8) & (O_ACCESS | os.O_NONBLOCK)
        kind = re.sub(r":\[\d+\]$", "", link.removeprefix("anon_inode:")).removesuffix(" (deleted)")
        found[int(entry.name)] = (kind, flags, link)
    return found


def kinds(pid, first=3):
    return collections.Counter(kind for number, (kind, _, _) in descriptors(pid).items() if number >= first)


def check_standard_streams(pid, supervisor):
    """/dev/null for reading, then one pipe of its own for writing, whose other end its parent alone has."""
    own = descriptors(pid)
    assert own[0][:2] == ("/dev/null", os.O_RDONLY)
    assert own[1][:2] == own[2][:2] == ("pipe", os.O_WRONLY | os.O_NONBLOCK)
    assert own[1][2] == own[2][2]
    ends = [flags for _, flags, link in descriptors(supervisor).values() if link == own[1][2]]
    assert ends == [os.O_RDONLY | os.O_NONBLOCK]
    servers = {descriptors(supervisor)[number][2] for number in range(3)}
    assert own[1][2] not in servers
    return own[1][2]


def test_the_processes_of_a_server_hold_what_they_need_and_nothing_else(cli, session_cli, signed_models, start_server):
    models = {name: signed_models / name for name in ("mlp", "minilm")}
    server = start_server(cli, models, "--public-key", session_cli.state / "keys/signer.pub")
    assert httpx.get(f"{server.url}/v2/models/mlp", headers=server.headers).status_code == 200
    supervisor = server.process.pid
    workers = server.workers()
    gateway = server.ready["gateway_pid"]
    pipes = {check_standard_streams(pid, supervisor) for pid in (*workers.values(), gateway)}
    assert len(pipes) == 3
    for name, pid in workers.items():
        # Its control channel and the channel to the gateway; the files of its model are mapped or read by now.
        assert kinds(pid) == {"socket": 2, **held_model_files(pid, models[name])}, name
    # Control, listening socket, one channel for each model; the event loop.
    assert kinds(gateway) == {"socket": 4, "[eventpoll]": 1, "[eventfd]": 1, "[timerfd]": 1}
    # The supervisor alone has files: the log. One pidfd, one control channel and one output for each process.
    held = kinds(supervisor)
    assert held["pipe"] == 3
    assert held["[pidfd]"] == held.get("[pidfd]", 0)
    strange = [link for _, _, link in descriptors(supervisor).values()
               if "/dev/pts" in link or "/dev/tty" in link]
    assert strange == []
    assert cli.json("log", "verify")["status"] == "verified"


def held_model_files(pid, folder):
    return {kind: count for kind, count in kinds(pid).items() if kind.startswith("/memfd:")}


def test_no_process_has_the_terminal_of_the_server(cli, session_cli, signed_models):
    ours, theirs = pty.openpty()
    command = [str(cli.binary), "serve", "--json", "--state", str(cli.state), "--listen", "127.0.0.1:0",
               "--models", f"mlp={signed_models / 'mlp'}", "--public-key", str(session_cli.state / "keys/signer.pub")]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True,
                               start_new_session=True)
    try:
        assert '"ready"' in process.stdout.readline()
        terminal = os.ttyname(theirs)
        children = [int(pid) for pid in
                    pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        assert len(children) == 2
        assert terminal in [link for _, _, link in descriptors(process.pid).values()]
        for pid in children:
            assert terminal not in [link for _, _, link in descriptors(pid).values()]
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
