"""Held-out energy of null spaces, for several rank estimators from the same fits.

For a null space fitted on part of the prompts, the share of energy that the held-out prompts have
in it, relative to a random subspace of the same dimension: 1.0 is chance level, and a value near 0
confirms the null space. Each fold is decomposed once and all estimators read the same spectrum.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from steer_assets.geometry.errors import DegenerateError, TooFewSamplesError
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.ranks import null_spaces
from steer_assets.geometry.null_spaces.spectra import Spectrum, covariance_spectrum, form_spectrum
from steer_assets.geometry.null_spaces.subspaces import held_out_folds
from steer_assets.geometry.validation import as_matrix


def _relative_energies(along_axes: Float[np.ndarray, " d"], spectrum: Spectrum) -> dict[str, float]:
    """Null energy by estimator, from the mean share of energy along each axis."""
    d = spectrum.ambient_dim
    beyond = np.concatenate([np.cumsum(along_axes[::-1])[::-1], [0.0]])
    return {
        space.estimator: float(beyond[space.rank] / (space.null_dim / d)) if space.null_dim else 1.0
        for space in null_spaces(spectrum)
    }


def _mean(folds: Sequence[tuple[int, dict[str, float]]]) -> dict[str, float]:
    total = sum(n for n, _ in folds)
    names = folds[0][1]
    return {name: sum(n * energies[name] for n, energies in folds) / total for name in names}


def covariance_energies(
    x: Float[np.ndarray, "n d"],
    *,
    n_splits: int,
    seed: int,
    groups: Int[np.ndarray, " n"] | None = None,
) -> dict[str, float]:
    """Held-out null energy of activations [n, d] by estimator.

    groups: rows that must be held out together, such as the two prompts of a contrast pair.
    Raises as `subspaces.held_out_folds` does.
    """
    folds = []
    for spectrum, deviations in held_out_folds(x, n_splits=n_splits, seed=seed, groups=groups):
        folds.append(_covariance_fold(spectrum, deviations))
    return _mean(folds)


def moment_energies(
    parts: Sequence[tuple[Moments, Float[np.ndarray, "m d"]]],
) -> dict[str, float]:
    """Held-out null energy of all tokens of prompts, which do not fit in memory.

    parts: for each part of the prompts the moments of all its tokens, and a sample of the tokens
    [m, d]. A null space is fitted on the moments of the other parts, and its energy measured on
    that sample. Raises `TooFewSamplesError` with fewer than 2 parts, `ShapeError` for different
    widths, `DegenerateError` when every sample of a part equals the mean of the others.
    """
    if len(parts) < 2:
        raise TooFewSamplesError(f"held-out energy needs 2 parts or more, not {len(parts)}")
    folds = []
    for index, (moments, samples) in enumerate(parts):
        others = Moments(moments.dim)
        for other in (part for i, (part, _) in enumerate(parts) if i != index):
            others.merge(other)
        spectrum = covariance_spectrum(others, n_prompts=len(parts) - 1)
        deviations = as_matrix(samples, "samples", width=moments.dim) - others.mean
        folds.append(_covariance_fold(spectrum, deviations[deviations.any(axis=1)]))
    return _mean(folds)


def _covariance_fold(
    spectrum: Spectrum, deviations: Float[np.ndarray, "m d"]
) -> tuple[int, dict[str, float]]:
    """Number of non-zero held-out rows, and their null energy by estimator."""
    if not len(deviations):
        raise DegenerateError("all held-out samples equal the mean: they are constant")
    units = deviations / np.linalg.norm(deviations, axis=1, keepdims=True)
    along_axes = np.square(units @ spectrum.basis).mean(axis=0)
    return len(units), _relative_energies(along_axes, spectrum)


def form_energies(forms: Float[np.ndarray, "n d d"]) -> dict[str, float]:
    """Held-out null energy of output forms, one per prompt, leaving one prompt out at a time.

    The energy of a held-out prompt in a subspace with projector P is tr(P G_i) / tr(G_i).
    Raises `TooFewSamplesError` with fewer than 2 prompts, `DegenerateError` for a zero form.
    """
    n = len(forms)
    if n < 2:
        raise TooFewSamplesError(f"held-out energy needs 2 prompts or more, not {n}")
    for index, form in enumerate(forms):
        if not form.any():
            raise DegenerateError(f"the form of prompt {index} is zero: it has no energy to share")
    total = forms.sum(axis=0)
    folds = []
    for form in forms:
        spectrum = form_spectrum((total - form) / (n - 1), n - 1)
        along_axes = np.einsum("di,de,ei->i", spectrum.basis, form, spectrum.basis, optimize=True)
        along_axes = np.clip(along_axes, 0.0, None) / np.trace(form)
        folds.append((1, _relative_energies(along_axes, spectrum)))
    return _mean(folds)
