import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts import (
    calibration,
    doses,
    effects,
    environments,
    fluency,
    forest,
    heterogeneity,
    logits,
    nullspaces,
    protocols,
    scorers,
    spectra,
    stability,
    texts,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import canvas, vector_name
from steer_assets.reporting.pages.sections import every_chart

ALL = (
    calibration.calibration,
    effects.efficacy_over_layers,
    effects.alpha_curves,
    forest.forest,
    environments.environments,
    environments.heterogeneity,
    heterogeneity.spread,
    logits.dose_response,
    doses.around_v,
    doses.radii,
    logits.prediction,
    texts.observers,
    texts.law,
    nullspaces.null_fraction,
    nullspaces.null_energy,
    spectra.covariance,
    spectra.behaviour,
    stability.saturation,
    stability.persistence,
    scorers.validation,
    scorers.agreement,
    fluency.fluency,
    protocols.protocols,
)
NEEDS = {
    "steering_calibration": (calibration.calibration,),
    "equivalence_tests": (
        effects.efficacy_over_layers,
        effects.alpha_curves,
        forest.forest,
        environments.environments,
        environments.heterogeneity,
        heterogeneity.spread,
    ),
    "generations": (environments.heterogeneity, fluency.fluency),
    "classifier_scores": (environments.heterogeneity,),
    "steering_vectors": (
        environments.heterogeneity,
        logits.dose_response,
        logits.prediction,
        nullspaces.null_energy,
    ),
    "logit_distances": (logits.dose_response, logits.prediction),
    "text_divergences": (texts.observers,),
    "text_predictions": (texts.law,),
    "dose_response": (doses.around_v,),
    "equivalence_radius": (doses.radii,),
    "heterogeneity": (heterogeneity.spread,),
    "svd_spectra": (spectra.covariance,),
    "behavioral_spectra": (spectra.behaviour,),
    "null_spaces": (nullspaces.null_fraction,),
    "null_energies": (nullspaces.null_energy,),
    "effective_dimension": (stability.saturation,),
    "null_space_angles": (stability.persistence,),
    "scorer_validation": (scorers.validation,),
    "scorer_agreement": (scorers.agreement,),
    "fluency": (fluency.fluency,),
    "protocol_findings": (protocols.protocols,),
    "protocol_comparison": (protocols.protocols,),
}


def test_no_mark_lies_outside_its_axes(figures: dict[str, Figure]):
    assert len(figures) == len(ALL)
    assert not {name: found for name, figure in figures.items() if (found := _outside(figure))}


def test_no_mark_of_a_later_layer_lies_outside_axes_that_layers_share(
    evidence: Evidence, changed: Callable[..., Evidence]
):
    distances = evidence.table("logit_distances")
    later = pl.col("layer") == distances["layer"].max()
    grown = pl.when(later).then(pl.col("kl") * 50).otherwise("kl").alias("kl")
    assert not _outside(texts.observers(changed(logit_distances=distances.with_columns(grown))))


def _outside(figure: Figure | Absent) -> list[tuple[str, np.ndarray]]:
    """Marks outside the limits of their axes, with the title of these."""
    assert isinstance(figure, Figure)
    outside = []
    for axes in figure.draw().axes:
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for line in axes.lines:
            points = np.asarray(line.get_xydata(), dtype=float)
            if line.get_marker() in ("None", "", None) or line.get_transform() != axes.transData:
                continue
            inside = (left <= points[:, 0]) & (points[:, 0] <= right)
            inside &= (bottom <= points[:, 1]) & (points[:, 1] <= top)
            if not inside[np.isfinite(points).all(axis=1)].all():
                outside.append((axes.get_title(), points[~inside]))
    return outside


def test_every_figure_of_a_report_is_tested_here():
    assert tuple(every_chart()) == ALL


def test_colours_follow_the_page_and_text_stays_text(figures: dict[str, Figure]):
    assert len(figures) == len(ALL)
    for figure in figures.values():
        assert not re.findall(r"#[0-9a-fA-F]{6}\b", figure.svg), figure.name
        assert "DejaVu" not in figure.svg
        assert "<text" in figure.svg
        assert "currentColor" in figure.svg
        root = ET.fromstring(figure.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure.alt
        assert "width" not in root.attrib


def test_names_of_layers_and_vectors_are_in_the_drawing(figures: dict[str, Figure]):
    words = "".join(ET.fromstring(figures["forest"].svg).itertext())
    for expected in ("layer 15", "layer 20", "v + v⊥, seed 1", "PCA", "equivalent", "different"):
        assert expected in words


@pytest.mark.parametrize("table", sorted(NEEDS))
def test_without_its_table_a_figure_says_so(table: str, changed: Callable[..., Evidence]):
    partial = changed(**{table: None})
    for chart in NEEDS[table]:
        answer = chart(partial)
        assert isinstance(answer, Absent), chart.__name__
        assert answer.reason.endswith(".")


def test_an_empty_figure_is_refused():
    with pytest.raises(ValueError, match="no data"):
        make("x", "x", caption="", alt="", data=pl.DataFrame({"a": []}), draw=lambda: canvas(1))


def test_forest_is_in_standard_deviations_of_the_score(
    figures: dict[str, Figure], evidence: Evidence
):
    raw = evidence.table("equivalence_tests").filter(
        pl.col("comparison") == "against_base",
        pl.col("environment") == "pooled",
        pl.col("vector_id") == "L20.base_plus_orthogonal.s1",
    )
    sd = raw.filter(pl.col("margin_kind") == "sd").row(0, named=True)
    relative = raw.filter(pl.col("margin_kind") == "efficacy").row(0, named=True)
    shown = figures["forest"].data.filter(pl.col("vector_id") == sd["vector_id"])
    row = shown.row(0, named=True)
    unit = sd["margin"] / 0.2
    assert row["effect_sd"] == pytest.approx(sd["effect"] / unit)
    assert row["low_sd"] == pytest.approx(sd["ci_low"] / unit)
    assert row["margin_in_sd"] == pytest.approx(0.2)
    assert row["margin_efficacy_in_sd"] == pytest.approx(relative["margin"] / unit)


def test_steps_from_unsteered_have_the_length_of_what_is_added(figures: dict[str, Figure]):
    steps = figures["dose_response"].data.filter(
        pl.col("alpha") == 0.5, pl.col("family") == "base_plus_orthogonal"
    )
    assert steps["step"].to_list() == pytest.approx([0.5 * 8 * 2**0.5] * steps.height)


def test_prompt_effects_are_differences_from_unsteered(evidence: Evidence):
    texts = evidence.table("generations").join(
        evidence.table("classifier_scores").filter(pl.col("scorer") == "minilm"),
        on="generation_id",
    )
    prompt = texts.filter(pl.col("prompt_id") == "topic_shift-02")

    def mean(vector: str, alpha: float) -> float:
        chosen = prompt.filter(pl.col("vector_id") == vector, pl.col("alpha") == alpha)
        return float(chosen["score"].to_numpy().mean())

    rows = environments.prompt_effects(evidence).filter(
        pl.col("prompt_id") == "topic_shift-02", pl.col("layer") == 20
    )
    assert rows.height == 1
    assert rows["v"][0] == pytest.approx(mean("L20.base", 1.0) - mean("none", 0.0))
    other = mean("L20.base_plus_orthogonal.s0", 1.0) - mean("none", 0.0)
    assert rows["other"][0] == pytest.approx(other)


@pytest.mark.parametrize(
    ("vector_id", "family", "name"),
    [
        ("L15.base", "base", "v"),
        ("L15.base_plus_orthogonal.s0", "base_plus_orthogonal", "v + v⊥, seed 0"),
        ("L15.base_plus_null.fisher.s1", "base_plus_null", "v + null (Fisher), seed 1"),
        ("L15.subspace_5.s0", "subspace_5", "subspace 5, seed 0"),
        ("L15.base_plus_orthogonal.all_seeds", "base_plus_orthogonal", "v + v⊥, all seeds"),
        ("L15.other_trait.formality", "other_trait", "other trait (formality)"),
        ("L15.external.my\x1bown", "external", "brought by user (my⟨ESC⟩own)"),
    ],
)
def test_vectors_are_named_in_words(vector_id: str, family: str, name: str):
    assert vector_name(vector_id, family) == name


def test_no_tick_is_written_in_the_markup_of_mathematics(figures: dict[str, Figure]):
    for figure in figures.values():
        assert "mathdefault" not in figure.svg, figure.name
