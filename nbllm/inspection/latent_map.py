"""The latent space of a variational autoencoder on two axes: where each sentence lies, and which units say anything.

N sentences, Z units of the latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import ModelError, did_you_mean, require
from nbllm.generation.begin import device_of
from nbllm.inspection.reading import reading
from nbllm.models.evaluating import evaluating
from nbllm.models.vae import VAE, kl_to_prior
from nbllm.objectives.base import padded
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("pca", "tsne", "umap")
LEAST = 3  # sentences
ACTIVE = 0.01  # of the variance of a unit's mean over the sentences
_TOGETHER = 64


@dataclass(frozen=True, repr=False)
class LatentMap:
    """Sentences as points of the plane.

    points     float64 (N, 2)
    means      float32 (N, Z) the mean of where each sentence lies in the latent space
    variance   float64 (Z,) of the mean of each unit over the sentences: a unit is active over 0.01 (Burda et al. 2016,
               "Importance Weighted Autoencoders")
    kl         float64 (Z,) mean over the sentences of the KL to the prior, in nats
    explained  share of the variance of the means that each axis has, of PCA
    """

    points: np.ndarray
    texts: list[str]
    labels: list[str] | None
    means: np.ndarray
    variance: np.ndarray
    kl: np.ndarray
    method: str
    explained: tuple[float, float] | None = None

    @property
    def active(self) -> np.ndarray:
        """The active units, the most active first."""
        order = np.argsort(-self.variance, kind="stable")
        return order[self.variance[order] > ACTIVE]

    @property
    def table(self) -> pd.DataFrame:
        """One row a unit of the latent, the most active first: variance, kl, active."""
        import pandas as pd

        order = np.argsort(-self.variance, kind="stable")
        told = {"variance": self.variance[order], "kl": self.kl[order], "active": self.variance[order] > ACTIVE}
        return pd.DataFrame(told, index=pd.Index(order, name="unit"))

    def to_frame(self) -> pd.DataFrame:
        """One row a sentence: x, y, text, and label where there are labels."""
        import pandas as pd

        frame = pd.DataFrame({"x": self.points[:, 0], "y": self.points[:, 1], "text": self.texts})
        return frame if self.labels is None else frame.assign(label=self.labels)

    def figure(self) -> Any:
        """The map (Plotly): hover shows the sentence, colours the labels."""
        return VIEWS.get("latent_map")(self)

    def __repr__(self) -> str:
        units = f"{len(self.active)} of {self.means.shape[1]} units active"
        return f"<LatentMap of {len(self.texts)} sentences by {self.method}, {units}>"

    def _repr_png_(self) -> bytes:
        return VIEWS.get("latent_map_picture")(self)


def latent_map(
    module: nn.Module,
    objective: Any,
    texts: Any,
    *,
    method: str = "pca",
    labels: Sequence[Any] | None = None,
    seed: int = 0,
) -> LatentMap:
    """Where the sentences lie, by the mean of the posterior of each.

    `texts` are strings, or a table with the columns text and, if it likes, label. pca is linear and shows distances as
    they are; tsne (van der Maaten and Hinton 2008) and umap (McInnes et al. 2018) keep neighbours together, and neither
    the size of a cluster nor the distance between two means anything. Raises ModelError where the model has no latent
    space, and MissingExtraError where a library is not installed.
    """
    if not isinstance(module, VAE):
        raise ModelError(
            f"A {type(module).__name__} has no latent space.",
            "Use a model of kind vae; of others see model.embed(TEXTS).",
        )
    if method not in METHODS:
        raise ModelError(f"There is no method '{method}'.", did_you_mean(method, METHODS))
    sentences, named = _sentences(texts, labels)
    means_NZ, kl_Z = _encoded(module, objective, sentences)
    points, explained = _plane(means_NZ.astype(np.float64), method, seed)
    variance_Z = means_NZ.var(0, dtype=np.float64)
    return LatentMap(points, sentences, named, means_NZ, variance_Z, kl_Z, method, explained)


def _sentences(texts: Any, labels: Sequence[Any] | None) -> tuple[list[str], list[str] | None]:
    columns = getattr(texts, "columns", None)
    if columns is not None:
        if "text" not in columns:
            raise ModelError(f"The table has no column 'text', but {', '.join(map(str, columns))}.", "Rename one.")
        labels = texts["label"].tolist() if labels is None and "label" in columns else labels
        texts = texts["text"].tolist()
    sentences = [texts] if isinstance(texts, str) else [str(text) for text in texts]
    if len(sentences) < LEAST:
        raise ModelError(f"A map of {len(sentences)} sentences shows nothing.", f"Give {LEAST} or more, as a list.")
    if labels is not None and len(labels) != len(sentences):
        raise ModelError(f"There are {len(labels)} labels for {len(sentences)} sentences.", "Give one each.")
    return sentences, None if labels is None else [str(label) for label in labels]


def _encoded(module: VAE, objective: Any, sentences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """means_NZ, and the mean KL of each unit."""
    means, kls = [], []
    with torch.inference_mode(), evaluating(module):
        for start in range(0, len(sentences), _TOGETHER):
            part = sentences[start : start + _TOGETHER]
            ids = [np.array(reading(module, objective, text).ids) for text in part]
            tokens_BT, real_BT = (each.to(device_of(module)) for each in padded(ids))
            mean_BZ, log_var_BZ = module.encode(tokens_BT, real_BT)
            means.append(mean_BZ.float().cpu().numpy())
            kls.append(kl_to_prior(mean_BZ, log_var_BZ).double().cpu().numpy())
    return np.concatenate(means), np.concatenate(kls).mean(0)


def _plane(means_NZ: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, tuple[float, float] | None]:
    """points (N, 2), and of PCA what share of the variance each axis has. One unit alone is drawn on a line."""
    if means_NZ.shape[1] == 1:
        return np.column_stack((means_NZ[:, 0], np.zeros(len(means_NZ)))), (1.0, 0.0)
    if method == "umap":
        umap = require("umap", "umap")
        count = len(means_NZ)
        # Of a handful of points it can find no eigenvectors to begin with.
        start = "spectral" if count > 4 else "random"
        made = umap.UMAP(n_neighbors=min(15, count - 1), init=start, random_state=seed, n_jobs=1)
        return np.asarray(made.fit_transform(means_NZ), float), None
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(means_NZ) - 1) / 3)
        return np.asarray(TSNE(2, perplexity=perplexity, random_state=seed).fit_transform(means_NZ), float), None
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed)
    points = pca.fit_transform(means_NZ)
    x, y = (float(share) for share in np.nan_to_num(pca.explained_variance_ratio_))
    return points, (x, y)
