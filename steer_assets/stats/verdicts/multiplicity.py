"""Adjusted p-values for the comparisons of one report.

``holm``: family-wise error, any dependence (Holm 1979),

    adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),  p sorted ascending.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def holm(p: ArrayLike) -> Float[np.ndarray, " m"]:
    """Holm-adjusted p-values in the order given; an empty family stays empty.

    Raises ValueError on a p-value outside [0, 1] or not finite.
    """
    # Not statsmodels' multipletests, which gives the same (see the tests): it takes a tenth of a
    # second per call and more than a second to import, and nothing else here needs it.
    values = _p_values(p)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _p_values(p: ArrayLike) -> Float[np.ndarray, " m"]:
    values = np.array(p, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"p-values must have one axis, not shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must lie in [0, 1]")
    return values
