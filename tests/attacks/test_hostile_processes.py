# SPDX-License-Identifier: Apache-2.0
"""A gateway and workers that were taken over, beside a real supervisor: a program that speaks the protocol as badly
as it can stands in their place. The supervisor's memory stays bounded, the rest goes on, and the record says why."""
import os
import pathlib
import shutil
import signal
import time

import httpx
import pytest

from conftest import BIN, Cli, Server

# A full window of events, what the log holds of it while it writes, and the index: it levels off at about 132 MiB.
MEMORY_GROWTH_MAX = 192 << 20
EVENT_WINDOW = 4098
SECONDS = 20


@pytest.fixture
def install(tmp_path, session_cli, passphrase_file):
    """The programs in a folder of the test's own, with `hostile` in the place of one of them."""
    def make(replaced, hostile):
        folder = tmp_path / "bin"
        folder.mkdir()
        for program in ("mlxguard", "mlxguard-supervisor", "mlxguard-inspector", "mlxguard-gateway", "mlxguard-worker"):
            source = BIN / "tests" / hostile if program == replaced else BIN / program
            shutil.copy(source, folder / program)
        cli = Cli(tmp_path / "state", passphrase_file)
        cli.binary = folder / "mlxguard"
        return cli
    return make


def peak_memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def entries(server):
    """How many events the log's checkpoint speaks of."""
    return int((server.cli.state / "log/checkpoint").read_text().splitlines()[1])


def deaths(server, model):
    """Records of deaths, the newest first: of the gateway, or of the worker of a model."""
    if model == "gateway":
        died = server.cli.events("--type", "worker.died")
        return [event for event in died if event["record"]["unmapped"]["process"] == "gateway"]
    return server.cli.events("--type", "worker.died", "--model", model)


def wait_for(look, what):
    end = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.05)
    return found


def stop_at_once(server):
    """Two signals: one that hangs on is not waited for."""
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(SECONDS) == 0


def start(cli, session_cli, signed_models, *models):
    return Server(cli, {name: signed_models / "mlp" for name in models},
                  "--public-key", session_cli.state / "keys/signer.pub")


@pytest.mark.parametrize("behaviour, code", [
    ("huge_messages", "worker.protocol"), ("descriptors", "worker.protocol"), ("ready_again", "worker.protocol"),
    ("skip_a_number", "worker.protocol"), ("foreign_event", "worker.protocol"), ("hidden_text", "worker.protocol"),
    ("accuse_again", "worker.protocol"), ("accuse_unknown", "worker.protocol"), ("nonsense", "worker.protocol"),
    ("play_worker", "worker.protocol"), ("hang_up", "worker.overdue"), ("die", "worker.exited"),
])
def test_a_hostile_gateway_is_replaced_and_recorded(install, session_cli, signed_models, behaviour, code):
    with start(install("mlxguard-gateway", "hostile_gateway"), session_cli, signed_models, behaviour) as server:
        supervisor = server.process.pid
        first = server.ready["gateway_pid"]
        before = peak_memory(supervisor)
        died = wait_for(lambda: deaths(server, "gateway"), "record of the gateway's death")[-1]
        assert died["code"] == code
        assert died["record"]["unmapped"]["pid"] == first
        assert died["record"]["unmapped"]["process"] == "gateway"
        # Another takes its place, and does the same.
        wait_for(lambda: len(deaths(server, "gateway")) > 1, "second gateway")
        assert peak_memory(supervisor) - before < MEMORY_GROWTH_MAX
        assert server.process.poll() is None
        if behaviour != "accuse_again":
            os.kill(server.workers()[behaviour], 0)
            assert deaths(server, behaviour) == []
        stop_at_once(server)
        assert [event["message"] for event in server.cli.events("--type", "server.stopped")] == ["stopped in order"]
        assert server.cli.json("log", "verify")["status"] == "verified"


