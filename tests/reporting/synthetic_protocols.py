"""The published conclusions of the synthetic partition, and which of them survive."""

from .synthetic_details import Row

# conclusion, quantity, scorer, published value, controlled value, finding of both
_PUBLISHED = (
    ("orthogonal_irrelevance", "d", "minilm", 0.09, 0.62, "holds", "fails"),
    ("orthogonal_irrelevance", "share_of_v_perp", "minilm", 0.95, 0.04, "fails", "holds"),
    ("vector_equivalence", "d", "minilm", 0.1, 0.12, "holds", "undecided"),
    ("spanning", "share_of_subspaces", "minilm", 0.97, 0.4, "holds", "fails"),
    ("null_space_size", "jacobian_null_fraction", "none", 0.97, 0.68, "holds", "holds"),
    ("logit_equivalence", "kl_share", "none", 0.65, 0.36, "fails", "fails"),
    ("logit_equivalence", "distance_reduction", "none", 0.31, 0.02, "holds", "fails"),
)


def numbers() -> list[Row]:
    rows = []
    for conclusion, quantity, scorer, published, controlled, before, after in _PUBLISHED:
        shared = {
            "protocol": "reference", "scorer": scorer, "layer": 15, "conclusion": conclusion,
            "quantity": quantity, "n_prompts": 10,
        }  # fmt: skip
        for setting, switch, value, finding in (
            ("as_published", "", published, before),
            ("without", "unsigned_mean_d", published, after),
            ("controlled", "", controlled, after),
        ):
            rows.append({
                **shared, "setting": setting, "switch": switch, "value": value,
                "low": value - 0.1, "high": value + 0.1, "finding": finding,
                "by_itself": 0.11 if setting == "as_published" else 0.0,
            })  # fmt: skip
    return rows


def findings() -> list[Row]:
    rows = [
        {
            "protocol": "reference", "scorer": scorer, "layer": 15, "conclusion": conclusion,
            "quantity": quantity, "as_published": before, "controlled": after,
            "touched": "unsigned_mean_d", "findings_without": after,
            "deciding": "unsigned_mean_d" if before != after else "",
            "sentence": f"That {conclusion} {before} as published and {after} when controlled.",
        }
        for conclusion, quantity, scorer, _, _, before, after in _PUBLISHED
    ]  # fmt: skip
    nothing = "not measured"
    unmeasured = {"as_published": nothing, "controlled": nothing, "findings_without": nothing}
    return [*rows, {**rows[0], "conclusion": "alpha_robustness", **unmeasured, "deciding": ""}]
