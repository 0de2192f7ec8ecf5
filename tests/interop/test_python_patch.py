# SPDX-License-Identifier: Apache-2.0
"""mlxguard.patch(): the loaders of a process, guarded while a `with` lasts."""
import json
import shutil

import pytest

pytestmark = pytest.mark.timeout(1800)  # the first of them builds the wheel, on a fresh machine from nothing


def test_mx_load_is_guarded_and_given_back(program, cli, arrays, tmp_path):
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    shutil.copy(arrays / "a.safetensors", unsigned)
    found = program("""
        import mlx.nn as nn
        before = mx.load, mx.import_function
        unsigned = sys.argv[3] + "/a.safetensors"
        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.w, self.b = mx.zeros((4, 6)), mx.zeros((3,), mx.int32)
        layer = Layer()
        with mlxguard.patch() as used:
            sums = [mx.sum(mx.load(str(model / f"a.{kind}"))["w"]).item() for kind in ("safetensors", "npz", "gguf")]
            metadata = mx.load(str(model / "a.safetensors"), return_metadata=True)[1]["made"]
            layer.load_weights(str(model / "a.safetensors"))
            own = len(mlxguard.load(model / "a.npz"))
            refused = [refusal(call) for call in (lambda: mx.load(unsigned), lambda: Layer().load_weights(unsigned),
                                                  lambda: mx.import_function(unsigned), lambda: mx.load(open(unsigned, "rb")))]
            again = refusal(lambda: mlxguard.patch().__enter__())
        answer(sums=sums, metadata=metadata, layer=mx.sum(layer.w).item(), own=own, codes=[one["code"] for one in refused],
               again=again["code"], given_back=before == (mx.load, mx.import_function), unguarded=len(mx.load(unsigned)), used=used is guard)
        """, cli.state, arrays, unsigned)
    assert found == {"sums": [sum(range(24))] * 3, "metadata": "by a test", "layer": sum(range(24)), "own": 2, "given_back": True,
                     "codes": ["signature.missing"] * 3 + ["usage"], "again": "usage", "unguarded": 2, "used": True}


@pytest.mark.parametrize("how", ["mx.load = mlxguard.load", "mx.load = guard.load"])
def test_mlxguards_load_in_the_place_of_mlxs_does_not_call_itself(program, cli, arrays, how):
    assert program(f"""
        {how}
        answer(sum=mx.sum(mx.load(str(model / "a.npz"))["w"]).item())
        """, cli.state, arrays) == {"sum": sum(range(24))}


def test_mlx_lm_is_guarded_whoever_calls_it(program, cli, signed_llama, llama, adapter):
    found = program("""
        import mlx_lm, mlx_lm.utils, mlx_lm.tuner.utils, mlx_lm.tokenizer_utils, mlx_lm.generate
        from mlx_lm import load as early
        import mlxguard.lm
        unsigned, adapter = pathlib.Path(sys.argv[3]), sys.argv[4]
        def say(loaded):
            return mlx_lm.generate(*loaded[:2], prompt="the quick brown", max_tokens=8)
        theirs = say(mlx_lm.load(str(model)))
        with mlxguard.patch():
            import mlx_lm.server, mlx_lm.fuse
            from mlx_lm.utils import load as late
            ours = [say(load(str(model))) for load in (mlx_lm.load, early, late, mlxguard.lm.load, mlx_lm.server.load)]
            adapted = say(mlx_lm.load(str(model), adapter_path=adapter)) == say(mlxguard.lm.load(model, adapter_path=adapter))
            attempts = {
                "load": lambda: mlx_lm.load(str(unsigned)), "early": lambda: early(str(unsigned)), "late": lambda: late(str(unsigned)),
                "generate": lambda: sys.modules["mlx_lm.generate"].load(str(unsigned)), "convert": lambda: mlx_lm.convert(str(unsigned), mlx_path=adapter + "-new"),
                "load_model": lambda: mlx_lm.utils.load_model(unsigned), "load_config": lambda: mlx_lm.utils.load_config(unsigned),
                "load_tokenizer": lambda: mlx_lm.utils.load_tokenizer(str(unsigned)), "sharded_load": lambda: mlx_lm.utils.sharded_load(str(unsigned)),
                "load_adapters": lambda: mlx_lm.utils.load_adapters(None, str(unsigned)), "tuner": lambda: mlx_lm.tuner.utils.load_adapters(None, str(unsigned)),
                "tokenizer": lambda: mlx_lm.tokenizer_utils.load(unsigned), "repository": lambda: mlx_lm.load("someone/model"),
                "adapter": lambda: mlx_lm.load(str(model), adapter_path=str(unsigned)),
            }
            refused = {name: (refusal(call) or {}).get("code") for name, call in attempts.items()}
        answer(same=[one == theirs for one in ours], adapted=adapted, refused=refused, after=say(mlx_lm.load(str(unsigned))) == theirs,
               late=late is not mlx_lm.load, restored=mlx_lm.server.load is mlx_lm.utils.load is mlx_lm.load is early,
               left=[name for name in os.listdir(os.environ["TMPDIR"]) if name.startswith("mlxguard")])
        """, cli.state, signed_llama, llama, adapter, env={"TMPDIR": str(adapter.parent)})
    refused = found.pop("refused")
    assert refused.pop("repository") == "artifact.not_found"
    assert set(refused.values()) == {"signature.missing"}, refused
    assert found == {"same": [True] * 5, "adapted": True, "after": True, "late": True, "restored": True, "left": []}


