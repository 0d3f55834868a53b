"""How quickly text is written, beside transformers' `generate` with a cache and beside what memory allows.

    python -m tests.benchmarks.generation [OUT.json] [--repeats 7] [--only small,batch,large]

Random weights, for the speed does not hang on them. Small: 4 layers of 128, 4 heads, 65 letters, context 256, sampled
at temperature 0.8; ours is `nbllm.generation.decode.generate` whole, text included, theirs
`Qwen3ForCausalLM.generate` of the same shape, and GPT-2's beside it. Large: 124 million weights (12 layers of 768,
50,257 tokens), by the same calls; the bound is how often a second its weights could be moved at the speed of a copy
(bytes read and bytes written both count). Ours and theirs take turns in one process, and what counts is the median of
the ratios of neighbours, which holds on a busy machine where tokens a second do not. All with one thread, which other
work on the machine disturbs least.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer, models

from nbllm.config import ModelConfig
from nbllm.generation.decode import generate
from nbllm.models.cheaper import quantized, size
from nbllm.models.language_model import LanguageModel
from tests.benchmarks.table import options, write

LETTERS = 65
SAMPLED = {"temperature": 0.8, "stop_at_eos": False}


def letters(count: int) -> Tokenizer:
    """A tokenizer of so many tokens; which ones does not matter."""
    signs = [chr(0x20000 + index) for index in range(count)]
    return Tokenizer(models.WordLevel({sign: index for index, sign in enumerate(signs)}, unk_token=signs[0]))


def ours(vocabulary: int, context: int, **shape: Any) -> LanguageModel:
    """A network in the default layout, with random weights."""
    torch.manual_seed(0)
    module = LanguageModel(ModelConfig(**shape), vocabulary, context).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    return module.requires_grad_(False)


def qwen3(module: LanguageModel, vocabulary: int, context: int) -> Any:
    """The same network in transformers."""
    import transformers

    config = module.stack.config
    return transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=config.width,
            intermediate_size=config.mlp_of("attention"),
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_heads,
            head_dim=config.head_dim,
            max_position_embeddings=context,
            tie_word_embeddings=True,
        )
    ).eval()


def gpt2(module: LanguageModel, vocabulary: int, context: int) -> Any:
    """GPT-2 of that size, whose MLP is not gated and has as many weights."""
    import transformers

    config = module.stack.config
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=vocabulary,
            n_positions=context,
            n_embd=config.width,
            n_layer=config.layers,
            n_head=config.heads,
            bos_token_id=0,
            eos_token_id=None,
        )
    ).eval()


def writes(module: LanguageModel, tokenizer: Tokenizer, context: int, count: int, rows: int = 1) -> Callable[[], int]:
    """Ours, as a call that writes so many tokens."""
    prompt = tokenizer.id_to_token(1)

    def run() -> int:
        found = generate(module, tokenizer, prompt, context=context, max_tokens=count, samples=rows, seed=1, **SAMPLED)
        assert all(len(text.ids) == count for text in found)
        return rows * count

    return run


def theirs(model: Any, count: int, rows: int = 1) -> Callable[[], int]:
    """Transformers', by the same draws: the whole distribution at temperature 0.8."""
    prompt = torch.ones(rows, 1, dtype=torch.long, device=model.device)
    settings = {"do_sample": True, "temperature": 0.8, "top_k": 0, "use_cache": True, "pad_token_id": 0}

    def run() -> int:
        found = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, min_new_tokens=count, **settings
        )
        assert found.shape == (rows, count + 1)
        return rows * count

    return run


def copies(read: int, megabytes: int = 256, device: torch.device | str = "cpu") -> Callable[[], float]:
    """The bound, as a call that copies: the tokens that the bytes moved, read and written, would have been enough for,
    at so many bytes `read` a token."""
    source = torch.randn(megabytes * 250_000, device=device)
    target = torch.empty_like(source)

    def run() -> float:
        target.copy_(source)
        return 2 * source.numel() * source.element_size() / read

    return run


