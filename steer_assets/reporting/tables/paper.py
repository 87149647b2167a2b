"""Tables for a paper, by name: few columns, with intervals next to their numbers.

An interval has three columns, `x`, `x_low` and `x_high`; for print `formats.folded` combines them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.doses import radius_rows
from steer_assets.reporting.figures.charts.effects import alpha_curve_rows, efficacy_rows
from steer_assets.reporting.figures.charts.environments import environment_rows
from steer_assets.reporting.figures.charts.fluency import fluency_rows
from steer_assets.reporting.figures.charts.forest import comparisons
from steer_assets.reporting.figures.charts.heterogeneity import spread_rows
from steer_assets.reporting.figures.charts.nullspaces import energy_rows, null_rows
from steer_assets.reporting.figures.charts.protocols import protocol_rows, switch_rows
from steer_assets.reporting.figures.charts.scorers import agreement_rows, validation_rows
from steer_assets.reporting.figures.charts.stability import persistence_rows
from steer_assets.reporting.figures.style import vector_name

_EFFECT = {"effect": "effect_sd", "effect_low": "low_sd", "effect_high": "high_sd"}


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table: the question it answers, and its rows."""

    question: str
    rows: Callable[[Evidence], pl.DataFrame]


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    names = [vector_name(v, f) for v, f in rows.select("vector_id", "family").rows()]
    return rows.with_columns(pl.Series("vector", names, dtype=pl.String))


def _verdicts(evidence: Evidence) -> pl.DataFrame:
    estimator = evidence.study["spectra"]["estimator"].get("covariance")
    covariance = null_rows(evidence).filter(
        pl.col("kind") == "covariance", pl.col("estimator") == estimator
    )
    beside = covariance.select(
        "layer", null_covariance="null_fraction", floor_covariance="sampling_floor"
    )
    return evidence.reports.join(beside, on="layer", how="left", maintain_order="left").select(
        "layer",
        "scorer",
        "verdict",
        "efficacy",
        "efficacy_low",
        "efficacy_high",
        "null_covariance",
        "floor_covariance",
        null_fisher="null_fraction_fisher",
        floor_fisher="sampling_floor_fisher",
    )


def _effects(evidence: Evidence) -> pl.DataFrame:
    return comparisons(evidence).select(
        "layer",
        "n_prompts",
        "verdict",
        vector="name",
        difference="effect_sd",
        difference_low="low_sd",
        difference_high="high_sd",
        margin="margin_in_sd",
        p_difference="p_difference_adjusted",
        p_equivalence="p_equivalence_adjusted",
        power="power",
        n_prompts_needed="n_prompts_needed",
    ).select(
        "layer", "vector", "n_prompts", "difference", "difference_low", "difference_high",
        "margin", "p_difference", "p_equivalence", "power", "n_prompts_needed", "verdict",
    )  # fmt: skip


def _families(evidence: Evidence) -> pl.DataFrame:
    return evidence.families.select(
        "layer", "family", "null_space", "n_seeds", "n_inside", "share_inside",
        "verdict", share_inside_low="share_low", share_inside_high="share_high",
        rms="rms_effect", rms_at_most="rms_upper", p_difference="p_difference_adjusted",
        p_equivalence="p_equivalence_adjusted", power="power", n_prompts_needed="n_prompts_needed",
    ).select(
        "layer", "family", "null_space", "n_seeds", "n_inside", "share_inside", "share_inside_low",
        "share_inside_high", "rms", "rms_at_most", "p_difference", "p_equivalence", "power",
        "n_prompts_needed", "verdict",
    )  # fmt: skip


def _over_unsteered(rows: pl.DataFrame) -> pl.DataFrame:
    return _named(rows).select(
        "layer", "vector", "alpha", "n_prompts", **_EFFECT, p_difference="p_difference_adjusted"
    )


def _ratios(evidence: Evidence) -> pl.DataFrame:
    rows = _named(evidence.deciding("efficacy_ratios")).sort(
        "layer", "family", "vector_id", "alpha"
    )
    return rows.select(
        "layer", "vector", "alpha", "n_prompts", "ratio", ratio_low="low", ratio_high="high"
    )


def _environments(evidence: Evidence) -> pl.DataFrame:
    return _named(environment_rows(evidence)).select(
        "layer", "environment", "vector", "n_prompts", **_EFFECT
    )


def _heterogeneity(evidence: Evidence) -> pl.DataFrame:
    return spread_rows(evidence).select(
        "layer", "n_prompts", "p", "p_crossover", "share_opposite", effect="name",
        mean="effect_sd", tau="tau_sd", tau_low="tau_low_sd", tau_high="tau_high_sd",
    ).select(
        "layer", "effect", "n_prompts", "mean", "tau", "tau_low", "tau_high", "p", "p_crossover",
        "share_opposite",
    )  # fmt: skip


def _beside_v(evidence: Evidence, table: str) -> pl.DataFrame:
    """Rows of the deciding scorer at the headline dose, with the vector's name."""
    rows = evidence.deciding(table).filter(evidence.at_headline_dose)
    return _named(rows).sort("layer", "comparison", "family", "vector_id")


