# SPDX-License-Identifier: Apache-2.0
"""Drives processes/gateway/gateway_harness: the real gateway, with supervisor and workers played."""
import json
import os
import pathlib
import queue
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))


class Harness:
    """A gateway of its own for one test. Looks like conftest's Server where both have a thing."""

    embedding_model = "minilm"
    function_model = "mlp"

    def __init__(self, *options: str, scheme="http", gateway="mlxguard-gateway"):
        command = [str(BIN / "tests/gateway_harness"), str(BIN / gateway), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events: list[dict] = []
        self.overdue: list[dict] = []
        self.exit_status: int | None = None
        self._done: queue.Queue = queue.Queue()
        self._ready: queue.Queue = queue.Queue()
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        ready = self._ready.get(timeout=30)
        assert ready is not None, "the harness ended before it was ready"
        self.port = ready["port"]
        self.gateway_pid = ready["pid"]
        self.api_key = ready["api_key"]
        self.isolation = ready["isolation"]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            with self._changed:
                if "ready" in said:
                    self._ready.put(said["ready"])
                elif "event" in said:
                    self.events.append(said["event"])
                elif "overdue" in said:
                    self.overdue.append(said)
                elif "exit" in said:
                    self.exit_status = said["exit"]
                else:
                    self._done.put(said)
                self._changed.notify_all()
        self._ready.put(None)

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.api_key}"}

    def tell(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._done.get(timeout=60)

    def runs(self) -> tuple[int, int]:
        """Steps that the worker of `counter` has taken, and its calls that have not ended."""
        said = self.tell("runs")
        return said["steps"], said["alive"]

    def wait_for(self, condition, what: str, seconds=60.0):
        end = time.monotonic() + seconds
        with self._changed:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"{what}: not within {seconds} s; events: {self.events[-3:]}"
                self._changed.wait(left)

    def event(self, kind: str, since=0, **fields) -> dict:
        """Waits for an event of this kind with these fields, after the first `since` events."""
        def found():
            return [e for e in self.events[since:] if e["kind"] == kind
                    and all(e.get(k) == v for k, v in fields.items())]
        self.wait_for(lambda: bool(found()), f"event {kind} {fields}")
        return found()[0]

    def alive(self) -> bool:
        return self.process.poll() is None and self.exit_status is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
