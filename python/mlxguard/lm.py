# SPDX-License-Identifier: Apache-2.0
"""In place of mlx_lm: `from mlxguard.lm import load, generate`. Everything but load is mlx_lm's own."""
import pathlib

from . import UsageError, default_guard


def load(path, tokenizer_config=None, model_config=None, adapter_path=None, lazy=False,
         return_config=False, revision=None, trust_remote_code=False, *, guard=None):
    """mlx_lm.load on verified bytes: the model folder, and the adapter's when there is one, must each be
    signed by someone trusted. Raises Refused where mlx_lm would load.

    Only local folders: a repository id is not a signed model. Python code that a model brings runs only
    with trust_remote_code=True, and then it is signed code.
    """
    import mlx_lm
    guard = guard or default_guard()
    if not pathlib.Path(path).exists():
        raise UsageError(f"expected a model folder, found none at {path}", code="usage", number=1100,
                         hint=f"download it first: hf download {path} --local-dir FOLDER, then sign the folder")
    if revision is not None:
        raise UsageError("a local folder has no revisions", code="usage", number=1100)
    model = _open_checked(guard, path)
    with model.folder() as folder:
        if adapter_path is None:
            return mlx_lm.load(str(folder), tokenizer_config, model_config, None, lazy, return_config,
                               trust_remote_code=trust_remote_code)
        with _open_checked(guard, adapter_path).folder() as adapter:
            return mlx_lm.load(str(folder), tokenizer_config, model_config, str(adapter), lazy,
                               return_config, trust_remote_code=trust_remote_code)


def _open_checked(guard, path):
    """Verified, and every file of weights that mlx_lm could load is one that mlx may be given."""
    model = guard.open_model(path)
    for name in model.files:
        if name.endswith((".safetensors", ".npz")):
            model.check_structure(name)
    return model


def __getattr__(name):
    import mlx_lm
    return getattr(mlx_lm, name)
