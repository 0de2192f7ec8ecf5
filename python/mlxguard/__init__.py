# SPDX-License-Identifier: Apache-2.0
"""mlxguard: nothing reaches mlx that was not signed by someone you trust.

    import mlxguard
    weights = mlxguard.load("models/minilm/model.safetensors")   # in place of mlx.core.load

    from mlxguard.lm import load, generate                       # in place of mlx_lm
    model, tokenizer = load("models/llama")

What mlx reads are the very bytes that were verified: they are copied into sealed memory first, which
nothing can change any more, and mlx is given that memory instead of the path.
"""
import os
import pathlib
import threading
import warnings

from . import _core
from ._errors import (ArtifactRefused, Failed, FormatRefused, MlxguardError, PolicyRefused, PolicyWarning,
                      Refused, SignatureRefused, SignerRefused, UsageError)
from ._model import FORMATS, VerifiedModel, model_root

__all__ = ["ArtifactRefused", "Failed", "FormatRefused", "Guard", "MlxguardError", "PolicyRefused", "PolicyWarning",
           "Refused", "SignatureRefused", "SignerRefused", "UsageError", "VerifiedModel", "configure",
           "load", "open_model", "verify"]
__version__ = _core.version()


def _warn(answer):
    """What the trust policy let through with a warning; the event log has it too."""
    for words in answer.warnings:
        warnings.warn(words, PolicyWarning, stacklevel=3)
    return answer


class Guard:
    """Verifies models by the operator's keys and policy, and records every decision in the event log.

    state        folder with keys, policy and log; by default the command line's
    config       mlxguard.toml
    public_keys  PEM files that are trusted besides those of the state folder
    progress     called with (bytes done, bytes in all) while files are read, from any thread
    """

    def __init__(self, *, state="", config="", public_keys=(), progress=None):
        # Nothing given is passed on as nothing: pathlib would make the current folder of it.
        self._core = _core.Guard.open(os.fspath(state) if state else "", os.fspath(config) if config else "",
                                      [pathlib.Path(key) for key in public_keys], progress)

    def open_model(self, path, name="") -> VerifiedModel:
        """The whole model, verified, in sealed memory."""
        return VerifiedModel(_warn(self._core.load(pathlib.Path(path), name)))

    def verify(self, path):
        """Checks the files where they are; loads nothing. Raises what open_model would."""
        return _warn(self._core.verify(pathlib.Path(path)))

    def load(self, file, format=None, return_metadata=False, *, stream=None):
        """In place of mlx.core.load: verifies the model that `file` belongs to, then loads the file."""
        file = pathlib.Path(file)
        root = model_root(file)
        name = "." if root == file else file.relative_to(root).as_posix()
        return self.open_model(root).load(name, format or FORMATS.get(file.suffix), return_metadata,
                                          stream=stream)

    def close(self):
        """Ends the log in order."""
        self._core.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_lock = threading.Lock()
_default: Guard | None = None
_default_pid = 0


def configure(**options) -> Guard:
    """Sets the guard that the functions of this module use; takes the arguments of Guard."""
    global _default, _default_pid
    guard = Guard(**options)
    with _lock:
        _default, _default_pid = guard, os.getpid()
    return guard


def default_guard() -> Guard:
    """The guard of configure(), or one with the command line's defaults."""
    global _default, _default_pid
    with _lock:
        if _default is None or _default_pid != os.getpid():  # threads of a log do not survive a fork
            _default, _default_pid = Guard(), os.getpid()
        return _default


def load(file, /, format=None, return_metadata=False, *, stream=None):
    """In place of mlx.core.load, of a file in a signed model. Raises Refused where mlx would load."""
    return default_guard().load(file, format, return_metadata, stream=stream)


def open_model(path, name="") -> VerifiedModel:
    """The whole model, verified once, for several load() of its files."""
    return default_guard().open_model(path, name)


def verify(path):
    """Checks a model where it lies, and loads nothing."""
    return default_guard().verify(path)
