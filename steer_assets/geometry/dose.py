r"""Dose-response of a perturbation, and the radius of the equivalence class along a direction.

Along a unit direction u the Fisher form predicts :math:`KL(t) = \tfrac12 t^2 u^TGu`: a tolerance
:math:`\tau` (nats) is reached at :math:`t = \sqrt{2\tau/u^TGu}`: the predicted radius. The measured
radius is where the measured divergence first exceeds the tolerance. Where the two differ, the
quadratic approximation no longer holds: `quadratic_limit` is the last dose before that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import GeometryError, ShapeError
from steer_assets.geometry.validation import as_direction, as_form, as_vector, length

# Below this, a divergence of float32 logits is rounding error.
KL_FLOOR = 1e-10


@dataclass(frozen=True)
class Radius:
    """Largest harmless dose.

    `reached` is False if no dose exceeded the tolerance; the radius is then the largest dose tried,
    a lower bound.
    """

    value: float
    reached: bool


def predicted_radius(
    fisher: Float[np.ndarray, "d d"],
    direction: Float[np.ndarray, " d"],
    tolerance: float,
    *,
    largest: float,
) -> Radius:
    """Dose along `direction` at which half the Fisher form reaches `tolerance` nats.

    The dose is a length, independent of that of `direction`. `largest` is the dose beyond which the
    prediction is not evaluated (for example the largest one tried): along a null direction the form
    is zero and predicts no finite radius, so `largest` is returned with `reached` False. Raises
    `ShapeError`, `NotFiniteError`, `DegenerateError` (zero direction), `GeometryError` (tolerance
    or largest dose not positive).
    """
    _require_positive("tolerance", tolerance)
    _require_positive("largest dose", largest)
    form = as_form(fisher, "fisher form")
    u = as_direction(direction, "direction", width=form.shape[0])
    u = u / length(u)
    gain = max(float(u @ form @ u), 0.0)
    # Compared as squares: without a division, a zero gain needs no special case.
    if gain * largest**2 <= 2 * tolerance:
        return Radius(float(largest), reached=False)
    return Radius(float(np.sqrt(2 * tolerance / gain)), reached=True)


def measured_radius(
    doses: Sequence[float] | Float[np.ndarray, " k"],
    kl: Sequence[float] | Float[np.ndarray, " k"],
    tolerance: float,
) -> Radius:
    """Dose at which the measured KL [k] at ascending positive doses [k] first exceeds `tolerance`.

    Between the last dose within and the first beyond, the divergence is interpolated linearly in
    logarithms, which is exact for a power law; when the first dose is already beyond, or the dose
    before it shows no divergence, the quadratic law is extrapolated from the first dose beyond.
    Raises `ShapeError` for unequal lengths or doses that do not ascend, `GeometryError` for a
    negative divergence or a tolerance that is not positive.
    """
    _require_positive("tolerance", tolerance)
    t, divergence = _curve(doses, kl)
    beyond = np.flatnonzero(divergence > tolerance)
    if not beyond.size:
        return Radius(float(t[-1]), reached=False)
    i = int(beyond[0])
    quadratic = float(t[i] * np.sqrt(tolerance / divergence[i]))
    if i == 0:
        return Radius(quadratic, reached=True)
    if divergence[i - 1] <= 0:
        return Radius(max(quadratic, float(t[i - 1])), reached=True)
    x = np.log(divergence[i - 1 : i + 1])
    share = (np.log(tolerance) - x[0]) / (x[1] - x[0])
    return Radius(float(t[i - 1] * (t[i] / t[i - 1]) ** share), reached=True)


def quadratic_limit(
    doses: Sequence[float] | Float[np.ndarray, " k"],
    predicted: Sequence[float] | Float[np.ndarray, " k"],
    measured: Sequence[float] | Float[np.ndarray, " k"],
    *,
    tolerance: float = 0.1,
) -> float:
    """Largest dose up to which |log(predicted / measured)| stays within `tolerance`; 0.0 for none.

    Doses where both are below `KL_FLOOR` agree. Raises as `measured_radius` does.
    """
    _require_positive("tolerance", tolerance)
    t, expected = _curve(doses, predicted)
    _, seen = _curve(doses, measured)
    log_ratio = np.log(np.maximum(expected, KL_FLOOR) / np.maximum(seen, KL_FLOOR))
    broken = np.flatnonzero(np.abs(log_ratio) > tolerance)
    if not broken.size:
        return float(t[-1])
    return float(t[broken[0] - 1]) if broken[0] else 0.0


def _curve(
    doses: Sequence[float] | Float[np.ndarray, " k"], kl: Sequence[float] | Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    t = as_vector(doses, "doses")
    divergence = as_vector(kl, "KL", width=t.shape[0])
    if not t.size or t[0] <= 0 or (np.diff(t) <= 0).any():
        raise ShapeError(f"doses must be positive and ascend, got {t.tolist()}")
    if (divergence < 0).any():
        raise GeometryError(f"a KL divergence is negative: {divergence.min():.3g}")
    return t, divergence


def _require_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise GeometryError(f"{name} must be positive and finite, got {value}")
