"""Spectra, null spaces and distances of the synthetic partition."""

from typing import Any

import numpy as np

from .synthetic_arms import DIM, GEOMETRY, LAYERS, N_SAMPLES, VECTORS, prompts


def distances(rng: np.random.Generator) -> list[dict[str, Any]]:
    gain = {"base": 1.0, "pca": 0.9, "base_range": 1.2, "base_plus_range": 1.6, "base_null": 0.01,
            "negated": 1.0}  # fmt: skip
    rows = []
    for layer in LAYERS:
        for family, suffix, kind, norm, _ in VECTORS:
            for reference in ("none", f"L{layer}.base"):
                if reference != "none" and not family.startswith("base_plus"):
                    continue
                length = norm if reference == "none" else 8.0
                sensitivity = 0.001 if kind == "fisher" and "null" in family else 0.2
                for alpha in (0.25, 0.5, 1.0, 2.0):
                    predicted = 0.004 * (alpha * length) ** 2 * gain.get(family, sensitivity)
                    for _, prompt_id in prompts()[:12]:
                        kl = predicted * rng.lognormal(0, 0.3) / (1 + predicted / 2)
                        rows.append({
                            "vector_id": f"L{layer}.{suffix}", "reference_id": reference,
                            "layer": layer, "alpha": alpha, "environment": "in_distribution",
                            "prompt_id": prompt_id, "kl": kl, "predicted_kl": predicted,
                            "l2": 1.0, "js": kl / 8, "top1_agreement": 1.0, "top10_overlap": 0.9,
                            "displacement": alpha * length / 8.0, "displacement_floor": 1.0,
                        })  # fmt: skip
    return rows


#: Floors of the averaged forms; for the other estimators no bound is known.
_FORCED = {"variance_95": 0.2, "variance_99": 0.1, "participation_ratio": 0.4, "stable_rank": 0.5}


def energies() -> list[dict[str, Any]]:
    """v in every null space: of the covariance less than random vectors, else as they."""
    return [
        {"vector_id": f"L{layer}.base", "layer": layer, "kind": kind, "estimator": "variance_99",
         "n_samples": 40, "ambient_dim": DIM, "null_dim": 400, "energy": energy,
         "random_mean": 0.69, "random_low": 0.65, "random_high": 0.73,
         "share_of_random_below": 0.0 if kind == "covariance" else 0.5}
        for layer in LAYERS
        for kind, energy in (("covariance", 0.44), ("jacobian", 0.7), ("fisher", 0.68))
    ]  # fmt: skip


def spectra() -> tuple[list, list, list]:
    svd, behaviour, null = [], [], []
    index = np.arange(DIM)
    floor = 1 - (N_SAMPLES - 1) / DIM
    for layer in GEOMETRY:
        values = 30 * (1 + index) ** -(0.6 + layer / 100)
        values[N_SAMPLES - 1 :] = 1e-7
        share = values**2 / (values**2).sum()
        svd += [
            {"layer": layer, "environment": "pooled", "index": i, "singular_value": values[i],
             "explained_variance": share[i], "cumulative_variance": share[: i + 1].sum(),
             "noise_edge": 1.1}
            for i in index
        ]  # fmt: skip
        for kind, power in (("jacobian", 0.5), ("fisher", 0.9)):
            for at in ("unsteered", "steered"):
                drop = power * (1 + layer / 60) * (1.15 if at == "steered" else 1.0)
                behaviour += [
                    {"layer": layer, "kind": kind, "at": at, "n_prompts": 4, "index": i,
                     "singular_value": 5.0 * (1 + i) ** -drop}
                    for i in index
                ]  # fmt: skip
        names = ("sigma_1pct", "sigma_5pct", "variance_95", "variance_99", "entropy_rank",
                 "participation_ratio", "stable_rank", "marchenko_pastur",
                 "gavish_donoho")  # fmt: skip
        for k, kind in enumerate(("covariance", "jacobian", "fisher")):
            for j, estimator in enumerate(names if kind == "covariance" else names[:7]):
                fraction = min(0.998, (0.6, 0.2, 0.4)[k] + 0.06 * j)
                rank = round(DIM * (1 - fraction))
                null.append({
                    "layer": layer, "kind": kind, "environment": "pooled", "at": "unsteered",
                    "estimator": estimator, "ambient_dim": DIM, "rank": rank,
                    "null_dim": DIM - rank, "null_fraction": (DIM - rank) / DIM,
                    "sampling_floor": floor if kind == "covariance" else _FORCED.get(estimator),
                    "heldout_null_energy": 0.3,
                    "n_samples": N_SAMPLES if kind == "covariance" else 4,
                })  # fmt: skip
    return svd, behaviour, null
