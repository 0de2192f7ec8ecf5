# SPDX-License-Identifier: Apache-2.0
"""Folders of verified files, for loaders that want paths: the model's, and that of an adapter."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import posixpath
from typing import TYPE_CHECKING, Any, Iterator

from ._errors import FileMissing, MlxguardError, SignatureRefused
from ._model import STORE, Place, VerifiedModel, find_folder, verified_roots

if TYPE_CHECKING:
    from . import Guard

CODE_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
                "video_preprocessor_config.json")


def is_verified(path: Any) -> bool:
    """Whether a path lies in a folder that VerifiedModel.folder() made, and that is still there."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    whole = pathlib.PurePath(os.path.abspath(path))
    return any(root == whole or root in whole.parents for root in verified_roots)


class Folders:
    """Opens models as folders that last as long as this does. A model that is named twice is opened once."""

    def __init__(self, guard: Guard):
        self._guard = guard
        self._stack = contextlib.ExitStack()
        self._opened: dict[pathlib.Path, tuple[VerifiedModel, pathlib.Path]] = {}

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.clear()
        self._stack.close()

    def open(self, path: Place, part: str, model_config: dict[str, Any] | None = None) -> pathlib.Path:
        """The verified files of the folder `path`, which is a model or lies in one: an adapter in the model's
        folder is covered by the model's signature. `part` says in errors what it is."""
        try:
            return self._open(path, part, model_config)
        except MlxguardError as error:
            error.model, error.part = str(path), part
            raise

    def _open(self, path: Place, part: str, model_config: dict[str, Any] | None) -> pathlib.Path:
        if not str(path).startswith(STORE) and not pathlib.Path(path).exists():
            raise FileMissing("no such folder", code="artifact.not_found", number=406, hint=_hint_of_missing(path))
        root, below = find_folder(path)
        if root not in self._opened:
            model = self._guard.open_model(root)
            check_code(model, model_config if part == "model" else None)
            self._opened[root] = model, self._stack.enter_context(model.folder())
        model, folder = self._opened[root]
        if below != "." and not any(name == below or name.startswith(below + "/") for name in model.files):
            raise FileMissing("the signed model has no such folder", code="artifact.not_found", number=406, subject=below,
                              hint="sign the model again with the folder in it, or the folder by itself")
        return folder / below

    @contextlib.contextmanager
    def own_names(self) -> Iterator[None]:
        """Errors of a loader name the folders that it was asked for, not those that it was given."""
        try:
            yield
        except Exception as error:
            names = {str(folder): str(root) for root, (_, folder) in self._opened.items()}
            _rename(error, names)
            raise


def _hint_of_missing(path: Place) -> str:
    text = str(path)
    if text.count("/") == 1 and not text.startswith((".", "/", "~")):
        return f"a repository is not a signed model: hf download {text} --local-dir FOLDER, then mlxguard sign FOLDER"
    return "check the path; relative ones are taken from the current folder"


def _rename(error: BaseException | None, names: dict[str, str]) -> None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(_renamed(one, names) for one in error.args)
        if isinstance(error, OSError):
            error.filename = _renamed(error.filename, names)
        error = error.__cause__ or error.__context__


def _renamed(value: Any, names: dict[str, str]) -> Any:
    for folder, root in names.items():
        if isinstance(value, str):
            value = value.replace(folder, root)
        elif isinstance(value, os.PathLike) and str(value).startswith(folder):
            value = pathlib.Path(str(value).replace(folder, root))
    return value


def tokenizer_options(given: dict[str, Any] | None, trust_remote_code: bool) -> dict[str, Any]:
    """With an answer about remote code in any case: without one, transformers asks the terminal."""
    options = dict(given or {})
    if options.get("trust_remote_code") is None:
        options["trust_remote_code"] = trust_remote_code
    return options


def check_code(model: VerifiedModel, model_config: dict[str, Any] | None) -> None:
    """Code that a configuration names outside of the model is signed by nobody. Asked whether or not code may
    run: what loads it may decide that by itself."""
    file = (model_config or {}).get("model_file")
    if file is not None and posixpath.normpath(str(file)) not in model.files:
        raise _foreign("model_config", "model_file", file)
    for name in model.files.keys() & set(CODE_CONFIGS):
        try:
            config = json.loads(model.read(name))
        except ValueError:
            continue  # nor can mlx_lm and transformers read it
        if not isinstance(config, dict):
            continue
        file = config.get("model_file")
        if file is not None and posixpath.normpath(str(file)) not in model.files:
            raise _foreign(name, "model_file", file)
        for reference in _references(config.get("auto_map")):
            # MODULE.CLASS; REPOSITORY--MODULE.CLASS is fetched from elsewhere
            if reference.rpartition(".")[0] + ".py" not in model.files:
                raise _foreign(name, "auto_map", reference)


def _references(auto_map: Any) -> list[str]:
    if isinstance(auto_map, dict):
        auto_map = list(auto_map.values())
    if isinstance(auto_map, (list, tuple)):
        return [found for one in auto_map for found in _references(one)]
    return [] if auto_map is None else [str(auto_map)]


def _foreign(config: str, key: str, value: Any) -> SignatureRefused:
    return SignatureRefused(f"{key} names Python code outside of the signed model", code="signature.file_unsigned",
                            number=511, subject=config, actual=str(value),
                            hint="put the code into the model's folder, or take the entry out if the model loads "
                                 "without it; then sign the folder again")