@pytest.mark.parametrize("behaviour", ["flood_events", "fill_window"])
def test_a_gateway_that_reports_without_end_fills_no_memory(install, session_cli, signed_models, behaviour):
    with start(install("mlxguard-gateway", "hostile_gateway"), session_cli, signed_models, behaviour) as server:
        before = peak_memory(server.process.pid)
        # Three windows of events are in the log: a fourth adds nothing to what is held.
        wait_for(lambda: entries(server) > 3 * EVENT_WINDOW, "three windows of events")
        assert peak_memory(server.process.pid) - before < MEMORY_GROWTH_MAX
        os.kill(server.workers()[behaviour], 0)
        stop_at_once(server)
        assert len(server.cli.events("--type", "server.stopped")) == 1


def test_a_gateways_output_is_bounded_and_cannot_pass_for_the_servers(install, session_cli, signed_models):
    with start(install("mlxguard-gateway", "hostile_gateway"), session_cli, signed_models, "flood_output") as server:
        wait_for(lambda: len(server.stderr_lines) > 20, "output of the gateway")
        before = sum(map(len, server.stderr_lines))
        time.sleep(3)
        grown = sum(map(len, server.stderr_lines)) - before
        assert grown < 5 * (16 << 10) * 4
        assert all(line.startswith("gateway | ") for line in server.stderr_lines), server.stderr_lines[:5]
        assert not any("\x1b" in line for line in server.stderr_lines)
        assert any("mlxguard: error: forged" in line for line in server.stderr_lines)
        assert deaths(server, "gateway") == []
        stop_at_once(server)


def test_a_gateway_reaches_nothing_of_the_server_through_its_output(install, session_cli, signed_models, tmp_path):
    with start(install("mlxguard-gateway", "hostile_gateway"), session_cli, signed_models,
               "read_and_erase_output") as server:
        died = wait_for(lambda: deaths(server, "gateway"), "record of the gateway's death")[-1]
        assert died["code"] == "worker.exited"
        assert died["record"]["unmapped"]["last_output"] == "out of reach"
        assert "gateway | out of reach" in server.stderr_lines
        stop_at_once(server)


@pytest.mark.parametrize("behaviour, code", [
    ("ready_again", "worker.protocol"), ("locked_again", "worker.protocol"), ("huge_schema", "worker.protocol"),
    ("descriptors", "worker.protocol"), ("events", "worker.protocol"), ("nonsense", "worker.protocol"),
    ("nonsense_to_gateway", "worker.overdue"), ("bad_schema", "worker.overdue"), ("hang_up", "worker.overdue"),
])
def test_a_hostile_worker_is_replaced_and_harms_nobody(install, session_cli, signed_models, behaviour, code):
    with start(install("mlxguard-worker", "hostile_worker"), session_cli, signed_models, behaviour, "quiet") as server:
        supervisor = server.process.pid
        before = peak_memory(supervisor), peak_memory(server.ready["gateway_pid"])
        died = wait_for(lambda: deaths(server, behaviour), "record of the worker's death")[-1]
        assert died["code"] == code
        assert died["record"]["unmapped"]["pid"] == server.workers()[behaviour]
        assert died["record"]["unmapped"]["process"] == "worker"
        wait_for(lambda: len(deaths(server, behaviour)) > 1, "second death")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        ready = httpx.get(f"{server.url}/v2/models/quiet/ready", headers=server.headers)
        assert ready.status_code == 200
        assert deaths(server, "quiet") == deaths(server, "gateway") == []
        assert peak_memory(supervisor) - before[0] < MEMORY_GROWTH_MAX
        assert peak_memory(server.ready["gateway_pid"]) - before[1] < MEMORY_GROWTH_MAX
        stop_at_once(server)
        assert server.cli.json("log", "verify")["status"] == "verified"


def test_a_workers_output_is_bounded_and_cannot_pass_for_the_servers(install, session_cli, signed_models):
    with start(install("mlxguard-worker", "hostile_worker"), session_cli, signed_models, "flood_output") as server:
        wait_for(lambda: len(server.stderr_lines) > 20, "output of the worker")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert all(line.startswith("worker flood_output | ") for line in server.stderr_lines)
        assert not any("\x1b" in line for line in server.stderr_lines)
        stop_at_once(server)
