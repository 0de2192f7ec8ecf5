# SPDX-License-Identifier: Apache-2.0
"""mlxguard.lm offers what verifies, and nothing of mlx_lm that would load what nobody verified."""
import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(1800)  # the first of them builds the wheel, on a fresh machine from nothing

# The functions that may be reached under the name mlxguard.lm. Each was read: it verifies, or it opens no path.
OFFERED = {"load", "generate", "stream_generate", "batch_generate"}


def test_nothing_of_mlx_lm_is_reached_but_what_is_offered(program, cli, tmp_path):
    """Every submodule of mlx_lm, and every name in each of them, by every way that Python has."""
    found = program("""
        import ast, importlib, importlib.util, pkgutil
        import mlx_lm
        import mlxguard.lm as lm

        def raised(call, *args):
            try:
                call(*args)
            except Exception as error:
                return type(error).__name__ if "mlxguard.lm" in str(error) and "load" in str(error) else "other words: " + str(error)
            return "nothing"

        def from_import(name):
            exec(f"from mlxguard.lm import {name}", {})

        modules = [module.name.removeprefix("mlx_lm.") for module in pkgutil.walk_packages(mlx_lm.__path__, "mlx_lm.", onerror=print)]
        names = set(modules) | set(dir(mlx_lm)) | set(vars(mlx_lm))
        for file in pathlib.Path(mlx_lm.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    names.add(node.name)
                elif isinstance(node, (ast.Import, ast.ImportFrom)):
                    names |= {alias.asname or alias.name for alias in node.names}
                elif isinstance(node, ast.Name):
                    names.add(node.id)
        names |= {name.rpartition(".")[2] for name in names}
        reached = {}
        for name in names:
            value = getattr(lm, name, None)
            home = getattr(value, "__module__", None) or getattr(value, "__name__", None) or ""
            if isinstance(home, str) and home.split(".")[0] == "mlx_lm":
                reached[name] = home
        by_import = {raised(importlib.import_module, "mlxguard.lm." + name) for name in modules}
        by_spec = {raised(importlib.util.find_spec, "mlxguard.lm." + name) for name in modules}
        public = [name for name in dir(mlx_lm) if name not in lm.__all__]
        answer(modules=len(modules), names=len(names), reached=reached, by_import=sorted(by_import), by_spec=sorted(by_spec),
               by_attribute=sorted({raised(getattr, lm, name) for name in public if name not in vars(lm)}),
               by_from=sorted({raised(from_import, name) for name in public if name not in vars(lm)}),
               offered=sorted(lm.__all__), listed=dir(lm), path=hasattr(lm, "__path__"),
               loaded=sorted(name for name in sys.modules if name.startswith("mlxguard.lm.")))
        """, cli.state, tmp_path)
    assert found["modules"] > 100 and found["names"] > 1000
    assert set(found["reached"]) == OFFERED - {"load"} and set(found["offered"]) == set(found["listed"]) == OFFERED
    assert found["by_import"] == found["by_spec"] == ["ModuleNotFoundError"]
    assert (found["by_attribute"], found["by_from"]) == (["AttributeError"], ["ImportError"])
    assert found["path"] is False and found["loaded"] == []


def test_what_is_offered_opens_no_path(program, cli, llama):
    """A path in the place of a model is not loaded."""
    found = program("""
        import mlxguard.lm as lm
        seen = []
        sys.addaudithook(lambda event, args: seen.append(str(args[0])) if event == "open" else None)
        refused = []
        for name in ("generate", "stream_generate", "batch_generate"):
            try:
                result = getattr(lm, name)(str(model), str(model), "the quick brown")
                result = list(result)
                refused.append(None)
            except Exception as error:
                refused.append(type(error).__name__)
        answer(refused=refused, opened=[path for path in seen if path.startswith(str(model))])
        """, cli.state, llama)
    assert None not in found["refused"] and found["opened"] == []


@pytest.mark.parametrize("name", ["generate", "server", "convert", "chat", "utils", "quant.awq"])
def test_no_command_of_mlx_lm_runs_under_our_name(package, llama, name):
    done = subprocess.run([sys.executable, "-m", f"mlxguard.lm.{name}", "--model", llama, "--max-tokens", "4"], capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1"}, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert "mlxguard.lm has no submodules" in done.stderr and "mlxguard.lm.load" in done.stderr


CODE = [
    ("config.json", {"model_file": "../evil.py"}),
    ("config.json", {"auto_map": {"AutoConfig": "someone/else--code.Evil"}, "model_type": "unheard_of"}),
    ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["someone/else--code.Evil", None]}, "tokenizer_class": "Unheard"}),
]


