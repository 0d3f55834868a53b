"""Models of transformers behind the interface of ours, so that objectives, readers and checkpoints need not know.

B batch, T tokens, S source tokens, V vocabulary, L labels.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.models.answers import FillsMasks, GivesLabels, MarksAnswer, MarksTokens, ShowsAttention, WritesTarget
from nbllm.models.huggingface.tags import kinds_of, meaning


class Foreign(nn.Module, ShowsAttention):
    """Holds a model of transformers as `model`."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.takes = frozenset(inspect.signature(model.forward).parameters)
        known = int(getattr(model.config, "type_vocab_size", 0) or 0)
        self.takes_segments = "token_type_ids" in self.takes and known > 1

    def attention(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the library itself returns, by its plain kernels: (layer, B, head, T, T)."""
        with self._eager():
            found = self.model(**self.framed(tokens_BT, real_BT, segments_BT), output_attentions=True)
        return _stacked(found.attentions)

    def framed(self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None, segments_BT: Any) -> dict[str, Any]:
        """What a model that reads a whole text is given: segments where it knows two of them."""
        given: dict[str, Any] = {"input_ids": tokens_BT}
        if real_BT is not None:
            given["attention_mask"] = real_BT.long()
        if segments_BT is not None and self.takes_segments:
            given["token_type_ids"] = segments_BT
        return given

    @contextmanager
    def _eager(self) -> Iterator[None]:
        """The fused kernels return no weights: the plain ones meanwhile."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)


class ForeignCausal(Foreign):
    """A language model: tokens_BT -> logits_BTV. It reads its whole window anew for every token that it writes."""

    unbounded = False

    def forward(self, tokens_BT: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The logits of the token after each one."""
        assert mask is None, "a model of transformers masks by itself"
        return self.model(input_ids=tokens_BT, use_cache=False).logits


class CachedCausal(ForeignCausal):
    """A language model with a cache of its keys and values."""

    def init_state(self, batch: int, length: int) -> Any:
        """An empty cache; it grows."""
        from transformers import DynamicCache

        return DynamicCache(config=self.model.config)

    def step(self, tokens_BT: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """The logits after the last of these further tokens, logits_BV, and the cache to go on with."""
        last = {"logits_to_keep": 1} if "logits_to_keep" in self.takes else {}
        out = self.model(input_ids=tokens_BT, past_key_values=state, use_cache=True, **last)
        return out.logits[:, -1], out.past_key_values

    def select(self, state: Any, rows_B: torch.Tensor) -> Any:
        """The cache of these rows of its batch, in this order."""
        state.reorder_cache(rows_B)
        return state


class ReadsWhole(Foreign):
    """A model that reads a whole text and answers once: tokens_BT -> what `said` takes from the library's answer."""

    def forward(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The answer of its head."""
        return self.said(self.model(**self.framed(tokens_BT, real_BT, segments_BT)))

    def said(self, out: Any) -> torch.Tensor:
        """Of all that the library gives back, what is ours to read."""
        return out.logits


class ForeignMasked(ReadsWhole, FillsMasks):
    """An encoder that was hidden some of its tokens: logits_BTV of the token at each place."""

    def said(self, out: Any) -> torch.Tensor:
        return out.prediction_logits if hasattr(out, "prediction_logits") else out.logits


class ForeignEncoder(Foreign, FillsMasks):
    """An encoder without a head: it is there to be looked into, and for the vectors of its texts."""

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        """It has no answers: ModelError."""
        raise ModelError(
            "This encoder was saved without a head, and answers nothing.",
            "Ask for .attention(text) or .embed(texts), or train a head: nbllm.train(init_from=..., ...).",
        )


class ForeignClassifier(ReadsWhole, GivesLabels):
    """A classifier: logits_BL. Decoders find the last token by its not being the padding."""

    def forward(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The logits of the labels."""
        if real_BT is not None and self.model.config.pad_token_id is not None:
            tokens_BT = tokens_BT.masked_fill(~real_BT, self.model.config.pad_token_id)
        return super().forward(tokens_BT, real_BT, segments_BT)


class ForeignTagger(ReadsWhole, MarksTokens):
    """A token classifier: logits_BTL of our own tags, in whatever order and scheme (BIO, IO, BIOES, bare
    names) its own labels are. Of several that mean the same tag the probabilities are added."""

    def __init__(self, model: Any):
        super().__init__(model)
        names = [str(name) for _, name in sorted(model.config.id2label.items())]
        self.kinds = kinds_of(names)
        self.means = meaning(names, self.kinds)
        self.same = self.means == [[place] for place in range(len(names))]
        self.by_word = not self.same
        """Whether the first token of a word says what the whole word is, as these models are commonly trained."""

    def said(self, out: Any) -> torch.Tensor:
        """The logits of O, and of B and I of each kind; -inf of one that the model does not know."""
        logits_BTL = out.logits
        if self.same:
            return logits_BTL
        none_BT = torch.full_like(logits_BTL[..., 0], -torch.inf)
        found = [logits_BTL[..., places].logsumexp(-1) if places else none_BT for places in self.means]
        return torch.stack(found, dim=-1)


class ForeignReader(ReadsWhole, MarksAnswer):
    """A model with a span head: of question and text, logits_BT2 of where the answer begins and ends."""

    def said(self, out: Any) -> torch.Tensor:
        return torch.stack((out.start_logits, out.end_logits), dim=-1)


class TargetState(NamedTuple):
    """What a target is written with: the encoder's answer, the source's real places, the cache, the tokens read."""

    memory: Any
    real: torch.Tensor | None
    cache: Any
    read: int = 0


class ForeignSeq2Seq(Foreign, WritesTarget):
    """An encoder-decoder: source_BS and target_BT -> logits_BTV of the token after each target token.

    Its target begins with the token that it was trained to begin with, whatever stands first in target_BT.
    """

    def forward(
        self, source_BS: torch.Tensor, target_BT: torch.Tensor, real_BS: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Every target token is answered from the source and the target tokens up to it."""
        return self._read(source_BS, target_BT, real_BS).logits

    def attention(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, segments_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The encoder's."""
        with self._eager():
            found = self._encoded(tokens_BT, real_BT, output_attentions=True)
        return _stacked(found.attentions)

    def target_attention(
        self,
        source_BS: torch.Tensor,
        target_BT: torch.Tensor,
        real_BS: torch.Tensor | None = None,
        part: str = "cross",
    ) -> torch.Tensor:
        with self._eager():
            out = self._read(source_BS, target_BT, real_BS, output_attentions=True)
        return _stacked(out.cross_attentions if part == "cross" else out.decoder_attentions)

    def init_state(self, source_BS: torch.Tensor, length: int, real_BS: torch.Tensor | None = None) -> TargetState:
        """The source is read once."""
        from transformers import DynamicCache, EncoderDecoderCache

        config = self.model.config
        cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        return TargetState(self._encoded(source_BS, real_BS), _mask(real_BS), cache)

    def step(self, target_BT: torch.Tensor, state: TargetState) -> tuple[torch.Tensor, TargetState]:
        out = self.model(
            encoder_outputs=state.memory,
            attention_mask=state.real,
            decoder_input_ids=target_BT if state.read else self._begun(target_BT),
            past_key_values=state.cache,
            use_cache=True,
        )
        return out.logits[:, -1], state._replace(cache=out.past_key_values, read=state.read + target_BT.shape[1])

    def select(self, state: TargetState, rows_B: torch.Tensor) -> TargetState:
        from transformers.modeling_outputs import BaseModelOutput

        state.cache.reorder_cache(rows_B)
        memory = BaseModelOutput(last_hidden_state=state.memory.last_hidden_state.index_select(0, rows_B))
        real = None if state.real is None else state.real.index_select(0, rows_B)
        return state._replace(memory=memory, real=real)

    def _encoded(self, source_BS: torch.Tensor, real_BS: torch.Tensor | None, **more: Any) -> Any:
        """The encoder's own answer."""
        return self.model.get_encoder()(input_ids=source_BS, attention_mask=_mask(real_BS), **more)

    def _read(self, source_BS: torch.Tensor, target_BT: torch.Tensor, real_BS: torch.Tensor | None, **more: Any) -> Any:
        """All of the model's answer to a source and the target so far."""
        return self.model(
            input_ids=source_BS, attention_mask=_mask(real_BS), decoder_input_ids=self._begun(target_BT),
            use_cache=False, **more,
        )  # fmt: skip

    def _begun(self, target_BT: torch.Tensor) -> torch.Tensor:
        start = self.model.config.decoder_start_token_id
        if start is None or not target_BT.shape[1]:
            return target_BT
        begin_B1 = torch.full_like(target_BT[:, :1], start)
        return torch.cat((begin_B1, target_BT[:, 1:]), dim=1)


_BY_HEAD: dict[str, type[Foreign]] = {
    "none": ForeignEncoder,
    "masked": ForeignMasked,
    "labels": ForeignClassifier,
    "target": ForeignSeq2Seq,
    "tags": ForeignTagger,
    "ends": ForeignReader,
}


def wrap(model: Any, head: str) -> Foreign:
    """A model of transformers behind our interface for its head."""
    if head in _BY_HEAD:
        return _BY_HEAD[head](model)
    takes = inspect.signature(model.forward).parameters
    cached = "past_key_values" in takes and not getattr(model, "_is_stateful", False)
    return CachedCausal(model) if cached else ForeignCausal(model)


def _mask(real: torch.Tensor | None) -> torch.Tensor | None:
    """Which places are real, as the library takes it."""
    return None if real is None else real.long()


def _stacked(maps: Any) -> torch.Tensor:
    found = [each for each in maps or () if each is not None]
    if not found:
        raise ModelError("This model returns no attention weights.", "It may have no attention layers.")
    return torch.stack(found)
