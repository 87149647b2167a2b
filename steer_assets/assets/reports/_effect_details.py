"""Details behind the comparisons: ratios, heterogeneity, seeds, noise, spanning, agreement.

Every frame has the columns of its table except those that a whole report shares. A number that is
undefined for some scores (no variance, one sample, an unbounded ratio) has no row.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import combinations

import numpy as np
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import BASE, VectorId
from steer_assets.pipeline.design import protocol_sites, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import POOLED, Scores, Subject, references, subjects
from steer_assets.stats import agreement
from steer_assets.stats.effects.heterogeneity import heterogeneity
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.sampling_noise import noise_ceiling, pairing
from steer_assets.stats.verdicts.trends import breaking_point
from steer_assets.storage.schema import columns

Row = dict[str, object]
SHARED = ("model", "trait", "run_id", "code_version")
#: Tables of one protocol and scorer.
TABLES = (
    "efficacy_ratios",
    "heterogeneity",
    "crossed_intervals",
    "sampling_noise",
    "effect_correlations",
)


def unfiltered(table: str, rows: list[Row]) -> pl.DataFrame:
    """Rows in the schema of their table, without the columns that a whole report shares."""
    schema = {name: kind for name, kind in columns(table).items() if name not in SHARED}
    return pl.DataFrame(rows, schema=schema)


def frame_of(table: str, rows: list[Row]) -> pl.DataFrame:
    """Rows in the schema of their table, without those that contain a number that is not finite."""
    frame = unfiltered(table, rows)
    measures = [pl.col(name).is_finite() for name, kind in frame.schema.items() if kind.is_float()]
    return frame.filter(pl.all_horizontal(measures)) if measures else frame


def details(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study, identity: dict[str, str]
) -> dict[str, list[Row]]:
    """Rows by table, for one protocol and scorer. `identity` holds their key columns."""
    scores = Scores(scored)
    found: dict[str, list[Row]] = {table: [] for table in TABLES}
    for subject in subjects(vectors, scores.arms):
        for reference in references(subject, scores.arms):
            a, b = scores.paired(subject.arms, reference, POOLED)
            if len(a) < 2:
                continue
            shared = {**identity, **_named(subject, reference, len(a))}
            purpose = (*identity.values(), reference.vector_id)
            one = _One(study, (*purpose, f"{subject.alpha}"))
            if len(subject.arms) > 1:
                rows = _crossed(one, a, b, len(subject.arms))
                found["crossed_intervals"] += [{**shared, **row} for row in rows]
                continue
            for table, make in _BETWEEN_ARMS.items():
                found[table] += [{**shared, **row} for row in make(one, a, b)]
            if reference != UNSTEERED:
                x, v = _effects(scores, subject.arms[0], reference)
                for table, make in _BESIDE_V.items():
                    found[table] += [{**shared, **row} for row in make(one, x, v)]
    return found


class _One:
    """Settings and random numbers of one comparison."""

    def __init__(self, study: Study, purpose: tuple[str, ...]) -> None:
        self._study, self._purpose = study, purpose

    def sampling(self, what: str) -> dict[str, object]:
        """Keyword arguments of an interval."""
        settings = self._study.statistics
        rng = random_streams.generator(self._study, what, *self._purpose)
        return {"level": settings.confidence, "n_boot": settings.n_boot, "rng": rng}


Maker = Callable[[_One, np.ndarray, np.ndarray], Iterator[Row]]


def _named(subject: Subject, reference: Arm, n_prompts: int) -> Row:
    return {
        "comparison": "efficacy" if reference == UNSTEERED else "against_base",
        "vector_id": subject.vector_id,
        "reference_id": reference.vector_id,
        "family": subject.family,
        "layer": subject.layer,
        "alpha": subject.alpha,
        "n_prompts": n_prompts,
    }


def _effects(scores: Scores, arm: Arm, base: Arm) -> tuple[np.ndarray, np.ndarray]:
    """Effects over unsteered [prompts, samples] of a vector and of v, on the same prompts."""
    prompts = scores.shared([arm, base, UNSTEERED], POOLED)
    unsteered = scores.table(UNSTEERED, prompts)
    return scores.table(arm, prompts) - unsteered, scores.table(base, prompts) - unsteered


def _crossed(one: _One, a: np.ndarray, b: np.ndarray, n_seeds: int) -> Iterator[Row]:
    # Samples of the seeds are concatenated.
    x = (a - b).reshape(len(a), n_seeds, -1).mean(axis=2)
    with suppress(ValueError):
        interval = bootstrap.crossed(x, **one.sampling("crossed"))  # type: ignore[arg-type]
        yield {
            "n_seeds": n_seeds,
            "effect": float(x.mean()),
            "ci_low": interval.low,
            "ci_high": interval.high,
        }


def _spread(one: _One, a: np.ndarray, b: np.ndarray) -> Iterator[Row]:
    sampling = one.sampling("heterogeneity")
    sampling["n_signs"] = sampling.pop("n_boot")
    with suppress(ValueError):
        yield asdict(heterogeneity(a, b, **sampling))  # type: ignore[arg-type]


def _noise(one: _One, a: np.ndarray, b: np.ndarray) -> Iterator[Row]:
    with suppress(ValueError):
        yield asdict(pairing.variance_ratio(a, b, **one.sampling("noise")))  # type: ignore[arg-type]


def _ratio(one: _One, x: np.ndarray, v: np.ndarray) -> Iterator[Row]:
    top, bottom = x.mean(axis=1), v.mean(axis=1)
    with suppress(ValueError):
        interval = bootstrap.ratio(top, bottom, **one.sampling("ratio"))  # type: ignore[arg-type]
        ratio = float(top.mean() / bottom.mean()) if bottom.mean() else np.inf
        yield {"ratio": ratio, "low": interval.low, "high": interval.high}


def _correlation(one: _One, x: np.ndarray, v: np.ndarray) -> Iterator[Row]:
    with suppress(ValueError):
        found = noise_ceiling.correlation(x, v, **one.sampling("ceiling"))  # type: ignore[arg-type]
        yield {
            "correlation": found.correlation,
            "low": found.low,
            "high": found.high,
            "ceiling": found.ceiling,
            "reliability": found.reliability_x,
            "reliability_of_v": found.reliability_y,
        }


#: Computed from scores of two arms, and from the effects over unsteered of a vector and of v.
_BETWEEN_ARMS: dict[str, Maker] = {"heterogeneity": _spread, "sampling_noise": _noise}
_BESIDE_V: dict[str, Maker] = {"efficacy_ratios": _ratio, "effect_correlations": _correlation}


def spanning(families: pl.DataFrame) -> list[Row]:
    """Where equivalence with v ends, by block and dose. `families`: rows of `family_tests`."""
    rows = (
        families.filter(
            (pl.col("margin_kind") == "sd")
            & (pl.col("environment") == POOLED)
            & pl.col("family").str.starts_with("subspace_")
        )
        .with_columns(size=pl.col("family").str.strip_prefix("subspace_").cast(pl.Int32))
        .sort("size")
    )
    keys = ["protocol", "scorer", "layer", "alpha"]
    found = []
    for key, group in rows.group_by(keys, maintain_order=True):
        sizes, verdicts = group["size"].to_list(), group["verdict"].to_list()
        point = breaking_point(sizes, verdicts)
        found.append(
            {
                **dict(zip(keys, key, strict=True)),
                "sizes": ", ".join(map(str, sizes)),
                "verdicts": ", ".join(verdicts),
                "holds_to": point.holds_to or 0,
                "broken_from": point.broken_from or 0,
            }
        )
    return found


def scorer_agreement(scored: pl.DataFrame, study: Study) -> list[Row]:
    """Agreement of every pair of scorers on the same texts, and on the effects of v."""
    found: list[Row] = []
    for (protocol,), rows in scored.group_by("protocol", maintain_order=True):
        by_scorer = {
            str(name): Scores(own) for (name,), own in rows.group_by("scorer", maintain_order=True)
        }
        for a, b in combinations(sorted(by_scorer), 2):
            for what, x, y in _compared(by_scorer[a], by_scorer[b], study):
                with suppress(ValueError):
                    one = _One(study, (str(protocol), a, b, what))
                    rank = agreement.correlation(
                        x, y, method="spearman", **one.sampling("agreement")  # type: ignore[arg-type]
                    )  # fmt: skip
                    side = np.median if what == "texts" else np.zeros_like
                    kappa = agreement.kappa_on_signs((x - side(x)).ravel(), (y - side(y)).ravel())
                    found.append(
                        {
                            "protocol": protocol,
                            "scorer_a": a,
                            "scorer_b": b,
                            "what": what,
                            "n_prompts": len(x),
                            "spearman": rank.value,
                            "low": rank.low,
                            "high": rank.high,
                            "kappa": kappa,
                        }
                    )
    return found


def _compared(a: Scores, b: Scores, study: Study) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Tables [prompts, ...] of two scorers: all texts, and effects of v at the headline dose."""
    prompts = list(a.environment)
    everywhere = [arm for arm in sorted(a.arms) if len(a.shared([arm], POOLED)) == len(prompts)]
    if everywhere:
        x, y = (
            np.concatenate([scores.table(arm, prompts) for arm in everywhere], axis=1)
            for scores in (a, b)
        )
        yield "texts", x, y
    dose = protocol_sites.headline_dose(study)
    for arm in sorted(a.arms - {UNSTEERED}):
        if arm.alpha == dose and VectorId.parse(arm.vector_id).family == BASE:
            x, y = ((v - u).mean(axis=1) for v, u in (
                scores.paired((arm,), UNSTEERED, POOLED) for scores in (a, b)
            ))  # fmt: skip
            yield f"effects of {arm.vector_id} at {arm.alpha:g}", x, y
