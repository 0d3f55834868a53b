"""Model: a trained model with its tokenizer, ready to write, to score and to be looked into."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.errors import ModelError, did_you_mean
from nbllm.registry import MODELS
from nbllm.runners.machine import cores, share_cores
from nbllm.store.folder import RunFolder, list_runs
from nbllm.store.status import read_status

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from nbllm.generation.result import Generation
    from nbllm.inspection.attention import AttentionMaps

MODEL_SOURCE = "model.py"


class Model:
    """A trained model with its tokenizer, ready to write, to score and to be looked into."""

    def __init__(self, module: torch.nn.Module, tokenizer: Tokenizer, config: RunConfig, folder: Path, step: int):
        self.module = module
        self.tokenizer = tokenizer
        self.config = config
        self.folder = folder
        self.step = step

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.module.parameters()) if self.module is not None else 0
        return f"<Model {self.folder.name} {self.config.model.kind}, {parameters:,} parameters, step {self.step:,}>"

    @classmethod
    def from_checkpoint(cls, folder: RunFolder, step: int) -> Model:
        """Load the weights of a checkpoint; no code of the folder is run."""
        share_cores()
        from nbllm.data import tokenizers
        from nbllm.models.factory import build
        from nbllm.training import checkpoint

        place = folder.checkpoint(step)
        config = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), str(place / "config.yaml"))
        require_registered(folder, config)
        tokenizer = tokenizers.load(place / "tokenizer.json")
        module = build(config.model, tokenizer.get_vocab_size(), config.train.context)
        checkpoint.load_weights(module, place)
        return cls(module.to(_roomy_device(module)).eval(), tokenizer, config, folder.path, step)

    def generate(self, prompt: str = "", *, samples: int = 1, **settings: Any) -> Generation | list[Generation]:
        """Go on from the prompt: a str with .prompt .tokens .probabilities, or a list of them for several samples.

        Settings: max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop, seed.
        """
        from nbllm.generation.decode import generate

        self._check(settings, generate)
        with self._threads():
            found = generate(
                self.module, self.tokenizer, prompt, context=self.config.train.context, samples=samples, **settings
            )
        return found[0] if samples == 1 else found

    def stream(self, prompt: str = "", **settings: Any) -> Iterator[str]:
        """The continuation as it is written, piece by piece; the same settings as `generate`, for one sample."""
        for piece in self.pieces(prompt, **settings):
            if piece.text:
                yield piece.text

    def pieces(self, prompt: str = "", **settings: Any) -> Iterator[Any]:
        """The continuation token by token, each with .text .token_id .probability."""
        from nbllm.generation.decode import stream

        self._check(settings, stream)
        found = stream(self.module, self.tokenizer, prompt, context=self.config.train.context, **settings)
        with self._threads():
            yield from found

    def score(self, text: str) -> float:
        """Bits per byte of the text: less is more likely."""
        from nbllm.generation.score import score

        with self._threads():
            return score(self.module, self.tokenizer, text, context=self.config.train.context)

    def attention(self, text: str) -> AttentionMaps:
        """The attention weights for the text: (layer, head, query, key), with `.figure()`."""
        from nbllm.inspection.attention import attention_maps

        with self._threads():
            return attention_maps(self.module, self.tokenizer, text, context=self.config.train.context)

    def gates(self, text: str) -> dict[str, Any]:
        """Gates and states of the LSTM layers over the text: name to float32 (layer, time, unit)."""
        from nbllm.inspection.gates import gates

        tokens_BT, _ = self._tokens(text)
        return {name: values[:, 0].cpu().numpy() for name, values in gates(self.module, tokens_BT).items()}

    def export(self, folder: str | Path) -> Path:
        """Write the model as `transformers` loads it. ModelError for a kind that has no standard home there."""
        from nbllm.models.huggingface import export

        tokenizer = self.folder / "checkpoints" / f"step-{self.step}" / "tokenizer.json"
        target = Path(folder).expanduser()
        return export(self.module, self.config.model, tokenizer, target, self.config.train.context)

    def close(self) -> None:
        """Let go of the weights."""
        self.module = None  # type: ignore[assignment]

    def _tokens(self, text: str) -> tuple[torch.Tensor, list[int]]:
        import torch

        ids = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.config.train.context]
        if not ids:
            raise ModelError("The text has no tokens.", "Give some text to look at.")
        return torch.tensor([ids], device=next(self.module.parameters()).device), ids

    def _check(self, settings: Mapping[str, Any], function: Any) -> None:
        if self.module is None:
            raise ModelError("The model was closed.", "Load it again: nbllm.load(NAME)")
        known = {n for n in inspect.signature(function).parameters if n not in ("module", "tokenizer", "prompt")}
        for name in settings:
            if name not in known - {"context", "samples"}:
                raise ModelError(f"There is no setting '{name}'.", did_you_mean(name, known - {"context", "samples"}))

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """All cores, or half of them while a run trains beside."""
        import torch

        before = torch.get_num_threads()
        busy = any(read_status(run.status_file).live and run.alive() for run in list_runs())
        torch.set_num_threads(max(1, cores() // 2) if busy else cores())
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _roomy_device(module: torch.nn.Module) -> str:
    """The GPU where it has room for the weights and a cache beside whatever trains there; else the CPU."""
    import torch

    size = sum(p.numel() * p.element_size() for p in module.parameters())
    if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > 2 * size + 1e9:
        return "cuda"
    return "cpu"


def require_registered(folder: RunFolder, config: RunConfig) -> None:
    """ModelError that names the cell to run, where the run's model class is not known here."""
    if config.model.kind not in MODELS:
        source = folder.path / MODEL_SOURCE
        where = f" Its text is in {source}" if source.is_file() else ""
        raise ModelError(
            f"The model '{config.model.kind}' of run '{folder.name}' is not registered here.",
            f'Run the cell with @nbllm.models.register("{config.model.kind}") first.{where}',
        )
