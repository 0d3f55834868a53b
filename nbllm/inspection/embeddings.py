"""The vectors by which a model reads its tokens: which lie near each other, analogies, a map; and likeness of texts.

N tokens, D width, K neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("pca", "tsne")
MOST = 1500  # tokens of a map
_SPARE = re.compile(r"\[unused\d+\]")  # places in vocabularies of BERT that nothing was learned for
_TERMS = re.compile(r"\s+([+-])\s+")


@dataclass(frozen=True, repr=False)
class Neighbours:
    """Tokens that lie near a point, the nearest first. `asked` says in words what the point is.

    tokens      readable labels
    likeness    (K,) the cosine with it, from -1 to 1
    """

    asked: str
    tokens: list[str]
    likeness: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """A row a token: token, likeness."""
        import pandas as pd

        return pd.DataFrame({"token": self.tokens, "likeness": self.likeness}, index=range(1, len(self.tokens) + 1))

    def __repr__(self) -> str:
        return f"<Neighbours of {self.asked}: {', '.join(self.tokens[:3])}, ...>"

    def __str__(self) -> str:
        found: str = VIEWS.get("neighbours_text")(self)
        return found

    def _repr_html_(self) -> str:
        found: str = VIEWS.get("neighbours_page")(self)
        return found


@dataclass(frozen=True, repr=False)
class EmbeddingMap:
    """Tokens on a plane. `points` is float32 (tokens, 2); `kept` the share of the variance that a PCA keeps, else None;
    `marked` are the places of tokens that were searched for."""

    tokens: list[str]
    points: np.ndarray
    method: str
    kept: float | None
    marked: list[int]

    def to_frame(self) -> pd.DataFrame:
        """A row a token: token, x, y, marked."""
        import pandas as pd

        marked = np.isin(np.arange(len(self.tokens)), self.marked)
        return pd.DataFrame({"token": self.tokens, "x": self.points[:, 0], "y": self.points[:, 1], "marked": marked})

    def search(self, text: str) -> EmbeddingMap:
        """The same map with the tokens marked that contain the text, in whatever case."""
        found = [i for i, token in enumerate(self.tokens) if text.casefold() in _bare(token).casefold()]
        return EmbeddingMap(self.tokens, self.points, self.method, self.kept, found)

    def figure(self) -> Any:
        """The map as a Plotly figure: hover names a token, those that are marked are named."""
        return VIEWS.get("embedding_map")(self)

    def __repr__(self) -> str:
        return f"<EmbeddingMap of {len(self.tokens):,} tokens by {self.method}, {len(self.marked)} marked>"

    def _repr_png_(self) -> bytes:
        found: bytes = VIEWS.get("embedding_map_picture")(self)
        return found


@dataclass(frozen=True, repr=False)
class Similarity:
    """How alike texts are: the cosine of their vectors, float32 (texts, texts), from -1 to 1."""

    texts: list[str]
    values: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """A row and a column a text."""
        import pandas as pd

        return pd.DataFrame(self.values, index=pd.Index(self.texts, name="text"), columns=self.texts)

    def pairs(self) -> pd.DataFrame:
        """A row a pair of texts, the most alike first: first, second, likeness."""
        import pandas as pd

        row, column = np.triu_indices(len(self.texts), 1)
        order = np.argsort(-self.values[row, column], kind="stable")
        names = np.array(self.texts, dtype=object)
        found = {
            "first": names[row[order]],
            "second": names[column[order]],
            "likeness": self.values[row, column][order],
        }
        return pd.DataFrame(found)

    def figure(self) -> Any:
        """The heatmap (Plotly); hover shows both texts and their likeness."""
        return VIEWS.get("similarity")(self)

    def __repr__(self) -> str:
        return f"<Similarity of {len(self.texts)} texts>"

    def _repr_png_(self) -> bytes:
        found: bytes = VIEWS.get("similarity_picture")(self)
        return found


@dataclass(frozen=True, repr=False)
class Embeddings:
    """The vectors of a model's tokens.

    name      of the model
    tokens    readable labels, in the order of their ids
    vectors   float32 (N, D)
    special   ids of tokens that stand for no text
    encode    what cuts a text into ids
    """

    name: str
    tokens: list[str]
    vectors: np.ndarray
    special: frozenset[int]
    encode: Any

    def nearest(self, token: str | int, k: int = 10) -> Neighbours:
        """The `k` tokens whose vectors point most nearly the same way (cosine). `token` is its text, or its number."""
        place = self.place(token)
        return self._near(self._directions()[place], f"“{self.tokens[place]}”", k, {place})

    def analogy(self, a: str | int, b: str | int | None = None, c: str | int | None = None, k: int = 10) -> Neighbours:
        """`analogy("king - man + woman")`, or `analogy("man", "king", "woman")`: man is to king as woman is to whom?

        The tokens nearest to b - a + c, each of length 1, the three left out (Mikolov et al. 2013). A small corpus
        teaches few of these.
        """
        if b is None and c is None:
            parts = _TERMS.split(str(a).strip())
            signs = [1.0 if sign == "+" else -1.0 for sign in ("+", *parts[1::2])]
            terms: list[tuple[float, str | int]] = list(zip(signs, parts[::2], strict=True))
            if len(terms) < 2:
                raise ModelError(
                    f"'{a}' is no analogy.", 'Write it as in "king - man + woman", spaces around the signs.'
                )
        elif b is None or c is None:
            raise ModelError("An analogy has three tokens.", 'Give them all, as in analogy("man", "king", "woman").')
        else:
            terms = [(1.0, b), (-1.0, a), (1.0, c)]
        places = [self.place(word) for _, word in terms]
        directions = self._directions()
        point_D = sum(sign * directions[place] for (sign, _), place in zip(terms, places, strict=True))
        said = " ".join(
            f"{'' if not i and sign > 0 else '+ ' if sign > 0 else '- '}“{self.tokens[place]}”"
            for i, ((sign, _), place) in enumerate(zip(terms, places, strict=True))
        )
        return self._near(np.asarray(point_D), said, k, set(places))

    def map(
        self,
        method: str = "pca",
        *,
        tokens: Sequence[str | int] | None = None,
        search: str | None = None,
        most: int = MOST,
        seed: int = 0,
    ) -> EmbeddingMap:
        """Tokens on a plane: `pca` keeps the two directions in which they differ most; `tsne` (van der Maaten and
        Hinton 2008) keeps neighbours together, and its distances between groups mean nothing.

        The `tokens` that are given; else all, of a large vocabulary `most`: those that contain `search`, which are also
        marked, on at most a third of the places, and those of two letters and more, by their numbers.
        """
        if method not in METHODS:
            raise ModelError(f"There is no map '{method}'.", did_you_mean(method, METHODS))
        ids = self._mapped(search, max(3, most)) if tokens is None else [self.place(token) for token in tokens]
        if len(ids) < 3:
            raise ModelError("There are too few tokens for a map.", "Use a model with at least three.")
        directions = self._directions()[ids]
        from sklearn.decomposition import PCA

        kept = None
        if method == "pca":
            found = PCA(2, random_state=seed)
            points = found.fit_transform(directions)
            kept = float(found.explained_variance_ratio_.sum())
        else:
            from sklearn.manifold import TSNE

            perplexity = min(30.0, (len(ids) - 1) / 3)
            points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(directions)
        drawn = EmbeddingMap([self.tokens[i] for i in ids], points.astype(np.float32), method, kept, [])
        return drawn if search is None else drawn.search(search)

    def _mapped(self, search: str | None, most: int) -> list[int]:
        """The tokens of a map, in the order of their numbers."""
        ids = [i for i in range(len(self.tokens)) if i not in self.special and not _SPARE.fullmatch(self.tokens[i])]
        if len(ids) <= most:
            return ids

        found = [i for i in ids if search and search.casefold() in _bare(self.tokens[i]).casefold()]
        shown = set(found[: max(1, most // 3)])  # the others lie around them
        words = {i for i in ids if len(bare := _bare(self.tokens[i])) > 1 and bare.isalpha()}
        rest = sorted(set(ids) - set(found), key=lambda i: (i not in words, i))
        return sorted([*shown, *rest[: most - len(shown)]])

    def place(self, token: str | int) -> int:
        """The number of a token: of its text, also with the space that stands before a word in many vocabularies.
        ModelError where there is none."""
        if isinstance(token, int):
            if not 0 <= token < len(self.tokens):
                raise ModelError(f"There is no token {token}.", f"Give 0 to {len(self.tokens) - 1}.")
            return token
        if token in self.tokens:
            return self.tokens.index(token)
        cut = self.encode(token)
        for each in (cut, self.encode(" " + token)):
            if len(each) == 1:
                return int(each[0])
        words = [_bare(each) for each in self.tokens]
        if token in words:
            return words.index(token)
        near = did_you_mean(token, words)
        longest = max((words[i] for i in self._mapped(None, MOST)), key=len, default="")
        advice = near or f"Give one of its own tokens, as '{longest}'; .to_frame() has all."
        if len(cut) > 1:
            raise ModelError(f"'{token}' is {len(cut)} tokens here.", advice)
        raise ModelError(f"'{token}' is no token here.", advice)

    def to_frame(self) -> pd.DataFrame:
        """A row a token, by its number: token, and the parts of its vector as d0, d1, ..."""
        import pandas as pd

        frame = pd.DataFrame(self.vectors, columns=[f"d{i}" for i in range(self.vectors.shape[1])])
        frame.insert(0, "token", self.tokens)
        return frame

    def _directions(self) -> np.ndarray:
        """The vectors at length 1; a vector of nothing stays."""
        sizes = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return np.divide(self.vectors, sizes, out=np.zeros_like(self.vectors), where=sizes > 0)

    def _near(self, point_D: np.ndarray, asked: str, k: int, without: set[int]) -> Neighbours:
        if k < 1:
            raise ModelError(f"k is {k}.", "Give a whole number from 1, as in k=10.")
        likeness = self._directions() @ (point_D / max(float(np.linalg.norm(point_D)), 1e-12))
        likeness[[*without, *self.special]] = -np.inf
        order = np.argsort(-likeness, kind="stable")[: min(k, int(np.isfinite(likeness).sum()))]
        return Neighbours(asked, [self.tokens[i] for i in order], likeness[order].astype(np.float32))

    def __repr__(self) -> str:
        return f"<Embeddings of {self.name}: {self.vectors.shape[0]:,} tokens, {self.vectors.shape[1]} numbers each>"


def embeddings(module: nn.Module, objective: Any, name: str) -> Embeddings:
    """The vectors by which the model reads (of an encoder-decoder its source). ModelError where it has no embedding."""
    from nbllm.data.tokenizers import special_ids, token_strings
    from nbllm.inspection.asking import parts

    tokenizer = objective.task.tokenizer
    layer = parts(module, objective)["embedding"]
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor):
        raise ModelError(
            f"A {type(module).__name__} has no nn.Embedding that holds its vocabulary.", "Use another model."
        )
    size = min(tokenizer.get_vocab_size(), len(weight))
    labels = token_strings(tokenizer, range(size))

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    vectors = weight[:size].detach().float().cpu().numpy()
    return Embeddings(name, labels, vectors, frozenset(i for i in special_ids(tokenizer) if i < size), encode)


def similarity(module: nn.Module, objective: Any, texts: Sequence[str]) -> Similarity:
    """How alike the texts are to the model: cosines of the mean of what its last layer has at their tokens."""
    from nbllm.inspection.sentences import embed

    if len(texts) < 2:
        raise ModelError("There is nothing to compare.", 'Give two texts or more, as in ["a dog", "a cat"].')
    vectors = embed(module, objective, texts)
    return Similarity(list(texts), np.clip(vectors @ vectors.T, -1, 1))


def _bare(token: str) -> str:
    """A token without the marks of its place in a word."""
    return token.removeprefix("##").strip(" ␣▁")
