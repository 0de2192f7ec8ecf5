# SPDX-License-Identifier: Apache-2.0
"""Writes a very small Llama with random weights and a tokenizer of its own, as mlx_lm loads them."""
import json
import pathlib

TEXT = "the quick brown fox jumps over the lazy dog while a model answers questions about weights and keys "
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2,
          "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
          "vocab_size": 512, "rope_theta": 10000.0, "tie_word_embeddings": True, "max_position_embeddings": 256,
          "bos_token_id": 0, "eos_token_id": 1}


def write(folder: pathlib.Path) -> pathlib.Path:
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models import llama

    folder.mkdir(parents=True)
    write_tokenizer(folder)
    mx.random.seed(7)
    model = llama.Model(llama.ModelArgs.from_dict(CONFIG))
    weights = dict(tree_flatten(model.parameters()))
    names = sorted(weights)
    for part, chosen in enumerate((names[::2], names[1::2]), 1):
        mx.save_safetensors(str(folder / f"model-{part:05d}-of-00002.safetensors"),
                            {name: weights[name] for name in chosen}, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1))
    return folder


def write_tokenizer(folder: pathlib.Path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=CONFIG["vocab_size"], special_tokens=["<s>", "</s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "model_max_length": 256}))
