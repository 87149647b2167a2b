"""Studies with several looks: texts are those of the fixed study, and stop where it is decided."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.evidence import _looks
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.checks.looks import planned_pairs
from steer_assets.pipeline.design import looks, prompt_selection
from steer_assets.storage.layout import Layout
from tests.assets.conftest import Tiny

SHARES = (0.4, 1.0)


class _Known:
    """Scores by arm: texts carry the name of their arm, which stands for the effect of it."""

    name = "known"

    def __init__(self, effects: dict[str, float]) -> None:
        self.effects = effects

    def score(self, texts: Sequence[str]) -> list[float]:
        found = []
        for text in texts:
            effect = next((e for name, e in self.effects.items() if f"[{name}" in text), 0.0)
            found.append(effect + 1e-4 * (len(text) % 5) + (sum(map(ord, text.split("|")[0])) % 7))
        return found


def _study(world: Tiny, shares: tuple[float, ...]) -> Tiny:
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


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path) -> Tiny:
    root = Path(shutil.copytree(tiny.layout.root, tmp_path / "data"))
    return _study(Tiny(Layout(root), tiny.study, tiny.models), SHARES)


@pytest.fixture
def fixed(world: Tiny) -> Tiny:
    return _study(world, (1.0,))


def test_it_runs(world: Tiny, fixed: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_looks, "_scorer", lambda _run: _Known({}))
    fixed.make("generations")
    whole = fixed.rows("generations")
    world.make("generations")
    print(world.rows("look_decisions").transpose(include_header=True))
    print(whole.group_by("vector_id").len(), world.rows("generations").group_by("vector_id").len())
