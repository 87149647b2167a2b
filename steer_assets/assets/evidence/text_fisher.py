"""Stage: the Fisher form of whole texts, and the gradient of the trait score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._fisher_texts import (
    Gradients,
    Point,
    gradients_at,
    points_of,
    rank_of,
)
from steer_assets.assets.evidence._read_texts import compared_arms
from steer_assets.assets.evidence._text_directions import Row, gradient_rows, prediction_rows
from steer_assets.assets.geometry._null_space_rows import null_space_rows
from steer_assets.assets.geometry._stability_rows import dimension_rows
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.pipeline.design import random_streams
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hdf5 import write_arrays
from steer_assets.storage.schema import columns, frame_of

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.spectra import Spectrum

_TEXT = {"kind": "text"}
#: Fewest texts in a curve of effective dimension.
_SMALLEST = 8
_TABLES = ("text_spectra", "null_spaces", "effective_dimension", "text_predictions",
           "trait_gradients")  # fmt: skip


def _gradients(run: StageRun) -> list[Gradients]:
    """Gradients at every point of every block whose v has texts."""
    points: list[Point] = []
    texts = run.rows("generations").filter(pl.col("protocol") == CONTROLLED)
    for layer in run.steer_layers():
        compared = compared_arms(run, texts, layer, ())
        if compared is not None:
            points += points_of(run, layer, compared.v.alpha)
    return gradients_at(run, points) if points else []


def _spectrum_rows(spectrum: Spectrum, found: Gradients) -> Iterator[Row]:
    for index, value in enumerate(spectrum.singular_values):
        yield {
            "layer": found.point.layer,
            "at": found.point.at,
            "n_texts": len(found.values),
            "index": index,
            "singular_value": float(value),
            "noise_edge": spectrum.noise_edge,
        }


def _space_rows(run: StageRun, spectrum: Spectrum, found: Gradients) -> list[Row]:
    rows = null_space_rows(
        spectrum,
        _energies(run, found),
        layer=found.point.layer,
        environment=POOLED,
        at=found.point.at,
    )
    return [row | {"n_samples": len(found.values)} for row in rows]


def _energies(run: StageRun, found: Gradients) -> dict[str, float]:
    """Energy of the texts of held-out prompts; empty where there are too few to fit on."""
    from steer_assets.geometry.errors import DegenerateError, TooFewSamplesError
    from steer_assets.geometry.null_spaces import heldout

    groups = np.unique(found.prompts, return_inverse=True)[1]
    splits = min(run.study.spectra.heldout_splits, int(groups.max()) + 1)
    try:
        return heldout.covariance_energies(
            found.values,
            n_splits=splits,
            seed=random_streams.integer(run.study, "heldout texts", run.trait),
            groups=groups,
        )
    except (TooFewSamplesError, DegenerateError) as error:
        run.log.warning(f"left out: held-out energy of texts at {found.point.layer}: {error}")
        return {}


def _curve_rows(run: StageRun, found: Gradients) -> Iterator[Row]:
    from steer_assets.geometry.null_spaces import saturation

    n = len(found.values)
    sizes = saturation.doubling_sizes(n, smallest=min(_SMALLEST, n))
    rng = random_streams.generator(run.study, "texts", run.trait, str(found.point.layer))
    yield from dimension_rows(
        found.point.layer, saturation.covariance_curve(found.values, sizes, rng=rng)
    )


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "hdf5", "duckdb"},
    code_version="3",
    needs=(
        "model_snapshot",
        "prompt_sets",
        "vector_families",
        "generations",
        "classifier_scores",
    ),
    settings=(
        "seed",
        "numerics",
        "layers.steer",
        "prompts.test",
        "generation",
        "behaviour.steered_alpha",
        "spectra",
        "statistics.confidence",
        "statistics.n_boot",
        "text_divergences.samples",
        "text_fisher",
    ),
)
def text_fisher(run: StageRun) -> Produced:
    """Fisher form E[s s'] of whole texts, its predictions, and the gradient of the trait score.

    s is the gradient of a text's log-probability by the steering vector at the block, which acts at
    the positions of `generation.scope`. Spectrum, ranks and null spaces are those
    of the kind `text`, with the floor and the edge of noise that the number of texts gives. Half
    e'Ge is the KL divergence of whole texts to second order in a step e, stored beside the measured
    one. E[(score - baseline) s] is the gradient of the expected score: to first order, a direction
    at right angles to it is null for the trait. HDF5 datasets: `form/text/<point>/<layer>` [d, d].
    At temperature 0 nothing is sampled, and the tables are empty.
    """
    from steer_assets.geometry.null_spaces.spectra import gradient_spectrum
    from steer_assets.geometry.null_spaces.subspaces import null

    rows: dict[str, list[Row]] = {table: [] for table in _TABLES}
    arrays: dict[str, np.ndarray] = {}
    sampled = run.study.generation.temperature > 0
    for found in _gradients(run) if sampled else ():
        point, n = found.point, len(found.values)
        spectrum = gradient_spectrum(found.values)
        arrays[f"form/text/{point.at}/{point.layer}"] = found.values.T @ found.values / n
        rows["text_spectra"] += _spectrum_rows(spectrum, found)
        rows["null_spaces"] += _space_rows(run, spectrum, found)
        unseen = null(spectrum, rank_of(run, spectrum))
        rows["trait_gradients"] += gradient_rows(run, found, unseen)
        if point.at == "steered":
            rows["effective_dimension"] += _curve_rows(run, found)
            rows["text_predictions"] += prediction_rows(run, found)
    path = run.layout.pair_file("bases", run.model, run.trait, ".text.h5")
    content = write_arrays(path, arrays)
    return Produced(
        rows=[
            Rows(table, frame_of(table, own, "kind"), _TEXT if "kind" in columns(table) else {})
            for table, own in rows.items()
        ],
        files={run.layout.relative(path): content},
        metadata={"forms": len(arrays), "texts": run.study.text_fisher.texts},
    )
