"""Model: a trained model with its tokenizer, ready to write, to score and to be looked into."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig, goal_of
from nbllm.errors import ModelError, did_you_mean
from nbllm.handles.auditing import Auditing
from nbllm.handles.cheaper import Cheaper
from nbllm.handles.looking import Looking
from nbllm.runners import pieces
from nbllm.runners.machine import share_cores
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from tokenizers import Tokenizer

    from nbllm.generation.result import Generation
    from nbllm.objectives.base import Objective


class Model(Looking, Auditing, Cheaper):
    """A trained model with its tokenizer, ready to write, to score and to be looked into."""

    def __init__(self, module: torch.nn.Module, objective: Objective, config: RunConfig, folder: Path, step: int):
        self.module = module
        self.objective = objective
        self.tokenizer: Tokenizer = objective.task.tokenizer
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
        place = folder.checkpoint(step)
        config = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), str(place / "config.yaml"))
        pieces.require(folder, config, ("model", "objective"))
        module, objective = _opened(place, config)
        return cls(module, objective, config, folder.path, step)

    @classmethod
    def from_folder(cls, place: Path) -> Model:
        """Load what an export in nbllm's own form wrote: config.yaml, model.safetensors, tokenizer.json."""
        share_cores()
        config = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), str(place / "config.yaml"))
        pieces.require(RunFolder(place), config, ("model", "objective"))
        module, objective = _opened(place, config)
        return cls(module, objective, config, place, 0)

    @classmethod
    def from_hugging_face(cls, name: str, *, allow_download: bool = False, objective: str | None = None) -> Model:
        """Load `hf:NAME_OR_PATH` as transformers does. ModelError where it is not here and may not be fetched."""
        share_cores()
        from nbllm.runners import hub

        config, module, goal = hub.open_model(name, allow_download, objective)
        return cls(module.to(_roomy_device(module)).eval(), goal, config, Path(name.removeprefix("hf:")), 0)

    def generate(self, prompt: str = "", *, samples: int = 1, **settings: Any) -> Generation | list[Generation]:
        """Go on from the prompt, or answer it (seq2seq): a str with .prompt .tokens .probabilities, or a list of them
        for several samples. An encoder-decoder answers with its likeliest tokens unless told otherwise.

        Settings: max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop, seed; beams and length_penalty
        for a beam search, which gives the best `samples` it finds.
        """
        from nbllm.generation.decode import generate

        self._check(settings, generate)
        with self._threads():
            found = generate(self.module, self.tokenizer, prompt, samples=samples, **{**self._usual(), **settings})
        return found[0] if samples == 1 else found

    def stream(self, prompt: str = "", **settings: Any) -> Iterator[str]:
        """The continuation as it is written, piece by piece; the same settings as `generate`, for one sample."""
        for piece in self.pieces(prompt, **settings):
            if piece.text:
                yield piece.text

    def pieces(self, prompt: str | Sequence[int] = "", **settings: Any) -> Iterator[Any]:
        """The continuation of a text, or of the ids of its tokens, token by token, each with .text .token_id
        .probability; also the setting `ends`, further tokens that end it."""
        from nbllm.generation.decode import stream

        self._check(settings, stream)
        found = stream(self.module, self.tokenizer, prompt, **{**self._usual(), **settings})
        with self._threads():
            yield from found

    def score(self, text: str) -> float:
        """Bits per byte of the text: less is more likely. ModelError for a model that does not guess the next token."""
        from nbllm.generation.score import score

        if goal_of(self.config.objective).head != "next":
            raise ModelError(
                f"A model that learned {self.config.objective.kind} does not guess the next token of a text.",
                "Score with a language model, as in objective: clm.",
            )
        with self._threads():
            return score(self.module, self.tokenizer, text, context=self.config.train.context)

    def classify(self, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None) -> pd.DataFrame:
        """What a classifier says of each text (or pair of texts): a row a text with the likeliest `label`, its
        `probability`, and a column a label. Where a text may have several, `label` holds all that are over one half."""
        import pandas as pd

        from nbllm.generation.label import classify

        texts = [texts] if isinstance(texts, str) else list(texts)
        others = [pairs] if isinstance(pairs, str) else list(pairs or [])
        with self._threads():
            shares = classify(self.module, self.objective, texts, others)
        labels = list(self.objective.task.labels)
        best = shares.argmax(1)
        said = [labels[i] for i in best]
        if self.config.objective.multi_label:
            said = ["|".join(n for n, share in zip(labels, row, strict=True) if share > 0.5) for row in shares]
        table = {"text": texts, "label": said, "probability": shares.max(1)}
        return pd.DataFrame({**table, **{f"p({name})": shares[:, i] for i, name in enumerate(labels)}})

    def answer(
        self, sources: str | Sequence[str], *, max_tokens: int | None = None, temperature: float = 0.0,
        beams: int = 0, length_penalty: float = 0.6, seed: int | None = None,
    ) -> list[Generation]:  # fmt: skip
        """An encoder-decoder's answer to each source, all at once; with `beams` the likeliest that a beam search finds,
        one source after another."""
        from nbllm.generation.answer import answer

        sources = [sources] if isinstance(sources, str) else list(sources)
        self._check_open()
        if beams:
            room = {} if max_tokens is None else {"max_tokens": max_tokens}
            return [self.generate(each, beams=beams, length_penalty=length_penalty, **room) for each in sources]  # type: ignore[misc]
        with self._threads():
            return answer(
                self.module, self.objective, sources, max_tokens=max_tokens, temperature=temperature, seed=seed
            )

    def mark(self, texts: str | Sequence[str]) -> pd.DataFrame:
        """What a tagger marks: a row an entity with the `text` it stands in (its number), `start` and `end` in
        characters, `kind`, `entity` and `probability`."""
        import pandas as pd

        from nbllm.generation.mark import mark

        self._check_open()
        texts = [texts] if isinstance(texts, str) else list(texts)
        with self._threads():
            found = mark(self.module, self.objective, texts)
        rows = [
            (number, start, end, kind, texts[number][start:end], sure)
            for number, spans in enumerate(found)
            for (start, end, kind), sure in spans
        ]
        return pd.DataFrame(rows, columns=["text", "start", "end", "kind", "entity", "probability"])

    def fill(self, text: str, top: int = 5) -> pd.DataFrame:
        """What an encoder puts in place of each <mask>: a row a mask and choice, with its text and probability."""
        import pandas as pd

        from nbllm.generation.fill import fill

        with self._threads():
            found = fill(self.module, self.objective, text, top=top)
        rows = [
            (number, rank, choice, share)
            for number, filled in enumerate(found, 1)
            for rank, (choice, share) in enumerate(zip(filled.texts, filled.probabilities, strict=True), 1)
        ]
        return pd.DataFrame(rows, columns=["mask", "rank", "text", "probability"])

    def encode(self, texts: str | Sequence[str]) -> Any:
        """Where a VAE places each text: float32 (texts, latent)."""
        from nbllm.generation.latent import encode

        with self._threads():
            texts = [texts] if isinstance(texts, str) else list(texts)
            return encode(self.module, self.tokenizer, texts, context=self.config.train.context)

    def decode(self, points: Any, temperature: float = 0.0, seed: int | None = None) -> list[Generation]:
        """The sentences at points of a VAE's latent space, (points, latent)."""
        from nbllm.generation.latent import decode

        with self._threads():
            context = self.config.train.context
            found = decode(self.module, self.tokenizer, points, context=context, temperature=temperature, seed=seed)
        return self._generations(found)

    def interpolate(self, first: str, second: str, steps: int = 7) -> list[Generation]:
        """The sentences on the way from one to another through a VAE's latent space, both ends included."""
        from nbllm.generation.latent import interpolate

        with self._threads():
            found = interpolate(
                self.module, self.tokenizer, first, second, context=self.config.train.context, steps=steps
            )
        return self._generations(found)

    def export(
        self, folder: str | Path, *, license: str | None = None, push: str | None = None, public: bool = False
    ) -> Path:
        """Write the model as `transformers` loads it with no nbllm installed, and a model card. What has no standard
        home there is written as `nbllm.load(folder)` reads it, and a warning says why.

        `license` goes into the card. `push` also uploads the folder to that repository of the hub, as me/my-model,
        private unless `public`.
        """
        from nbllm.handles.export import export

        written = export(self, Path(folder).expanduser(), license=license, push=push, public=public)
        if written.reason:
            warnings.warn(written.reason, stacklevel=2)
        return written.folder

    def cost(self) -> Any:
        """What the model costs: parameters by part, FLOPs a token, memory of training and of writing, by estimate."""
        from nbllm.handles.cost import cost_of_model

        self._check_open()
        return cost_of_model(self)

    def close(self) -> None:
        """Let go of the weights."""
        self.module = None  # type: ignore[assignment]

    def _generations(self, found: list[list[Any]]) -> list[Generation]:
        from nbllm.generation.decode import result

        return [result("", each, self.tokenizer, 0.0) for each in found]

    @cached_property
    def chat_template(self) -> Any:
        """The chat template of a model of Hugging Face: `.ids(messages)`; None where it has none."""
        from nbllm.handles.conversation import template_of

        return template_of(self)

    @property
    def joint(self) -> str:
        """What is shown between a prompt and the text: an arrow where the model answers it, and does not go on."""
        from nbllm.generation.begin import ANSWERS

        return ANSWERS if goal_of(self.config.objective).head == "target" else ""

    def _usual(self) -> dict[str, Any]:
        """What generation is told where the caller says nothing."""
        task = self.objective.task
        usual: dict[str, Any] = {"context": task.context, "prefix": self.objective.prefix}
        if goal_of(self.config.objective).head == "target":
            usual |= {"temperature": 0.0, "target_tokenizer": task.target_tokenizer}
            usual["target_context"] = task.target_context
        return usual

    def _check(self, settings: Mapping[str, Any], function: Any) -> None:
        self._check_open()
        own = {"module", "tokenizer", "prompt", "context", "samples", "target_tokenizer", "target_context", "prefix"}
        known = set(inspect.signature(function).parameters) - own
        for name in settings:
            if name not in known:
                raise ModelError(f"There is no setting '{name}'.", did_you_mean(name, known))


def _opened(place: Path, config: RunConfig) -> tuple[torch.nn.Module, Objective]:
    """The module with the weights of a folder, and its objective with the tokenizers there."""
    from nbllm.runners import initial
    from nbllm.runners.assemble import open_objective
    from nbllm.training import checkpoint, lora

    objective = open_objective(place, config)
    module = initial.module_of(place, config, objective)
    if config.lora.rank:
        lora.inject(module, config.lora)
    checkpoint.load_weights(module, place)
    return module.to(_roomy_device(module)).eval(), objective


def _roomy_device(module: torch.nn.Module) -> str:
    """The GPU where it has room for the weights and a cache beside whatever trains there; else the CPU."""
    import torch

    size = sum(p.numel() * p.element_size() for p in module.parameters())
    if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > 2 * size + 1e9:
        return "cuda"
    return "cpu"
