"""Looking: what a Model shows of its inside, asked about a text. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.handles.opened import Opened

if TYPE_CHECKING:
    from nbllm.inspection.attention import AttentionMaps
    from nbllm.inspection.influence import Influence
    from nbllm.inspection.predictions import Predictions


class Looking(Opened):
    """The calls of a Model that look inside."""

    def attention(self, text: str, target: str | None = None) -> AttentionMaps:
        """The attention weights for the text: (layer, head, query, key), with `.figure()`. Of an encoder-decoder those
        of its encoder, or, for a `target` text, what each target token draws from each source token."""
        from nbllm.inspection.attention import attention_maps, cross_attention_maps

        with self._threads():
            if target is not None:
                other = self.objective.task.target_tokenizer or self.tokenizer
                context = self.config.train.context
                return cross_attention_maps(self.module, self.tokenizer, other, text, target, context=context)
            return attention_maps(self.module, self.tokenizer, text, context=self.config.train.context)

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

    def influence(
        self,
        text: str,
        method: str = "gradient",
        target: str | None = None,
        *,
        pair: str = "",
        baseline: str | None = None,
        steps: int = 64,
    ) -> Influence:
        """Which token of the text moved which answer, as a heatmap for any model: `.values` (answer, token) in bits.

        Methods: gradient, integrated (integrated gradients with so many `steps`), occlusion. The answers are the tokens
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

    def gates(self, text: str) -> dict[str, Any]:
        """Gates and states of the LSTM layers over the text: name to float32 (layer, time, unit)."""
        from nbllm.inspection.gates import gates

        tokens_BT, _ = self._tokens(text)
        return {name: values[:, 0].cpu().numpy() for name, values in gates(self.module, tokens_BT).items()}