FAKE = {
    "mlx_vlm/__init__.py": "from .utils import load\n",
    "mlx_vlm/utils.py": """
import json, pathlib, mlx.core as mx
def get_model_path(path_or_hf_repo, revision=None):
    return pathlib.Path(path_or_hf_repo)
def load_config(model_path):
    return json.loads((pathlib.Path(model_path) / "config.json").read_text())
def load_processor(model_path, add_detokenizer=True, **kwargs):
    return (pathlib.Path(model_path) / "tokenizer.json").read_bytes()
def load(path_or_hf_repo, adapter_path=None, lazy=False, revision=None, **kwargs):
    path = get_model_path(path_or_hf_repo)
    load_config(path)
    return {k: v for file in sorted(path.glob("*.safetensors")) for k, v in mx.load(str(file)).items()}, load_processor(path)
""",
    "mlx_whisper/__init__.py": "from .transcribe import transcribe\n",
    "mlx_whisper/load_models.py": """
import json, pathlib, mlx.core as mx
def load_model(path_or_hf_repo, dtype=None):
    path = pathlib.Path(path_or_hf_repo)
    json.loads((path / "config.json").read_text())
    return {k: v for file in sorted(path.glob("*.safetensors")) for k, v in mx.load(str(file)).items()}
""",
    "mlx_whisper/transcribe.py": "from .load_models import load_model\ndef transcribe(audio, *, path_or_hf_repo):\n    return load_model(path_or_hf_repo)\n",
}


def test_the_loaders_of_other_packages_are_guarded(program, cli, signed_llama, llama, tmp_path):
    """Packages with the loaders' names and arguments of mlx_vlm and mlx_whisper."""
    for name, text in FAKE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = program("""
        unsigned = sys.argv[3]
        with mlxguard.patch():
            import mlx_vlm, mlx_vlm.utils, mlx_whisper
            loaded = [len(mlx_vlm.load(str(model))[0]) > 0, len(mlx_whisper.transcribe("audio", path_or_hf_repo=str(model))) > 0]
            path = mlx_vlm.utils.get_model_path(str(model))
            kept = path != model and (path / "config.json").is_file()
            refused = [refusal(call) for call in (lambda: mlx_vlm.load(unsigned), lambda: mlx_vlm.utils.load_config(unsigned),
                                                  lambda: mlx_vlm.utils.load_processor(unsigned), lambda: mlx_whisper.transcribe("audio", path_or_hf_repo=unsigned))]
        answer(loaded=loaded, kept=kept, codes=[one and one["code"] for one in refused], gone=not path.exists())
        """, cli.state, signed_llama, llama)
    assert found == {"loaded": [True, True], "kept": True, "codes": ["signature.missing"] * 4, "gone": True}


def test_an_adapter_in_the_models_folder_is_covered_by_its_signature(program, cli, signed_llama, adapter):
    (adapter / "model.sig").unlink()
    shutil.copytree(adapter, signed_llama / "adapters")
    refused = program("""
        from mlxguard.lm import load
        answer(refused=refusal(lambda: load(model, adapter_path=model / "adapters")))
        """, cli.state, signed_llama)["refused"]
    assert refused["code"] == "signature.file_unsigned"
    cli.sign(signed_llama)
    found = program("""
        import mlx_lm
        from mlxguard.lm import load, generate
        def say(loaded):
            return generate(*loaded, prompt="the quick brown", max_tokens=8)
        ours = say(load(model, adapter_path=model / "adapters"))
        with mlxguard.patch():
            patched = say(mlx_lm.load(str(model), adapter_path=str(model / "adapters")))
        answer(same=ours == patched == say(mlx_lm.load(str(model), adapter_path=str(model / "adapters"))), differ=ours != say(load(model)),
               none=refusal(lambda: load(model, adapter_path=model / "nothing")))
        """, cli.state, signed_llama)
    assert found["same"] and found["differ"] and found["none"]["type"] == "FileMissing"


def test_a_refusal_names_the_model_and_which_of_two(program, cli, signed_llama, llama, arrays, tmp_path):
    found = program("""
        from mlxguard.lm import load
        import mlx_lm
        unsigned, arrays = sys.argv[3:5]
        def told(call):
            try:
                call()
            except Exception as error:
                return [type(error).__name__, isinstance(error, FileNotFoundError), str(error), getattr(error, "part", None)]
        missing = [lambda: load("none/here"), lambda: mlxguard.open_model("none/here"), lambda: mlxguard.load("none/here/a.npy"),
                   lambda: load("store:nothing"), lambda: load(model, adapter_path="none/adapter")]
        answer(model=told(lambda: load(unsigned)), adapter=told(lambda: load(model, adapter_path=unsigned)), guard=told(lambda: guard.verify(unsigned)),
               file=told(lambda: mlxguard.load(arrays + "/b.npy")), missing=[told(call) for call in missing],
               theirs=told(lambda: load(arrays)), key=told(lambda: mlxguard.Guard(state=sys.argv[5]).open_model(arrays)))
        """, cli.state, signed_llama, llama, arrays, tmp_path / "empty-state")
    assert found["model"][2].startswith(f"{llama}: ") and found["model"][3] == "model"
    assert found["adapter"][2].startswith(f"adapter {llama}: ") and found["adapter"][3] == "adapter"
    assert found["guard"][2].startswith(f"{llama}: ") and found["file"][2].startswith(f"{arrays}: b.npy: ")
    assert [one[:2] for one in found["missing"]] == [["FileMissing", True]] * 5, found["missing"]
    assert all("none/here" in found["missing"][i][2] for i in range(3)) and "adapter none/adapter" in found["missing"][4][2]
    assert str(arrays) in found["theirs"][2] and "/tmp/mlxguard-" not in found["theirs"][2]
    assert "public_keys=" in found["key"][2] and "--" not in found["key"][2]
