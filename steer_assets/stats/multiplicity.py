"""Adjusted p-values for the comparisons of one report.

``holm``: family-wise error, any dependence (Holm 1979). ``benjamini_hochberg``: false discovery
rate under independence or positive dependence (Benjamini & Hochberg 1995).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def holm(p: ArrayLike) -> Float[np.ndarray, " m"]:
    """Holm-adjusted p-values in the order given; an empty family stays empty.

    Raises ValueError on a p-value outside [0, 1] or not finite.
    """
    return _adjusted(p, "holm")


def benjamini_hochberg(p: ArrayLike) -> Float[np.ndarray, " m"]:
    """Benjamini-Hochberg-adjusted p-values in the order given; an empty family stays empty.

    Raises ValueError on a p-value outside [0, 1] or not finite.
    """
    return _adjusted(p, "fdr_bh")


def _adjusted(p: ArrayLike, method: str) -> Float[np.ndarray, " m"]:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"p-values must have one axis, not shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must lie in [0, 1]")
    if len(values) == 0:
        return values
    # Here and not above: it brings pandas along, more than a second that definitions need not wait.
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(values, method=method)[1], dtype=np.float64)
