"""Looking: what a Model shows of its inside, asked about a text. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from nbllm.errors import ModelError
from nbllm.handles.opened import Opened
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.inspection.convolution import Filters
    from nbllm.inspection.embeddings import Embeddings, Similarity
    from nbllm.inspection.gate_maps import Gates
    from nbllm.inspection.influence import Influence
    from nbllm.inspection.internals import Captured
    from nbllm.inspection.latent_map import LatentMap
    from nbllm.inspection.maps import AttentionMaps
    from nbllm.inspection.predictions import Predictions
    from nbllm.inspection.units import Units


class Looking(Opened):
    """The calls of a Model that look inside."""

    def attention(
        self,
        text: str,
        target: str | None = None,
        *,
        pair: str = "",
        part: str | None = None,
        generate: bool = False,
        layers: Sequence[int] | None = None,
        dtype: str = "float32",
        **settings: Any,
    ) -> AttentionMaps:
        """The attention weights for the text, or for it and its `pair`: (layer, head, query, key), with `.figure()`,
        `.heads()`, `.rollout()` and `.save(path)`.

        Of an encoder-decoder those of its encoder, or, for a `target` text, what each target token draws from each
        source token; `part` says otherwise: encoder, decoder or cross. With `generate` a row a token that the model
        writes from the text: what it looked at where it was drawn (`settings` as those of `generate`). Long texts take
        less room with some `layers` or with `dtype="float16"`.
        """
        from nbllm.inspection.attention import attention_maps

        self._check_open()
        kept: dict[str, Any] = {"part": part, "layers": layers, "dtype": dtype}
        if not generate:
            if settings:
                raise ModelError(f"'{next(iter(settings))}' is a setting of writing.", "Add generate=True.")
            with self._threads():
                return attention_maps(self.module, self.objective, text, pair=pair, target=target, **kept)
        if pair or target is not None:
            raise ModelError("What a model writes has no pair and no target.", "Leave them out, or generate.")
        from nbllm.generation.decode import stream
        from nbllm.inspection.written import written_maps

        self._check(settings, stream)
        with self._threads():
            return written_maps(self.module, self.objective, text, **kept, **{**self._usual(), **settings})[0]

    def explore(self, text: str, target: str | None = None, *, pair: str = "") -> Any:
        """The attention explorer of a text, to be displayed; of an encoder-decoder with a `target` that of all three of
        its parts: cross, encoder and decoder."""
        parts = ("cross", "encoder", "decoder") if target is not None else (None,)
        found = [self.attention(text, target, pair=pair, part=part) for part in parts]
        return VIEWS.get("explorer")({maps.part: maps for maps in found}, title=f"Attention of {self.folder.name}")

    def internals(self) -> list[str]:
        """The names of all that the network computes on its way, for `capture`: embedding, blocks.0.attention.pattern,
        blocks.0.residual, ... Of a Hugging Face model the names of its parts."""
        from nbllm.inspection.internals import internals

        self._check_open()
        return list(internals(self.module))

    def capture(self, *names: str) -> AbstractContextManager[Captured]:
        """Keep what the network computes under these names, in which * stands for anything, while a block of code runs:

            with model.capture("blocks.*.attention.pattern") as found:
                model.read("To be, or not to be")
            found["blocks.0.attention.pattern"]  # (batch, head, query, key)

        Works around any call (generate, classify, score, ...); `found.calls(name)` has what each pass gave.
        """
        from nbllm.inspection.internals import capture

        self._check_open()
        return capture(self.module, *names)

    def read(self, text: str, target: str | None = None, *, pair: str = "") -> list[str]:
        """Let the network read a text once, for `capture`: the tokens that it read, in the frame it was trained in."""
        import torch

        from nbllm.inspection.reading import reading
        from nbllm.models.evaluating import evaluating

        self._check_open()
        found = reading(self.module, self.objective, text, pair, target)
        with self._threads(), torch.no_grad(), evaluating(self.module):
            found.run(self.module)
        return found.labels

    def embed(self, texts: str | Sequence[str]) -> Any:
        """A vector a text, float32 (texts, width) of length 1: the mean over its tokens of what the last layer has. The
        product of two is their likeness, which tells meaning only where the model was trained for it, as `minilm`."""
        from nbllm.inspection.sentences import embed

        self._check_open()
        with self._threads():
            return embed(self.module, self.objective, [texts] if isinstance(texts, str) else list(texts))

    def predictions(self, text: str, top: int = 10, *, layers: bool = False, source: str | None = None) -> Predictions:
        """What the model expected at each place of the text: probability, rank and surprise of the true token, and the
        `top` likeliest. It shows itself as a strip of tokens. An encoder sees each token hidden in turn; an
        encoder-decoder takes the text as what follows from `source`.

        With `layers` it also tells what each layer would have said (the logit lens), with `.figure()`.
        """
        from nbllm.inspection.predictions import predictions

        self._check_open()
        with self._threads():
            return predictions(self.module, self.objective, text, top=top, layers=layers, source=source)

    def lens(self, prompt: str = "", **settings: Any) -> Any:
        """Let the model go on from the prompt, and look at what else it might have written: the likeliest tokens at
        each place, what temperature, top k, top p and min p leave of them, and branches that part with another token.

        To be displayed; `.branch(place, token)` writes a branch without the page, `.table()` compares them. Settings:
        max_tokens, temperature, top_k, top_p, min_p, seed.
        """
        from nbllm.inspection.branches import Branches

        self._check_open()
        with self._threads():
            branches = Branches(self.module, self.objective, prompt, self._usual(), **settings)
            return VIEWS.get("lens")(branches, title=f"What {self.folder.name} might have written")

    def embeddings(self) -> Embeddings:
        """The vectors by which the model reads its tokens: `.vectors` (token, width), `.nearest("token")`,
        `.analogy("king - man + woman")`, and `.map()` with its `.figure()` and `.search("ing")`."""
        from nbllm.inspection.embeddings import embeddings

        self._check_open()
        return embeddings(self.module, self.objective, self.folder.name)

    def similarity(self, texts: Sequence[str]) -> Similarity:
        """How alike the texts are to the model, by the vectors of `embed`: a heatmap, `.table` and `.pairs()`. It tells
        meaning only where the model was trained for that, as `minilm`."""
        from nbllm.inspection.embeddings import similarity

        self._check_open()
        with self._threads():
            return similarity(self.module, self.objective, list(texts))

    def influence(
        self,
        text: str,
        method: str = "occlusion",
        target: str | None = None,
        *,
        pair: str = "",
        baseline: str | None = None,
        steps: int = 64,
    ) -> Influence:
        """Which token of the text moved which answer, as a heatmap for any model: `.values` (answer, token) in bits.

        Methods: occlusion, which finds the token that an answer hangs on most often; gradient, the quickest of a long
        text of an encoder; integrated (integrated gradients with so many `steps`). The answers are the tokens
        of the text and what follows; of a classifier the labels of the text (and its `pair`); of an encoder-decoder the
        `target`, or what it writes. Otherwise `target` is the one token or label to explain. `baseline` says what is
        neutral: "mean" of all embeddings, "zero", or the text of one token, as "<mask>" for encoders.
        """
        from nbllm.inspection.influence import influence

        self._check_open()
        with self._threads():
            return influence(
                self.module, self.objective, text, method=method, target=target, pair=pair, baseline=baseline,
                steps=steps,
            )  # fmt: skip

    def gates(self, text: str) -> Gates:
        """Gates and states of the recurrent layers over the text: name to float32 (layer, time, unit), with
        `.figure(gate="forget", sort="half_life")`, `.half_life()` and `.to_frame()`. A text longer than the context is
        read on with the state carried."""
        from nbllm.inspection.gate_maps import gate_maps

        self._check_open()
        with self._threads():
            return gate_maps(self.module, self.objective, text)

    def units(self, text: str, property: Any = "quote", *, state: str | None = None, layer: int | None = None) -> Units:
        """The units whose state tracks a property of the text, the best first: `.table`, `.figure()`.

        The property is a name (quote, line, word, depth, place, digit, upper, space, cjk), a function from the text to
        a number a character, or a number a token. Units are ranked by their correlation over the first half of the text
        and judged by the second. `state` is one kind of state alone (cell, hidden, residual, ...), `layer` one block.
        """
        from nbllm.inspection.units import find_units

        self._check_open()
        with self._threads():
            return find_units(self.module, self.objective, text, property, state=state, layer=layer)

    def receptive_field(self) -> pd.DataFrame:
        """Of a network with convolutions how many tokens each block can see: exact, and measured by the gradient."""
        from nbllm.inspection.convolution import receptive_field

        self._check_open()
        with self._threads():
            return receptive_field(self.module)

    def filters(self, text: str) -> Filters:
        """What each filter of the convolutions answers over the text: `.table` (the n-gram that excites each the most),
        `.strongest(filter)`, `.figure()`."""
        from nbllm.inspection.convolution import filter_responses

        self._check_open()
        with self._threads():
            return filter_responses(self.module, self.objective, text)

    def latent_map(self, texts: Any, method: str = "pca", *, labels: Any = None, seed: int = 0) -> LatentMap:
        """Where sentences lie in the latent space of a vae, on two axes: `.figure()`, whose hover shows the sentence,
        and the active units in `.table`. `texts` is a list or a table with text and label; `method` pca, tsne, umap."""
        from nbllm.inspection.latent_map import latent_map

        self._check_open()
        with self._threads():
            return latent_map(self.module, self.objective, texts, method=method, labels=labels, seed=seed)
