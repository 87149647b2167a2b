"""Direct implementations, for comparison with those of the package."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from steer_assets.geometry.null_spaces.spectra import Spectrum
from steer_assets.geometry.null_spaces.subspaces import held_out_folds, null, null_energy


def predicted_kl(
    fisher: Float[np.ndarray, "d d"], e: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, " m"]:
    """Half the Fisher form of each row of `e`: KL to second order (Amari & Nagaoka 2000, 3.5)."""
    return 0.5 * np.einsum("md,md->m", e @ fisher, e)


def heldout_null_energy(
    x: Float[np.ndarray, "n d"],
    *,
    rank_of: Callable[[Spectrum], int],
    n_splits: int,
    rng: np.random.Generator,
    groups: Int[np.ndarray, " n"] | None = None,
) -> float:
    """Cross-validated energy in the null space of one rank rule, weighted by held-out rows."""
    seed = int(rng.integers(2**31))
    folds = list(held_out_folds(x, n_splits=n_splits, seed=seed, groups=groups))
    energies = [null_energy(rows, null(spectrum, rank_of(spectrum))) for spectrum, rows in folds]
    return float(np.average(energies, weights=[len(rows) for _, rows in folds]))
