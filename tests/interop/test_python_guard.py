# SPDX-License-Identifier: Apache-2.0
"""A Guard at the border of Python and C++: threads, locks, the collector, and the end of a program."""
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(1800)  # the first of them builds the wheel, on a fresh machine from nothing


@pytest.fixture
def large(tmp_path, cli):
    folder = tmp_path / "large"
    folder.mkdir()
    with open(folder / "weights.bin", "wb") as file:
        file.truncate(1 << 28)
    cli.sign(folder)
    return folder


def test_closing_while_a_thread_loads_ends(program, cli, large):
    """The progress function needs the interpreter: close() must not hold it while it waits."""
    found = program("""
        import threading
        begun, closed = threading.Event(), threading.Event()
        def progress(done, total):
            begun.set()
            closed.wait(0.2)
        guard = mlxguard.Guard(state=state, progress=progress)
        loaded = []
        thread = threading.Thread(target=lambda: loaded.append(len(guard.open_model(model).files)))
        thread.start()
        begun.wait()
        guard.close()
        closed.set()
        thread.join()
        answer(loaded=loaded)
        """, cli.state, large)
    assert found == {"loaded": [1]}


def test_a_small_load_does_not_wait_behind_a_large_one(program, cli, large, arrays):
    found = program("""
        import threading
        begun, go_on = threading.Event(), threading.Event()
        def progress(done, total):
            if total > 1 << 20:
                begun.set()
                go_on.wait(60)
        guard = mlxguard.Guard(state=state, progress=progress)
        loaded = []
        thread = threading.Thread(target=lambda: loaded.append(len(guard.open_model(model).files)))
        thread.start()
        begun.wait()
        small = [len(guard.open_model(sys.argv[3]).files), guard.verify(sys.argv[3]).files]
        before = list(loaded)
        go_on.set()
        thread.join()
        answer(small=small, before=before, loaded=loaded)
        """, cli.state, large, arrays)
    assert found == {"small": [4, 4], "before": [], "loaded": [1]}


def test_many_threads_load_on_one_guard(program, cli, arrays):
    found = program("""
        import threading
        sums, failed = [], []
        def work():
            try:
                sums.append(mx.sum(guard.load(model / "a.npz")["w"]).item())
                guard.verify(model)
                guard.close()
            except Exception as error:
                failed.append(str(error))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        answer(sums=sums, failed=failed)
        """, cli.state, arrays)
    assert found == {"sums": [sum(range(24))] * 8, "failed": []}
    assert len(cli.events("--type", "model.verified")) == 16


def test_a_guard_is_not_called_from_its_own_progress(program, cli, large):
    """It would wait for itself."""
    found = program("""
        said = set()
        def progress(done, total):
            for call in (guard.close, lambda: guard.verify(model), lambda: guard.open_model(model)):
                said.add(refusal(call)["code"])
        guard = mlxguard.Guard(state=state, progress=progress)
        answer(files=len(guard.open_model(model).files), said=sorted(said))
        """, cli.state, large)
    assert found == {"files": 1, "said": ["usage"]}


def test_a_guard_in_a_cycle_with_its_progress_is_collected(program, cli, arrays):
    """With everything that it holds open."""
    found = program("""
        import gc, weakref
        from collections import Counter
        mlxguard.configure(state=state)
        class App:
            def __init__(self):
                self.seen = 0
                self.guard = mlxguard.Guard(state=state, progress=self.progress)
                self.model = self.guard.open_model(model)
            def progress(self, done, total):
                self.seen = done
        def descriptors():
            # SQLite closes the file of an index no sooner than when no connection of the process has locked it.
            paths = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
            return [path for path in paths if not path.endswith("index.sqlite")]
        App(); gc.collect()
        before = descriptors()
        alive = []
        for _ in range(5):
            app = App()
            alive.append((weakref.ref(app), app.seen))
            del app
        gc.collect()
        answer(alive=[app() is not None for app, _ in alive], told=all(seen for _, seen in alive), more=list((Counter(descriptors()) - Counter(before)).elements()))
        """, cli.state, arrays)
    assert found == {"alive": [False] * 5, "told": True, "more": []}


GUARDS = {
    "module": "guard = mlxguard.Guard(state=state)",
    "progress": "def progress(done, total): guard\nguard = mlxguard.Guard(state=state, progress=progress)",
    "configured": "guard = mlxguard.configure(state=state, progress=lambda done, total: model)",
    "class": "class App:\n    guard = mlxguard.Guard(state=state, progress=lambda done, total: App)\nguard = App.guard",
    "exit": "import atexit\nguard = mlxguard.Guard(state=state)\natexit.register(lambda: guard.verify(model))",
}


@pytest.mark.parametrize("how", GUARDS)
def test_a_program_that_ends_leaves_nothing_behind(package, cli, arrays, how):
    """No report of leaks, and every event is in the signed log by then."""
    code = f"import sys, mlxguard\nstate, model = sys.argv[1:]\n{GUARDS[how]}\nopened = guard.open_model(model)\n"
    done = subprocess.run([sys.executable, "-c", code, cli.state, arrays], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(package)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    checkpoint = next(cli.state.rglob("checkpoint")).read_text().splitlines()
    events = len(cli.events())
    assert int(checkpoint[1]) >= events > 0


def test_a_program_that_ends_while_a_thread_loads_ends_in_order(package, cli, large):
    code = """if True:
        import sys, threading, mlxguard
        begun = threading.Event()
        guard = mlxguard.Guard(state=sys.argv[1], progress=lambda done, total: begun.set())
        def work():
            while True:
                guard.open_model(sys.argv[2])
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        """
    done = subprocess.run([sys.executable, "-c", code, cli.state, large], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(package)})
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_others_run_while_a_structure_is_checked(program, cli, tmp_path):
    """A npz is unpacked for that, which takes long."""
    folder = tmp_path / "npz"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", "import sys, numpy; numpy.savez_compressed(sys.argv[1], a=numpy.zeros(60_000_000, numpy.float32))",
                    folder / "a.npz"], check=True)
    cli.sign(folder)
    found = program("""
        import threading, time
        opened = mlxguard.open_model(model)
        begin, ticks, done = threading.Event(), [], threading.Event()
        def tick():
            begin.wait()
            while not done.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.001)
        thread = threading.Thread(target=tick)
        thread.start()
        begin.set()
        started = time.monotonic()
        opened.check_structure("a.npz")
        ended = time.monotonic()
        done.set()
        thread.join()
        answer(during=len([one for one in ticks if started < one < ended]))
        """, cli.state, folder)
    assert found["during"] >= 5


def test_relative_paths_stay_what_they_were(program, cli, arrays):
    """A program may change its current folder after it opened a guard."""
    (cli.state.parent / "mlxguard.toml").write_text("[server]\nstate = 'state'\n")
    (cli.state.parent / "more.pub").write_text((cli.state / "keys/signer.pub").read_text())
    found = program("""
        os.chdir(state.parent)
        one = mlxguard.Guard(state=state.name, public_keys=["more.pub"])
        two = mlxguard.Guard(config="mlxguard.toml")
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        answer(files=[len(guard.open_model(model).files) for guard in (one, two)], made=os.listdir("."))
        """, cli.state, arrays)
    assert found == {"files": [4, 4], "made": []}
