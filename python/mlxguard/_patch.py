# SPDX-License-Identifier: Apache-2.0
"""`mlxguard.patch()`: the loaders of mlx and of the packages on top of it, guarded while a `with` lasts.

mx.load and mx.import_function are replaced in mlx.core, so that whatever loads weights through them, in any
package, loads signed files only. Of the packages in LOADERS the functions that take a path are replaced too:
they are given a folder of verified files in its place, so that configurations and tokenizers are verified
bytes as well. A call inside of another one finds a verified folder, and passes it on.
"""
from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import pathlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator

from ._errors import UsageError
from ._folders import Folders, is_verified, tokenizer_options
from ._model import Place, mlx_function, mlx_module

if TYPE_CHECKING:
    from . import Guard

# Module, function, the arguments that are paths. A function that returns a path keeps its folder to the end of
# the patch; of the others it is gone when they return.
Rows = list[tuple[str, str, tuple[str, ...]]]
LOADERS: dict[str, Rows] = {
    "mlx_lm": [
        ("mlx_lm.utils", "load", ("path_or_hf_repo", "adapter_path")),
        ("mlx_lm.utils", "load_model", ("model_path",)),
        ("mlx_lm.utils", "load_config", ("model_path",)),
        ("mlx_lm.utils", "load_tokenizer", ("model_path",)),
        ("mlx_lm.utils", "load_adapters", ("adapter_path",)),
        ("mlx_lm.utils", "sharded_load", ("repo",)),
        ("mlx_lm.utils", "_download", ("path_or_hf_repo",)),
        ("mlx_lm.utils", "hf_repo_to_path", ("hf_repo",)),
        ("mlx_lm.tokenizer_utils", "load", ("model_path",)),
        ("mlx_lm.tuner.utils", "load_adapters", ("adapter_path",)),
    ],
    "mlx_vlm": [
        ("mlx_vlm.utils", "load", ("path_or_hf_repo", "adapter_path")),
        ("mlx_vlm.utils", "load_model", ("model_path",)),
        ("mlx_vlm.utils", "load_config", ("model_path",)),
        ("mlx_vlm.utils", "load_processor", ("model_path",)),
        ("mlx_vlm.utils", "load_image_processor", ("model_path",)),
        ("mlx_vlm.utils", "get_model_path", ("path_or_hf_repo",)),
        ("mlx_vlm.trainer.utils", "apply_lora_layers", ("adapter_path",)),
    ],
    "mlx_whisper": [
        ("mlx_whisper.load_models", "load_model", ("path_or_hf_repo",)),
    ],
}
RETURN_PATHS = {"_download", "hf_repo_to_path", "get_model_path"}
# Where a caller says how the tokenizer is loaded; transformers asks the terminal unless it is told about code.
TOKENIZER_OPTIONS = ("tokenizer_config", "tokenizer_config_extra")

_active = threading.Lock()


@contextlib.contextmanager
def patch(guard: Guard | None = None) -> Iterator[Guard]:
    """While the `with` lasts, what this process loads through mlx must be signed: mx.load, mx.import_function,
    and the loaders of mlx_lm, mlx_vlm and mlx_whisper as far as they are installed. For programs that are not
    yours, and for `Module.load_weights(path)`. One at a time, for all threads of the process.
    """
    from . import default_guard
    if not _active.acquire(blocking=False):
        raise UsageError("mlxguard.patch() is active already", code="usage", number=1100,
                         hint="one `with mlxguard.patch():` around all of the program is enough")
    try:
        guard = guard or default_guard()
        with contextlib.ExitStack() as stack:
            kept = stack.enter_context(Folders(guard))
            stack.enter_context(_mlx_replaced(guard))
            for package, rows in LOADERS.items():
                if _is_there(package):
                    stack.enter_context(_replaced(package, rows, guard, kept))
            yield guard
    finally:
        _active.release()


@contextlib.contextmanager
def _mlx_replaced(guard: Guard) -> Iterator[None]:
    mx = mlx_module()
    load, import_function = mlx_function("load"), mlx_function("import_function")

    @functools.wraps(load)
    def guarded_load(file: Place, /, format: str | None = None, return_metadata: bool = False, *, stream: Any = None) -> Any:
        if is_verified(file):
            return load(str(file), format, return_metadata, stream=stream)
        return guard.load(file, format, return_metadata, stream=stream)

    @functools.wraps(import_function)
    def guarded_import(file: Place) -> Any:
        return import_function(str(file)) if is_verified(file) else guard.import_function(file)

    setattr(guarded_load, "_is_mlxguards", True)
    setattr(guarded_import, "_is_mlxguards", True)
    before = mx.load, mx.import_function
    mx.load, mx.import_function = guarded_load, guarded_import
    try:
        yield
    finally:
        mx.load, mx.import_function = before


def _is_there(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None


@contextlib.contextmanager
def _replaced(package: str, rows: Rows, guard: Guard, kept: Folders) -> Iterator[None]:
    pairs = []
    for module_name, name, paths in rows:
        try:
            original = getattr(importlib.import_module(module_name), name, None)
        except ImportError:
            continue  # what cannot be imported loads nothing
        if original is not None:
            pairs.append((original, _guarded(original, paths, guard, kept)))
    _swap(package, pairs)
    try:
        yield
    finally:
        _swap(package, [(new, old) for old, new in pairs])


def _swap(package: str, pairs: list[tuple[Any, Any]]) -> None:
    """In every module of the package: `from .utils import load` made names of their own for it."""
    for module_name, module in list(sys.modules.items()):
        if module is None or module_name.split(".")[0] != package:
            continue
        for name, value in list(vars(module).items()):
            for old, new in pairs:
                if value is old:
                    setattr(module, name, new)


def _guarded(original: Callable[..., Any], paths: tuple[str, ...], guard: Guard, kept: Folders) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        with contextlib.ExitStack() as stack:
            folders = kept if original.__name__ in RETURN_PATHS else stack.enter_context(Folders(guard))
            for name in paths:
                if given.get(name) is not None and not is_verified(given[name]):
                    given[name] = _like(given[name], folders.open(given[name], "adapter" if "adapter" in name else "model",
                                                                  given.get("model_config")))
            for name in TOKENIZER_OPTIONS:
                if name in given:
                    given[name] = tokenizer_options(given[name], bool(given.get("trust_remote_code")))
            with folders.own_names():
                return original(*bound.args, **bound.kwargs)

    return guarded


def _like(given: Any, folder: pathlib.Path) -> Any:
    return str(folder) if isinstance(given, str) else folder
