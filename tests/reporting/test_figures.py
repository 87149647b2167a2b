import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.geometry.null_spaces.spectra import activation_spectrum
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
from steer_assets.reporting.figures.figure import Absent, Figure, make, write_figures
from steer_assets.reporting.figures.style import canvas, vector_name
from steer_assets.reporting.pages.sections import every_chart
from steer_assets.reporting.verdict_text import layer_verdicts

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


def test_the_caption_says_which_null_spaces_of_texts_are_drawn(
    evidence: Evidence, changed: Callable[..., Evidence]
):
    """Or that the study measures none beside that of whole texts."""
    none = texts.law(evidence)
    steps = evidence.table("text_predictions")
    of_tokens = steps.filter(pl.col("null_space") == "text").with_columns(
        null_space=pl.lit("fisher"), vector_id=pl.col("vector_id").str.replace("text", "fisher")
    )
    both = texts.law(changed(text_predictions=pl.concat([steps, of_tokens])))
    assert isinstance(none, Figure)
    assert isinstance(both, Figure)
    assert "measures no texts along v⊥ in the null spaces of the next token" in none.caption
    assert "the next token's Fisher form" not in none.caption
    assert "in the null space of the next token's Fisher form" in both.caption
    assert "measures no texts" not in both.caption
    for figure in (none, both):
        assert "in the null space of the Fisher form of whole texts" in figure.caption
        assert "may be unseen rather than ignored" in figure.caption


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


def test_files_are_written_with_their_data_and_without_dates(
    figures: dict[str, Figure], tmp_path: Path
):
    chosen = [figures["efficacy_layers"], figures["null_fraction"]]
    paths = write_figures(chosen, tmp_path / "a")
    again = write_figures(chosen[:1], tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in paths)
    assert [p.suffix for p in paths] == [".svg", ".pdf", ".csv"] * 2
    for first, second in zip(paths[:3], again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    standalone = paths[0].read_text()
    assert "var(--" not in standalone
    assert ET.fromstring(standalone.encode()).get("width", "").endswith("pt")
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in paths[1].read_bytes()
    assert pl.read_csv(paths[2])["effect_sd"].to_list() == chosen[0].data["effect_sd"].to_list()


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


def _doses(law: Callable[[float], float]) -> pl.DataFrame:
    """Two prompts of each of two vectors, whose measured KL is `law` times the predicted."""
    return pl.DataFrame(
        {
            "model": "m", "trait": "t", "layer": 15, "reference_id": reference,
            "vector_id": vector, "family": "base", "null_space": "", "step_norm": 100.0 * share,
            "dose": share, "relative_step": share * shift, "environment": "in_distribution",
            "prompt_id": prompt, "kl": share**2 * law(share) * size,
            "predicted_kl": share**2 * size,
            "run_id": "", "code_version": "",
        }
        for reference in ("none", "L15.base")
        for vector in ("L15.base", "L15.pca")
        for share in (0.05, 0.2)
        for prompt, shift, size in (("a", 0.9, 1.0), ("b", 1.1, 4.0))
    )  # fmt: skip


def test_the_prediction_says_where_it_breaks(changed: Callable[..., Evidence]):
    breaking = changed(dose_response=_doses(lambda share: 1.0 - share))
    figure = logits.prediction(breaking)
    assert isinstance(figure, Figure)
    assert "0.051 at 0.05 |h|, 0.22 at 0.2 |h|" in figure.caption
    assert "it breaks from 0.2 |h| on" in figure.caption
    exact = logits.prediction(changed(dose_response=_doses(lambda _share: 1.0)))
    assert isinstance(exact, Figure)
    assert "it holds at all of them" in exact.caption


@pytest.mark.parametrize(("n", "d"), [(60, 100), (300, 40)])
def test_of_isotropic_data_it_is_said_that_nothing_was_found(
    evidence: Evidence, changed: Callable[..., Evidence], n: int, d: int
):
    def drawn(x: np.ndarray) -> Figure:
        spectrum = activation_spectrum(x)
        first = evidence.table("svd_spectra").row(0, named=True)
        rows = [
            {**first, "layer": 15, "environment": "pooled", "index": i, "singular_value": s,
             "cumulative_variance": share, "noise_edge": spectrum.noise_edge}
            for i, (s, share) in enumerate(
                zip(spectrum.singular_values, spectrum.cumulative_variance, strict=True)
            )
        ]  # fmt: skip
        schema = evidence.table("svd_spectra").schema
        figure = spectra.covariance(changed(svd_spectra=pl.DataFrame(rows, schema=schema)))
        assert isinstance(figure, Figure)
        return figure

    noise = np.random.default_rng([n, d]).normal(size=(n, d))
    assert "At layer 15 nothing was found" in drawn(noise).caption
    assert "0 at layer 15" in drawn(noise).alt
    noise[:, 0] *= 20
    assert "nothing was found" not in drawn(noise).caption


def test_no_tick_is_written_in_the_markup_of_mathematics(figures: dict[str, Figure]):
    for figure in figures.values():
        assert "mathdefault" not in figure.svg, figure.name


def test_only_its_own_folder_is_swept(figures: dict[str, Figure], tmp_path: Path):
    write_figures([figures["forest"], figures["scorers"]], tmp_path, pdf=False)
    (tmp_path / "notes.txt").write_text("mine")
    write_figures([figures["forest"]], tmp_path, pdf=False, all_there_is=False)
    assert (tmp_path / "scorers.svg").exists()
    write_figures([figures["forest"]], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "forest.csv", "forest.pdf", "forest.svg", "notes.txt",
    ]  # fmt: skip
    # A PDF beside newer files would be of an earlier report.
    write_figures([figures["forest"]], tmp_path, pdf=False)
    assert not (tmp_path / "forest.pdf").exists()


def test_no_floor_of_zero_and_no_null_fraction_without_a_word_on_its_floor(
    figures: dict[str, Figure], changed: Callable[..., Evidence], evidence: Evidence
):
    words = figures["null_fraction"].caption
    assert "59% for the covariance (240 prompts), 10 to 50% for the Jacobian (4 prompts)" in words
    assert "no bound is known (above 1% of largest, above 5% of largest and entropy rank)" in words
    for figure in figures.values():
        assert "floor of zero" not in figure.caption
    # If no bound is known for the study's estimator, the sentence says so instead of a number.
    reports = evidence.table("equivalence_reports")
    bare = reports.with_columns(sampling_floor_fisher=pl.lit(None, dtype=pl.Float64))
    said = " ".join(
        sentence
        for verdict in layer_verdicts(changed(equivalence_reports=bare))
        for sentence in verdict.sentences
    )
    assert "(sampling floor: no bound known)" in said


def test_v_stands_beside_random_vectors(figures: dict[str, Figure]):
    figure = figures["null_energy"]
    expected = "44% of v in that of the covariance at layer 15 (random 65% to 73%)"
    assert expected in figure.caption
    assert expected in figure.alt
    assert set(figure.data["n_samples"]) == {40}
