#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small exported functions for tests, the demo and benchmarks, each a folder of its own with
model.mlxfn and the mlxguard.json that names its inputs:

    mlp              fixed shape [4, 16] -> [4, 4]
    mlp_shapeless    [1 to 64, 16] -> [1 to 64, 4]; mlx itself would take any width and read beyond the weights
    transformer      token ids [1, 8] -> logits [1, 8, 256]; mlx itself does not check the ids
    hog              x [n] -> [n] by way of an n x n product: 4 GiB for n = 32768

    tools/export_functions.py FOLDER [NAME...]

Weights are the same in every run; the files are not, since mlx writes addresses of its memory into them.
"""
import argparse
import json
import math
import pathlib

import mlx.core as mx

VOCABULARY, WIDTH, HEADS, LENGTH = 256, 64, 4, 8


def tensor(name: str, datatype: str, shape: list, **bounds) -> dict:
    return {"name": name, "datatype": datatype, "shape": shape, **bounds}


def random(*shape: int) -> mx.array:
    weight = mx.random.normal(shape) / math.sqrt(shape[0])
    mx.eval(weight)  # a constant of the function, not a random number generator inside it
    return weight


def make_mlp():
    first, bias, second = random(16, 32), random(32), random(32, 4)

    def mlp(x):
        return mx.maximum(x @ first + bias, 0) @ second

    return mlp


def mlp():
    return (make_mlp(), [mx.zeros((4, 16))], False,
            [tensor("x", "FP32", [4, 16], min=-1000, max=1000)], [tensor("y", "FP32", [4, 4])])


def mlp_shapeless():
    rows = {"min": 1, "max": 64}
    return (make_mlp(), [mx.zeros((4, 16))], True,
            [tensor("x", "FP32", [rows, 16], min=-1000, max=1000)], [tensor("y", "FP32", [rows, 4])])


def transformer():
    words, positions, out = random(VOCABULARY, WIDTH), random(LENGTH, WIDTH), random(WIDTH, VOCABULARY)
    layers = [(random(WIDTH, 3 * WIDTH), random(WIDTH, WIDTH), random(WIDTH, 4 * WIDTH), random(4 * WIDTH, WIDTH))
              for _ in range(2)]

    def norm(x):
        return mx.fast.layer_norm(x, None, None, 1e-5)

    def attention(x, qkv, merge):
        heads = (x @ qkv).reshape(1, LENGTH, 3, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4)
        scores = heads[0] @ heads[1].swapaxes(-1, -2) / math.sqrt(WIDTH // HEADS)
        mixed = mx.softmax(scores, axis=-1) @ heads[2]
        return mixed.transpose(0, 2, 1, 3).reshape(1, LENGTH, WIDTH) @ merge

    def run(tokens):
        x = words[tokens] + positions
        for qkv, merge, up, down in layers:
            x = x + attention(norm(x), qkv, merge)
            x = x + mx.maximum(norm(x) @ up, 0) @ down
        return norm(x) @ out

    return (run, [mx.zeros((1, LENGTH), dtype=mx.int32)], False,
            [tensor("tokens", "INT32", [1, LENGTH], min=0, max=VOCABULARY - 1)],
            [tensor("logits", "FP32", [1, LENGTH, VOCABULARY])])


def hog():
    def run(x):
        return mx.sum(mx.expand_dims(x, 0) * mx.expand_dims(x, 1), axis=1)

    count = {"min": 2, "max": 32768}  # mlx 0.32.4 crashes when a shapeless broadcast meets an extent of 1
    return (run, [mx.zeros((8,))], True,
            [tensor("x", "FP32", [count], min=-1000, max=1000)], [tensor("y", "FP32", [count])])


MODELS = {"mlp": mlp, "mlp_shapeless": mlp_shapeless, "transformer": transformer, "hog": hog}


def write(folder: pathlib.Path, name: str) -> None:
    mx.random.seed(0)
    function, arguments, shapeless, inputs, outputs = MODELS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    mx.export_function(str(folder / "model.mlxfn"), function, *arguments, shapeless=shapeless)
    manifest = {"format": "mlxguard.function/1", "function": "model.mlxfn", "inputs": inputs, "outputs": outputs}
    (folder / "mlxguard.json").write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes small exported functions, each with its manifest.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; default: all")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODELS)
    if unknown:
        parser.error(f"no such function: {', '.join(sorted(unknown))}")
    for name in arguments.names or MODELS:
        write(arguments.folder / name, name)


if __name__ == "__main__":
    main()
