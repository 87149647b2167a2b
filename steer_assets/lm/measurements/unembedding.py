"""Second moments of the unembedding's rows, through which derivatives become quadratic forms.

The formulas are those of `derivatives`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.model import LanguageModel, tried_once

_VOCAB_CHUNK = 8192
_KEPT = "_unembedding"  # the model's attribute


class Unembedding:
    """Second moments of the unembedding's rows, accumulated in float64."""

    def __init__(self, lm: LanguageModel) -> None:
        self._weight = lm.layout.head.weight.detach()
        self._plain: Tensor | None = None

    @classmethod
    def of(cls, lm: LanguageModel) -> Unembedding:
        """That of the model, kept with it, so that what depends on no prompt is computed once."""
        return tried_once(lm, _KEPT, lambda: cls(lm))

    def forms(
        self, logits: Float[Tensor, " v"], slope: Float[Tensor, " v"]
    ) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d d"]]:
        """W' diag(g'^2) W, and the covariance of slope times row under p, in float64."""
        p = torch.softmax(logits.double(), dim=0)
        wide = slope.double()
        return self._gram(wide), self._centred(wide, p)

    def _gram(self, slope: Float[Tensor, " v"]) -> Float[Tensor, "d d"]:
        # with soft-capping the slope differs between prompts
        if not bool((slope == slope[0]).all()):
            return self._moment(slope * slope)
        if self._plain is None:
            self._plain = self._moment(torch.ones_like(slope))
        return self._plain * slope[0] ** 2

    def _centred(self, slope: Float[Tensor, " v"], p: Float[Tensor, " v"]) -> Float[Tensor, "d d"]:
        """sum_i p_i (a_i - m)(a_i - m)': rows centred in float64, products in the model's dtype.

        Rows are first taken relative to the likeliest token's. Its difference is then exactly zero,
        and its distance from the mean as small as the other tokens' share, to full precision.
        """
        top = int(p.argmax())
        origin = self._weight[top].double() * slope[top]
        chunks = list(zip(*(x.split(_VOCAB_CHUNK) for x in (self._weight, slope, p)), strict=True))
        mean = sum((w.double() * g[:, None] - origin).T @ q for w, g, q in chunks)
        total = torch.zeros((len(origin), len(origin)), dtype=torch.float64, device=p.device)
        for w, g, q in chunks:
            centred = w.double() * g[:, None] - origin - mean
            scaled = (centred * q.sqrt()[:, None]).to(w.dtype)
            total += scaled.T @ scaled
        return total

    def _moment(self, weights: Float[Tensor, " v"]) -> Float[Tensor, "d d"]:
        """W' diag(weights) W: products in the model's dtype, sums over chunks in float64."""
        root = weights.sqrt().to(self._weight.dtype)
        size = self._weight.shape[1]
        total = torch.zeros((size, size), dtype=torch.float64, device=root.device)
        for start in range(0, len(root), _VOCAB_CHUNK):
            part = slice(start, start + _VOCAB_CHUNK)
            scaled = self._weight[part] * root[part, None]
            total += scaled.T @ scaled
        return total