@pytest.mark.parametrize("config, change", CODE)
def test_a_yes_on_the_terminal_does_not_fetch_foreign_code(package, cli, signed_llama, config, change):
    """transformers asks the terminal where it was not told whether remote code may run."""
    file = signed_llama / config
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    cli.sign(signed_llama)
    code = """if True:
        import sys, mlxguard, mlxguard.lm, transformers.dynamic_module_utils as code
        code.TIME_OUT_REMOTE_CODE = 30
        mlxguard.configure(state=sys.argv[1])
        def foreign(*args, **options):
            print("fetched", args)
            raise OSError
        code.cached_file = foreign
        try:
            mlxguard.lm.load(sys.argv[2])
        except mlxguard.Refused as error:
            print(error.code, error.subject)
        """
    done = subprocess.run([sys.executable, "-c", code, cli.state, signed_llama], input="y\ny\ny\n", capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1"}, timeout=120)
    assert done.stdout.split() == ["signature.file_unsigned", config], done.stdout + done.stderr


def test_the_models_own_code_is_not_asked_about_on_the_terminal(package, cli, signed_llama):
    """Without the flag the answer is no, whatever the terminal says; with it the question is answered."""
    (signed_llama / "code.py").write_text("print('ran')\nfrom transformers import PreTrainedTokenizerFast as Own\n")
    file = signed_llama / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"auto_map": {"AutoTokenizer": [None, "code.Own"]}, "tokenizer_class": "Unheard"}))
    cli.sign(signed_llama)
    code = """if True:
        import json, sys, mlxguard, mlxguard.lm
        mlxguard.configure(state=sys.argv[1])
        try:
            mlxguard.lm.load(sys.argv[2], **json.loads(sys.argv[3]))
            print("loaded")
        except ValueError:
            print("refused")
        """
    def run(**options):
        done = subprocess.run([sys.executable, "-c", code, cli.state, signed_llama, json.dumps(options)], input="y\ny\ny\n", capture_output=True,
                              text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1",
                                                           "HF_HOME": str(signed_llama.parent / "hf")})
        return done.stdout.split() or done.stderr
    assert run() == run(tokenizer_config={"trust_remote_code": None}) == run(trust_remote_code=False) == ["refused"]
    assert run(trust_remote_code=True) == run(tokenizer_config={"trust_remote_code": True}) == ["ran", "loaded"]


def test_code_that_the_caller_names_is_the_models_own_too(program, cli, signed_llama, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit(9)")
    refused = program("""
        from mlxguard.lm import load
        answer(refused=refusal(lambda: load(model, model_config={"model_file": "../evil.py"}, trust_remote_code=True)))
        """, cli.state, signed_llama)["refused"]
    assert (refused["type"], refused["code"]) == ("SignatureRefused", "signature.file_unsigned")


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "gguf"])
def test_a_folder_holds_no_file_that_mlx_should_not_be_given(program, cli, arrays, kind):
    """Who opens a path checks nothing again: the structure of every file is checked before."""
    (arrays / f"more.{kind}").write_bytes(b"\\0" * 64)
    cli.sign(arrays)
    found = program("""
        opened = mlxguard.open_model(model)
        def use():
            with opened.folder():
                pass
        refused = refusal(use)
        answer(refused=(refused["type"], refused["subject"]), left=[name for name in os.listdir(os.environ["TMPDIR"]) if name.startswith("mlxguard")])
        """, cli.state, arrays, env={"TMPDIR": str(arrays.parent)})
    assert found == {"refused": ["FormatRefused", f"more.{kind}"], "left": []}


def test_a_model_of_one_file_is_checked_by_that_files_name(program, cli, arrays, tmp_path):
    """The name that the event log is given says nothing about the file, and leads nowhere."""
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    shutil.copy(arrays / "a.npy", good)
    bad.write_bytes(b"no array")
    for file in (good, bad):
        cli.sign(file)
    found = program("""
        opened = mlxguard.open_model(model, name="weights")
        with opened.folder() as folder:
            names = os.listdir(folder)
        other = mlxguard.open_model(sys.argv[3], name="weights")
        answer(sum=mx.sum(opened.load(".")).item(), names=names, structure=refusal(lambda: other.check_structure("."))["code"],
               folder=refusal(lambda: other.folder().__enter__())["code"])
        """, cli.state, good, bad)
    assert found == {"sum": sum(range(24)), "names": ["good.npy"], "structure": "npy.header", "folder": "npy.header"}
