"""Steps around v along which the divergence of whole texts is predicted and measured.

Here belong the steps and their names; `_text_directions` reads texts along them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.assets.evidence._fisher_texts import Gradients, rank_of
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.geometry.vector_ids import EXTERNAL, VectorId, base_id
from steer_assets.pipeline.design import random_streams
from steer_assets.pipeline.stage import StageRun


@dataclass(frozen=True, slots=True)
class Direction:
    """A step of multiple 1 from v [d], the vector it leads to, and what predicts it.

    predicting: rows [n] of the gradients whose form gives the prediction.
    """

    vector_id: str
    family: str
    null_space: str
    step: np.ndarray
    predicting: np.ndarray


def directions(run: StageRun, found: Gradients, measured: list[str]) -> list[Direction]:
    """Towards one vector of every family of the study and every vector brought by the user, then
    along directions of length |v| in the null space of whole texts and in its complement.

    measured: ids of the prompts whose texts are read along the steps.
    """
    return [*_towards(run, found), *_of_texts(run, found, measured)]


def _towards(run: StageRun, found: Gradients) -> Iterator[Direction]:
    vectors, values = read_table(run)
    numbered = vectors.with_row_index("row")
    layer, dose = found.point.layer, found.point.arm.alpha
    families = [*run.study.text_fisher.families, EXTERNAL]
    chosen = numbered.filter((pl.col("layer") == layer) & pl.col("family").is_in(families))
    v = values[vectors["vector_id"].to_list().index(base_id(layer))]
    every = np.ones(len(found.values), dtype=bool)
    known: set[tuple[str, str, str]] = set()
    for row in chosen.sort("vector_id").iter_rows(named=True):
        # Seeds of a family differ by chance alone; brought vectors have a name of their own.
        name = row["vector_id"] if row["family"] == EXTERNAL else ""
        kind = (row["family"], row["null_space"], name)
        if kind not in known:
            known.add(kind)
            step = dose * (values[row["row"]] - v)
            yield Direction(row["vector_id"], row["family"], row["null_space"], step, every)


def _of_texts(run: StageRun, found: Gradients, measured: list[str]) -> Iterator[Direction]:
    """u in the leading or the null space of the form of texts after all but the measured prompts.

    A form that has seen the measured texts would know their noise.
    """
    from steer_assets.geometry.directions import orthogonal_in_span
    from steer_assets.geometry.errors import DegenerateError
    from steer_assets.geometry.null_spaces.spectra import gradient_spectrum
    from steer_assets.geometry.null_spaces.subspaces import leading, null

    places = [found.prompt_ids.index(name) for name in measured]
    others = ~np.isin(found.prompts, places)
    if len(np.unique(found.prompts[others])) < 2:
        run.log.warning("no directions in the null space of texts: too few prompts beside them")
        return
    spectrum = gradient_spectrum(found.values[others])
    rank = rank_of(run, spectrum)
    layer, added = found.point.layer, found.point.added
    for family, basis in (
        ("base_plus_range", leading(spectrum, rank)),
        ("base_plus_null", null(spectrum, rank)),
    ):
        rng = random_streams.generator(run.study, f"{family}.text", run.trait, str(layer))
        try:
            u = orthogonal_in_span(added, basis, rng)
        except DegenerateError as error:
            run.log.warning(f"left out: {family}.text at block {layer}: {error}")
            continue
        vector_id = str(VectorId(layer, family, "text", 0))
        yield Direction(vector_id, family, "text", float(np.linalg.norm(added)) * u, others)
