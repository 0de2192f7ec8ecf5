# SPDX-License-Identifier: Apache-2.0
"""In place of mlx_lm: `from mlxguard.lm import load, generate`.

`load` verifies. The other names that this module offers are mlx_lm's own functions for models that are
loaded already: they open no path. Nothing else of mlx_lm can be reached under the name mlxguard.lm, because
mlx_lm's own loaders verify nothing.
"""
from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any

from . import Guard, UsageError, default_guard
from ._folders import Folders, tokenizer_options
from ._model import Place

if TYPE_CHECKING:
    from mlx_lm import batch_generate, generate, stream_generate

__all__ = ["batch_generate", "generate", "load", "stream_generate"]

# Functions of mlx_lm that take a model and a tokenizer as objects, and open no path. A name is added here only
# after its source was read for that.
OF_LOADED_MODELS = ("batch_generate", "generate", "stream_generate")


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
    if revision is not None:
        raise UsageError("a local folder has no revisions", code="usage", number=1100,
                         hint="leave revision out: the signature says which model it is")
    with Folders(guard or default_guard()) as folders:
        folder = folders.open(path_or_hf_repo, "model", model_config)
        adapter = None if adapter_path is None else str(folders.open(adapter_path, "adapter"))
        with folders.own_names():
            return mlx_lm.load(str(folder), tokenizer_options(tokenizer_config, trust_remote_code), model_config, adapter,
                               lazy, return_config, trust_remote_code=trust_remote_code)


if not TYPE_CHECKING:  # type checkers are to know of what is offered only
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
        "every function of mlx_lm that takes a loaded model. Or run mlx_lm's own in `with mlxguard.patch():`")
