# SPDX-License-Identifier: Apache-2.0
"""In place of mlx_lm: `from mlxguard.lm import load, generate`. Everything but load is mlx_lm's own."""
from __future__ import annotations

import contextlib
import json
import pathlib
import posixpath
from typing import Any

from . import Guard, SignatureRefused, UsageError, VerifiedModel, default_guard
from ._model import STORE, Place

CODE_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def load(path_or_hf_repo: Place, tokenizer_config: dict[str, Any] | None = None,
         model_config: dict[str, Any] | None = None, adapter_path: Place | None = None, lazy: bool = False,
         return_config: bool = False, revision: str | None = None, trust_remote_code: bool = False, *,
         guard: Guard | None = None) -> Any:
    """mlx_lm.load on verified bytes: the model, and the adapter when there is one, must each be signed by
    someone trusted. Raises Refused where mlx_lm would load.

    Only local folders and "store:NAME": a repository id is not a signed model. Python code that a model
    brings runs only with trust_remote_code=True (of this function, or in tokenizer_config), and then it is
    signed code: what lies outside of the model is refused.
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
        model = _open(guard, path)
        if trust_remote_code or (tokenizer_config or {}).get("trust_remote_code"):
            _check_code(model)
        folder = stack.enter_context(model.folder())
        adapter = None
        if adapter_path is not None:
            adapter = str(stack.enter_context(_open(guard, adapter_path).folder()))
        return mlx_lm.load(str(folder), tokenizer_config, model_config, adapter, lazy, return_config,
                           trust_remote_code=trust_remote_code)


def _open(guard: Guard, path: Place) -> VerifiedModel:
    """Verified, and every file of weights that mlx_lm could load is one that mlx may be given."""
    model = guard.open_model(path)
    for name in model.files:
        if name.endswith((".safetensors", ".npz")):
            model.check_structure(name)
    return model


def _check_code(model: VerifiedModel) -> None:
    """Code that a configuration names outside of the model is signed by nobody."""
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
                            hint="put the code into the model folder, and sign it")


def __getattr__(name: str) -> Any:
    import mlx_lm
    return getattr(mlx_lm, name)