def _noise(evidence: Evidence) -> pl.DataFrame:
    return _beside_v(evidence, "sampling_noise").select(
        "layer", "comparison", "vector", "n_prompts", "ratio", ratio_low="low", ratio_high="high"
    )


def _correlations(evidence: Evidence) -> pl.DataFrame:
    return _beside_v(evidence, "effect_correlations").select(
        "layer", "vector", "n_prompts", "correlation", "ceiling", "reliability",
        "reliability_of_v", correlation_low="low", correlation_high="high",
    ).select(
        "layer", "vector", "n_prompts", "correlation", "correlation_low", "correlation_high",
        "ceiling", "reliability", "reliability_of_v",
    )  # fmt: skip


def _seeds(evidence: Evidence) -> pl.DataFrame:
    return _beside_v(evidence, "crossed_intervals").select(
        "layer", "comparison", "vector", "n_prompts", "n_seeds", "effect",
        effect_low="ci_low", effect_high="ci_high",
    )  # fmt: skip


def _null_spaces(evidence: Evidence) -> pl.DataFrame:
    return null_rows(evidence).drop("threshold", "null_dim")


def _radii(evidence: Evidence) -> pl.DataFrame:
    return radius_rows(evidence).select(
        "layer", "direction", "n_directions", "n_prompts", "tolerance", "measured",
        "measured_reached", "predicted", "predicted_reached", "law_holds_to", "largest_dose",
    )  # fmt: skip


def _fluency(evidence: Evidence) -> pl.DataFrame:
    return fluency_rows(evidence).select(
        "n_texts", "repetition", "distinct_2", "broken", arm="name",
        perplexity="perplexity_median", perplexity_low="perplexity_q25",
        perplexity_high="perplexity_q75",
    ).select(
        "arm", "n_texts", "perplexity", "perplexity_low", "perplexity_high", "repetition",
        "distinct_2", "broken",
    )  # fmt: skip


def _protocols(evidence: Evidence) -> pl.DataFrame:
    return protocol_rows(evidence).select(
        "claim", "layer", "scorer",
        "as_published", "finding_published",
        "controlled", "controlled_low", "controlled_high", "finding_controlled", "deciding",
    )  # fmt: skip


def _switches(evidence: Evidence) -> pl.DataFrame:
    return switch_rows(evidence).select(
        "claim", "layer", "scorer", "setting", "switch", "value", "by_itself", "finding",
        value_low="low", value_high="high",
    ).select(
        "claim", "layer", "scorer", "setting", "switch", "value", "value_low", "value_high",
        "by_itself", "finding",
    )  # fmt: skip


def _agreement(evidence: Evidence) -> pl.DataFrame:
    return agreement_rows(evidence).rename({"low": "spearman_low", "high": "spearman_high"})


def _vectors(evidence: Evidence) -> pl.DataFrame:
    rows = evidence.table("steering_vectors").filter(pl.col("family") != "none")
    return _named(rows.sort("layer", "family", "vector_id")).select(
        "layer", "vector", "norm", "cosine_to_base", "null_energy_covariance",
        "null_energy_jacobian", "null_energy_fisher",
    )  # fmt: skip


PAPER_TABLES = {
    "verdicts": PaperTable("Does v + v⊥ act like v, and how large are the null spaces?", _verdicts),
    "effects": PaperTable("Every vector against v, with both tests", _effects),
    "families": PaperTable("Families of seeds against v: is every seed inside?", _families),
    "efficacy": PaperTable(
        "How far does each vector move the trait?", lambda e: _over_unsteered(efficacy_rows(e))
    ),
    "alpha": PaperTable(
        "The same at every dose, for v and v + v⊥", lambda e: _over_unsteered(alpha_curve_rows(e))
    ),
    "ratios": PaperTable("Effect of each vector as a share of v's", _ratios),
    "environments": PaperTable("Effects by kind of prompt", _environments),
    "heterogeneity": PaperTable("Spread of true effects over prompts", _heterogeneity),
    "correlations": PaperTable(
        "Do v and other vectors move the same prompts? Beside the most that noise allows",
        _correlations,
    ),
    "seeds": PaperTable("Effects that are to hold for other prompts and other v⊥", _seeds),
    "noise": PaperTable(
        "Common random numbers: noise variance of paired over independent differences", _noise
    ),
    "null_spaces": PaperTable("Null fractions by every estimator, with floors", _null_spaces),
    "null_energy": PaperTable("Energy of v in null spaces, beside random vectors", energy_rows),
    "persistence": PaperTable("Null spaces of one kind of prompt on others", persistence_rows),
    "radii": PaperTable("Longest v⊥ within a tolerance, in multiples of |v|", _radii),
    "protocols": PaperTable("Which published conclusions survive?", _protocols),
    "switches": PaperTable("The same with each switch off alone", _switches),
    "scorers": PaperTable("Can the scorers tell the poles apart?", validation_rows),
    "agreement": PaperTable("Do the scorers agree?", _agreement),
    "fluency": PaperTable("Are the texts still language?", _fluency),
    "vectors": PaperTable("Norms and null-space energies of all vectors", _vectors),
}
