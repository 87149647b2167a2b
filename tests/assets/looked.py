"""A tiny study with several looks, and a scorer whose effects are planted."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets.evidence import _looks
from steer_assets.storage.layout import Layout
from tests.assets.conftest import Tiny

SHARES = (0.4, 1.0)
#: v + v_perp is like v, v_perp alone is not.
ALIKE = {"base": 3.0, "base_plus_orthogonal": 3.0}


class Known:
    """A scorer by name; scores come from `plant`."""

    name = "known"


def plant(monkeypatch: pytest.MonkeyPatch, effects: dict[str, float], noisy: str = "") -> None:
    """Scores by arm: what a prompt gives, the effect of a vector by its family, a little noise.

    One family may have thirty times as much.
    """

    def scored(_reader: object, texts: pl.DataFrame) -> pl.DataFrame:
        keys = texts.select("vector_id", "alpha", "environment", "prompt_id", "sample", "look")
        scores = [
            zlib.crc32(prompt.encode()) % 997 / 300
            + effects.get(family, 0.0)
            + (30 if family == noisy else 1)
            * (zlib.crc32(f"{v}{prompt}".encode()) % 997 - 498)
            / 9970
            for v, prompt in keys.select("vector_id", "prompt_id").iter_rows()
            for family in [v.split(".")[1] if "." in v else v]
        ]
        return keys.with_columns(score=pl.Series(scores, dtype=pl.Float64))

    monkeypatch.setattr(_looks, "_scorer", lambda _run: Known())
    monkeypatch.setattr(_looks._Reader, "scored", scored)


def study_of(world: Tiny, shares: tuple[float, ...]) -> Tiny:
    """The tiny study with more prompts, few arms and these looks."""
    study = world.study
    arms = tuple(
        study.generation.arms[0].model_copy(update={"families": families})
        for families in (("base", "base_plus_orthogonal"), ("orthogonal",))
    )
    generation = study.generation.model_copy(
        update={"looks": shares, "samples": 1, "arms": arms, "max_new_tokens": 3}
    )
    tests = {"in_distribution": 20, "topic_shift": 10, "genre_shift": 0, "safety_style": 0}
    prompts = study.prompts.model_copy(update={"test": tests})
    texts = study.protocol_texts.model_copy(  # type: ignore[union-attr]
        update={"samples": 1, "prompts": {**tests, "in_distribution": 2, "topic_shift": 1}}
    )
    update = {
        "generation": generation,
        "prompts": prompts,
        "protocol_texts": texts,
        "protocols": study.protocols[:1],
    }
    return Tiny(world.layout, study.model_copy(update=update), world.models)


def copied(tiny: Tiny, root: Path) -> Tiny:
    """A copy of the tiny world under a study with two looks."""
    shutil.copytree(tiny.layout.root, root)
    return study_of(Tiny(Layout(root), tiny.study, tiny.models), SHARES)
