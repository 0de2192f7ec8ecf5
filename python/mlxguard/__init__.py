# SPDX-License-Identifier: Apache-2.0
"""mlxguard: nothing reaches mlx that was not signed by someone you trust.

    import mlxguard
    weights = mlxguard.load("models/minilm/model.safetensors")   # in place of mlx.core.load

    from mlxguard.lm import load, generate                       # in place of mlx_lm
    model, tokenizer = load("models/llama")

What mlx reads are the very bytes that were verified: they are copied into sealed memory first, which
nothing can change any more, and mlx is given that memory instead of the path.
"""
from __future__ import annotations

import atexit
import contextlib
import os
import pathlib
import sys
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, TypeVar

from . import _core
from ._core import Report
from ._errors import (ArtifactRefused, Failed, FileMissing, FormatRefused, MlxguardError, PolicyRefused,
                      PolicyWarning, Refused, SignatureRefused, SignerRefused, UsageError)
from ._model import Place, VerifiedModel, find, mlx_function
from ._patch import patch

if TYPE_CHECKING:
    import mlx.core as mx

__all__ = ["ArtifactRefused", "Failed", "FileMissing", "FormatRefused", "Guard", "MlxguardError", "PolicyRefused",
           "PolicyWarning", "Refused", "Report", "SignatureRefused", "SignerRefused", "UsageError", "VerifiedModel", "configure",
           "default_guard", "import_function", "load", "open_model", "patch", "verify"]
__version__ = _core.version()


_Answer = TypeVar("_Answer", _core.Model, Report)


def _warn(answer: _Answer) -> _Answer:
    """What the trust policy let through with a warning; the event log has it too."""
    for words in answer.warnings:
        warnings.warn(words, PolicyWarning, stacklevel=3)
    return answer


class Guard:
    """Verifies models by the operator's keys and policy, and records every decision in the event log.

    state        folder with keys, policy and log; by default the command line's
    config       mlxguard.toml; by default none
    public_keys  PEM files that are trusted besides those of the state folder
    progress     called with (bytes done, bytes in all) while files are read, from any thread

    Thread-safe: several threads may load at the same time. A process that forked opens a Guard of its own.
    Relative paths are taken from the folder that is current when the guard is opened.
    """

    def __init__(self, *, state: Place | None = None, config: Place | None = None,
                 public_keys: Iterable[Place] = (), progress: Callable[[int, int], Any] | None = None):
        if isinstance(public_keys, (str, os.PathLike)):
            raise UsageError("expected a list of key files in public_keys", code="usage", number=1100,
                             hint=f"public_keys=[{os.fspath(public_keys)!r}]")
        self._pid = os.getpid()
        # Nothing given is passed on as nothing: pathlib would make the current folder of it.
        self._core = _core.Guard.open(os.fspath(state) if state else "", os.fspath(config) if config else "",
                                      [os.fspath(key) for key in public_keys], progress)
        _opened.add(self)

    def open_model(self, path: Place, name: str = "") -> VerifiedModel:
        """The whole model (a folder, a file with FILE.sig beside it, or "store:NAME"), verified, in sealed
        memory. `name` is what the event log calls it. Raises Refused where it must not be loaded."""
        with _about(path):
            return VerifiedModel(_warn(self._own_core().load(_place(path), name)), path)

    def verify(self, path: Place) -> Report:
        """Checks the files where they are; loads nothing. Raises what open_model would."""
        with _about(path):
            return _warn(self._own_core().verify(_place(path)))

    def load(self, file: Place, format: str | None = None, return_metadata: bool = False, *,
             stream: mx.Stream | mx.Device | mx.DeviceType | None = None) -> Any:
        """In place of mlx.core.load: verifies the model that `file` belongs to, then loads the file."""
        root, name = find(file)
        model = self.open_model(root)
        with _about(root):
            return model.load(name, format, return_metadata, stream=stream)

    def import_function(self, file: Place) -> Any:
        """In place of mlx.core.import_function, of a file in a signed model."""
        root, name = find(file)
        model = self.open_model(root)
        with _about(root):
            return model.import_function(name)

    def close(self) -> None:
        """Returns once everything that was decided so far is in the log, provably. Waits for no load that is
        still running. Also done when the program ends."""
        self._own_core().close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _own_core(self) -> _core.Guard:
        if self._pid != os.getpid():
            raise UsageError("a Guard was used in another process than the one that opened it", code="usage",
                             number=1100, hint="open a Guard in each process that forked")
        return self._core


@contextlib.contextmanager
def _about(path: Place) -> Iterator[None]:
    """A refusal says of which model it is."""
    try:
        yield
    except MlxguardError as error:
        error.model = error.model or str(path)
        raise


_lock = threading.Lock()
_default: Guard | None = None
_options: dict[str, Any] = {}
_opened: weakref.WeakSet[Guard] = weakref.WeakSet()


def _forget_after_fork() -> None:
    """Threads and locks do not survive a fork: the child's first call opens a guard of its own."""
    global _lock, _default
    _lock, _default = threading.Lock(), None
    _opened.clear()
    _core.forget_after_fork()


def _end() -> None:
    """Before Python goes: loads of other threads are called off, and every guard's log is written out."""
    global _default
    _core.end_all()
    with contextlib.ExitStack() as stack:
        for guard in list(_opened):
            stack.callback(guard.close)
    _default = None


atexit.register(_end)
os.register_at_fork(after_in_child=_forget_after_fork)


def configure(*, state: Place | None = None, config: Place | None = None, public_keys: Iterable[Place] = (),
              progress: Callable[[int, int], Any] | None = None) -> Guard:
    """Sets the guard that the functions of this module use; takes the arguments of Guard. A process that
    forks later opens one with the same arguments."""
    global _default, _options
    keys = public_keys if isinstance(public_keys, (str, os.PathLike)) else [os.path.abspath(key) for key in public_keys]
    # As they are now: a fork may come after a change of the current folder.
    options: dict[str, Any] = {"state": state and os.path.abspath(state), "config": config and os.path.abspath(config),
                               "public_keys": keys, "progress": progress}
    guard = Guard(**options)
    with _lock:
        _default, _options = guard, options
    return guard


def default_guard() -> Guard:
    """The guard of configure(), or one with the command line's defaults."""
    global _default
    with _lock:
        if _default is None:
            _default = Guard(**_options)
        return _default


def _place(path: Place) -> pathlib.Path:
    if isinstance(path, (str, os.PathLike)):
        return pathlib.Path(path)
    raise UsageError(f"expected the path of a model, found {type(path).__name__}", code="usage", number=1100)


def load(file: Place, /, format: str | None = None, return_metadata: bool = False, *,
         stream: mx.Stream | mx.Device | mx.DeviceType | None = None) -> Any:
    """In place of mlx.core.load, of a file in a signed model. Raises Refused where mlx would load."""
    return default_guard().load(file, format, return_metadata, stream=stream)


def import_function(file: Place) -> Any:
    """In place of mlx.core.import_function, of a file in a signed model."""
    return default_guard().import_function(file)


# A program may put these in the place of mlx's own, which is found all the same.
for _ours in (load, import_function, Guard.load, Guard.import_function):
    setattr(_ours, "_is_mlxguards", True)
if "mlx.core" in sys.modules:
    for _name in ("load", "import_function"):
        mlx_function(_name)


def open_model(path: Place, name: str = "") -> VerifiedModel:
    """The whole model, verified once, for several load() of its files."""
    return default_guard().open_model(path, name)


def verify(path: Place) -> Report:
    """Checks a model where it lies, and loads nothing."""
    return default_guard().verify(path)
