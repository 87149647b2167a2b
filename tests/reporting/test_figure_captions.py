"""Captions of figures say what the numbers allow."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from steer_assets.geometry.null_spaces.spectra import activation_spectrum
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts import (
    logits,
    spectra,
    texts,
)
from steer_assets.reporting.figures.figure import Figure
from steer_assets.reporting.verdict_text import layer_verdicts


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
