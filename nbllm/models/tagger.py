"""A tagger: any stack, and a matrix from each token's vector to the tags; and the same with two answers a token, which
say where an answer begins and ends.

B batch, T tokens, L tags.
"""

from __future__ import annotations

from nbllm.models.answers import MarksAnswer, MarksTokens
from nbllm.models.classifier import Labelling


class Tagger(Labelling, MarksTokens):
    """logits_BTL are for a softmax over the tags of each token."""

    pools = False


class AnswerMarker(Labelling, MarksAnswer):
    """logits_BT2 are for a softmax over the places, one for the start of an answer and one for its end."""

    pools = False
