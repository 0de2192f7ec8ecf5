#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records reference embeddings of all-MiniLM-L6-v2 with sentence-transformers on PyTorch.

Writes tests/vectors/minilm/reference.json from tests/vectors/minilm/texts.json. Run it in an
environment of its own (torch is large and no part of mlxguard's):

    python3 -m venv /tmp/reference && /tmp/reference/bin/pip install torch sentence-transformers
    /tmp/reference/bin/python tools/record_minilm_reference.py MODEL_DIR

MODEL_DIR is the folder of the model's files (config.json, model.safetensors, modules.json ...). The
model is used as the package configures it: max_seq_length of sentence_bert_config.json, mean pooling,
normalised; texts longer than its 256 tokens once more at 512. Each text is encoded alone, so that
padding cannot matter.
"""
import argparse
import base64
import json
import pathlib
import platform

import numpy
import sentence_transformers
import tokenizers
import torch
import transformers

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "vectors" / "minilm"


def token_counts(model: sentence_transformers.SentenceTransformer, texts: list[str]) -> list[int]:
    return [int(model.preprocess([text])["attention_mask"].sum()) for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=pathlib.Path)
    arguments = parser.parse_args()

    texts = json.loads((VECTORS / "texts.json").read_text())
    model = sentence_transformers.SentenceTransformer(str(arguments.model_dir), device="cpu")
    torch.set_grad_enabled(False)
    rows = [model.encode([text], batch_size=1, show_progress_bar=False)[0] for text in texts]
    vectors = numpy.stack(rows).astype("<f4")
    counts = token_counts(model, texts)
    max_seq_length = model.max_seq_length

    # Once more with every position that the model has, for the texts that were cut above.
    model.max_seq_length = 512
    counts_uncut = token_counts(model, texts)
    long_texts = [i for i, count in enumerate(counts_uncut) if count > max_seq_length]
    long_rows = [model.encode([texts[i]], show_progress_bar=False)[0] for i in long_texts]
    long_vectors = numpy.stack(long_rows).astype("<f4")

    reference = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "max_seq_length": max_seq_length,
        "dimension": int(vectors.shape[1]),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "sentence_transformers": sentence_transformers.__version__,
        },
        "token_counts": counts,
        "vectors_base64_float32": base64.b64encode(vectors.tobytes()).decode(),
        "at_512": {
            "texts": long_texts,
            "token_counts": [counts_uncut[i] for i in long_texts],
            "vectors_base64_float32": base64.b64encode(long_vectors.tobytes()).decode(),
        },
    }
    path = VECTORS / "reference.json"
    path.write_text(json.dumps(reference) + "\n")
    print(f"{path.name}: {len(texts)} texts, {vectors.shape[1]} dimensions, "
          f"tokens {min(counts)} to {max(counts)}")


if __name__ == "__main__":
    main()
