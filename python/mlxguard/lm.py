# SPDX-License-Identifier: Apache-2.0
"""In place of mlx_lm: `from mlxguard.lm import load, generate`.

`load` verifies. The other names that this module offers are mlx_lm's own functions for models that are
loaded already: they open no path. Nothing else of mlx_lm can be reached under the name mlxguard.lm, because
mlx_lm's own loaders verify nothing.
"""
from __future__ import annotations

import contextlib
import dis
import json
import pathlib
import posixpath
import sys
from typing import Any

from . import Guard, SignatureRefused, UsageError, VerifiedModel, default_guard
from ._model import STORE, Place

__all__ = ["batch_generate", "generate", "load", "stream_generate"]

# Functions of mlx_lm that take a model and a tokenizer as objects, and open no path. A name is added here only
# after its source was read for that.
OF_LOADED_MODELS = ("batch_generate", "generate", "stream_generate")
CODE_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
                "video_preprocessor_config.json")


def load(path_or_hf_repo: Place, tokenizer_config: dict[str, Any] | None = None,
         model_config: dict[str, Any] | None = None, adapter_path: Place | None = None, lazy: bool = False,
         return_config: bool = False, revision: str | None = None, trust_remote_code: bool = False, *,
         guard: Guard | None = None) -> Any:
    """mlx_lm.load on verified bytes: the model, and the adapter when there is one, must each be signed by
    someone trusted. Raises Refused where mlx_lm would load.

    Only local folders and "store:NAME": a repository id is not a signed model. Python code that a model
    brings runs only with trust_remote_code=True (of this function, or in tokenizer_config for the tokenizer
    alone), and then it is signed code: a model that names code outside of itself is refused in any case.
    """
    import mlx_lm
    guard = guard or default_guard()
    path = str(path_or_hf_repo)
    if not path.startswith(STORE) and not pathlib.Path(path).exists():
        raise UsageError(f"expected a model folder, found none at {path}", code="usage", number=1100,
                         hint=f"download it first: hf download {path} --local-dir FOLDER, then sign the folder")
    if revision is not None:
        raise UsageError("a local folder has no revisions", code="usage", number=1100,
                         hint="leave revision out: the signature says which model it is")
    with contextlib.ExitStack() as stack:
        model = guard.open_model(path)
        _check_code(model, model_config)
        folder = stack.enter_context(model.folder())
        adapter = None
        if adapter_path is not None:
            adapter = str(stack.enter_context(guard.open_model(adapter_path).folder()))
        return mlx_lm.load(str(folder), _tokenizer_options(tokenizer_config, trust_remote_code), model_config, adapter,
                           lazy, return_config, trust_remote_code=trust_remote_code)


def _tokenizer_options(given: dict[str, Any] | None, trust_remote_code: bool) -> dict[str, Any]:
    """With an answer about remote code in any case: without one, transformers asks the terminal."""
    options = dict(given or {})
    if options.get("trust_remote_code") is None:
        options["trust_remote_code"] = trust_remote_code
    return options


def _check_code(model: VerifiedModel, model_config: dict[str, Any] | None) -> None:
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


def __getattr__(name: str) -> Any:
    if name in OF_LOADED_MODELS:
        import mlx_lm
        return getattr(mlx_lm, name)
    # Without __path__ this module has no submodules: not those of mlx_lm either.
    caller = sys._getframe(1)
    if name == "__path__" and caller.f_code.co_filename.startswith("<frozen importlib"):
        raise ModuleNotFoundError(f"{__name__} has no submodules: {_WAY}", name=__name__)
    if caller.f_code.co_code[caller.f_lasti] == dis.opmap["IMPORT_FROM"]:
        # Python would replace the words of an AttributeError here by its own.
        raise ImportError(f"{__name__} does not offer {name!r}: {_WAY}", name=__name__)
    raise AttributeError(f"{__name__} does not offer {name!r}: {_WAY}", name=name)


def __dir__() -> list[str]:
    return sorted(__all__)


_WAY = ("mlx_lm's own loads models that nobody verified. Load with mlxguard.lm.load; what it returns can be given to "
        "every function of mlx_lm that takes a loaded model")
