"""Blocks, prompts, vectors and arms of the synthetic partition."""

import math

LAYERS, GEOMETRY = (15, 20), (7, 15, 20, 22)
DIM, N_SAMPLES = 576, 240
ENVIRONMENTS = {"in_distribution": 16, "topic_shift": 4, "genre_shift": 4, "safety_style": 4}


# family, suffix, null space, norm, effect at alpha 1 in SD at layers 15 and 20
VECTORS = (
    ("base", "base", "", 8.0, (0.9, 0.8)),
    ("pca", "pca", "", 8.0, (0.85, 0.7)),
    ("orthogonal", "orthogonal.s0", "", 8.0, (0.02, -0.05)),
    ("orthogonal", "orthogonal.s1", "", 8.0, (-0.04, 0.03)),
    ("base_plus_orthogonal", "base_plus_orthogonal.s0", "", 8 * math.sqrt(2), (0.9, 0.35)),
    ("base_plus_orthogonal", "base_plus_orthogonal.s1", "", 8 * math.sqrt(2), (0.88, 0.3)),
    ("base_plus_orthogonal_matched", "base_plus_orthogonal_matched.s0", "", 8.0, (0.65, 0.2)),
    ("base_plus_null", "base_plus_null.fisher.s0", "fisher", 8 * math.sqrt(2), (0.9, 0.78)),
    ("base_plus_null", "base_plus_null.covariance.s0", "covariance", 8 * math.sqrt(2), (0.8, 0.6)),
    ("base_plus_range", "base_plus_range.fisher.s0", "fisher", 8 * math.sqrt(2), (0.4, 0.2)),
    ("base_null", "base_null.fisher", "fisher", 4.0, (0.1, 0.1)),
    ("base_range", "base_range.fisher", "fisher", 7.0, (0.8, 0.6)),
    ("random", "random.s0", "", 8.0, (0.0, 0.0)),
    ("negated", "negated", "", 8.0, (-0.7, -0.6)),
)
GENERATING = {
    "base", "pca", "orthogonal", "base_plus_orthogonal", "base_plus_orthogonal_matched",
}  # fmt: skip


def prompts() -> list[tuple[str, str]]:
    return [(e, f"{e}-{i:02d}") for e, n in ENVIRONMENTS.items() for i in range(n)]


def arms() -> list[tuple[str, str, int, float, float]]:
    """vector_id, family, layer, alpha, true effect."""
    found = []
    for k, layer in enumerate(LAYERS):
        for family, suffix, _, _, effects in VECTORS:
            if family not in GENERATING:
                continue
            curve = layer == LAYERS[0] and family in ("base", "base_plus_orthogonal")
            for alpha in (0.5, 1.0, 2.0) if curve else (1.0,):
                effect = effects[k] * math.tanh(alpha) / math.tanh(1)
                found.append((f"L{layer}.{suffix}", family, layer, alpha, effect))
    return found