def turns(ways: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Tokens a second of each way, in each of the rounds."""
    for run in ways.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = time.perf_counter()
            count = run()
            found[name].append(count / (time.perf_counter() - start))
    return found


def row(what: str, found: dict[str, list[float]], way: str, peer: str, goal: float | None) -> dict[str, Any]:
    """A row of the table: medians, and the median of the ratios of neighbours with its range."""
    ratios = [mine / other for mine, other in zip(found[way], found[peer], strict=True)]
    return {
        "what": what,
        "tokens/s": round(statistics.median(found[way]), 1),
        "against": peer,
        "its tokens/s": round(statistics.median(found[peer]), 1),
        "ratio": round(statistics.median(ratios), 2),
        "lowest": round(min(ratios), 2),
        "highest": round(max(ratios), 2),
        "goal": goal,
        "rounds": len(ratios),
    }


def small(repeats: int, layers: int = 4, width: int = 128, count: int = 250) -> list[dict[str, Any]]:
    """One stream of a small model, one thread."""
    torch.set_num_threads(1)
    module = ours(LETTERS, 256, layers=layers, width=width, heads=4)
    tokenizer = letters(LETTERS)
    found = turns(
        {
            "nbllm": writes(module, tokenizer, 256, count),
            "transformers' Qwen3": theirs(qwen3(module, LETTERS, 256), count),
            "transformers' GPT-2": theirs(gpt2(module, LETTERS, 256), count),
        },
        repeats,
    )
    name = f"{layers}x{width}, one stream"
    return [
        row(name, found, "nbllm", "transformers' Qwen3", 2.5),
        row(name, found, "nbllm", "transformers' GPT-2", 2.5),
    ]


def batch(repeats: int, layers: int = 4, width: int = 128, count: int = 100, rows: int = 32) -> list[dict[str, Any]]:
    """Many streams of a small model at once."""
    torch.set_num_threads(1)
    module = ours(LETTERS, 256, layers=layers, width=width, heads=4)
    tokenizer = letters(LETTERS)
    found = turns(
        {
            "nbllm": writes(module, tokenizer, 256, count, rows),
            "transformers' Qwen3": theirs(qwen3(module, LETTERS, 256), count, rows),
        },
        repeats,
    )
    return [row(f"{layers}x{width}, {rows} at once", found, "nbllm", "transformers' Qwen3", 1.5)]


def large(
    repeats: int, layers: int = 12, width: int = 768, vocabulary: int = 50_257, count: int = 24
) -> list[dict[str, Any]]:
    """One stream of a model that is read from memory for every token."""
    torch.set_num_threads(1)
    module = ours(vocabulary, 1024, layers=layers, width=width, heads=12)
    peer = qwen3(module, vocabulary, 1024)
    half, whole = ours(vocabulary, 1024, layers=layers, width=width, heads=12).bfloat16(), quantized(module)
    tokenizer = letters(vocabulary)
    ways: dict[str, Callable[[], float]] = {
        "copy bound": copies(size(module)),
        "nbllm": writes(module, tokenizer, 1024, count),
        "transformers' Qwen3": theirs(peer, count),
        "nbllm bf16": writes(half, tokenizer, 1024, count),
        "nbllm int8": writes(whole, tokenizer, 1024, count),
    }
    found = turns(ways, repeats)
    name = f"{sum(p.numel() for p in module.parameters()) / 1e6:.0f}M, one stream"
    return [
        row(f"{name}, fp32", found, "nbllm", "copy bound", 0.75),
        row(f"{name}, fp32", found, "nbllm", "transformers' Qwen3", None),
        row(f"{name}, bf16", found, "nbllm bf16", "nbllm", 1.5),
        row(f"{name}, int8", found, "nbllm int8", "nbllm", None),
    ]


PARTS: dict[str, Callable[[int], list[dict[str, Any]]]] = {"small": small, "batch": batch, "large": large}


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, repeats=7, only=",".join(PARTS))
    rows: list[dict[str, Any]] = []
    for name in asked.only.split(","):
        found = PARTS[name](asked.repeats)
        rows += found
        for each in found:
            print("  ".join(f"{key} {value}" for key, value in each.items()), flush=True)
    write(rows, asked.out, protocol=__doc__)


if __name__ == "__main__":
    main()
