"""Published architectures and those of the tutorials, as settings: what `--preset` fills in, above the size.

A preset says how the network is built; the size dial still says how large it is, unless width and layers are given.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Vaswani et al. 2017, "Attention Is All You Need": norms after, sinusoids, ReLU, shared embeddings scaled.
    "vanilla-2017": {
        "model.kind": "seq2seq",
        "model.encoder": None, "model.decoder": None, "model.positions": "sinusoidal", "model.norm": "layer",
        "model.norm_place": "after", "model.norm_eps": 1e-5, "model.activation": "relu", "model.bias": True,
        "model.qk_norm": False, "model.embedding_scale": True, "model.embedding_norm": False, "model.tied": True,
        "model.shared_embedding": True, "model.dropout": 0.1, "objective.label_smoothing": 0.1,
    },
    # Radford et al. 2019
    "gpt2": {
        "model.kind": "transformer",
        "model.positions": "learned", "model.norm": "layer", "model.norm_eps": 1e-5, "model.activation": "gelu_tanh",
        "model.bias": True, "model.qk_norm": False, "model.tied": True, "model.kv_heads": None,
    },
    # Devlin et al. 2019: masked tokens and next sentence together
    "bert": {
        "model.kind": "bert",
        "model.positions": "learned", "model.norm": "layer", "model.norm_place": "after", "model.norm_eps": 1e-12,
        "model.bias": True, "model.activation": "gelu", "model.qk_norm": False, "model.embedding_norm": True,
        "model.first_norm": True, "model.segments": True, "model.dropout": 0.1, "objective.kind": "mlm",
        "objective.next_sentence": True,
    },
    # Warner et al. 2024, arXiv:2412.13663, with global attention alone: what `bert` is without a preset
    "modernbert": {"model.kind": "bert"},
    # Yang et al. 2025, arXiv:2505.09388: what `transformer` is without a preset
    "qwen3": {"model.kind": "transformer", "model.qk_norm": True, "model.rope_base": 1e6},
    # Touvron et al. 2023, arXiv:2302.13971
    "llama": {"model.kind": "transformer", "model.qk_norm": False},
    # What learns soonest, with no home elsewhere: extras to the layout, most of them known from the speedruns of
    # modded-nanogpt (Jordan et al. 2024), each measured alone by tests/figures/ablation.py; and rates of their own.
    "fast": {
        "model.kind": "transformer",
        "model.bigrams": 8192, "model.smear": True, "model.mix_input": True, "model.activation": "relu2",
        "model.tied": False, "train.embedding_rate": 3.0, "train.cooldown": 0.7,
    },
    # The tutorials' networks. Embedding, LSTM, dense softmax over the next token:
    "textbook-lstm": {
        "model.kind": "lstm", "model.plain": True, "model.tied": False, "model.layers": 1, "train.optimizer": "adamw",
    },
    # an LSTM that reads both ways, its two last states joined, to a softmax over labels:
    "textbook-bilstm": {
        "model.kind": "lstm", "model.plain": True, "model.layers": 1, "model.bidirectional": True,
        "model.pool": "ends", "objective.kind": "classification", "train.optimizer": "adamw",
    },
    # an LSTM, its last state, one sigmoid for yes or no:
    "textbook-lstm-sigmoid": {
        "model.kind": "lstm", "model.plain": True, "model.layers": 1, "model.bidirectional": False,
        "model.pool": "last", "objective.kind": "classification", "objective.answer": "sigmoid",
        "train.optimizer": "adamw",
    },
    # an encoder RNN whose last state a decoder RNN goes on from (Sutskever et al. 2014; Cho et al. 2014):
    "textbook-seq2seq": {
        "model.kind": "seq2seq", "model.encoder": ["lstm"], "model.decoder": ["lstm"], "model.cross": "none",
        "model.plain": True, "model.tied": False, "model.positions": "none", "model.embedding_norm": False,
        "model.layers": 1, "train.optimizer": "adamw",
    },
}  # fmt: skip

# What a preset sets in place of the size, where no size is asked for.
OWN_SIZES: dict[str, dict[str, Any]] = {
    "fast": {
        "model.layers": 1, "model.width": 64, "model.heads": 2, "train.context": 64, "train.batch_size": 24,
        "train.steps": 200, "train.lr": 2e-2, "train.warmup": 10,
    },
}  # fmt: skip
