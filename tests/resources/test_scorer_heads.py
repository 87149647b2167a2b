"""Stored scorer heads: equal scores with and without them; outdated ones are not used."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from steer_assets.catalog import catalog
from steer_assets.resources import scorer_heads
from steer_assets.scoring.embedded import minilm
from steer_assets.scoring.embedded.encoder import DIM
from steer_assets.storage.files.tensors import read_described, write_vectors
from steer_assets.storage.layout import Layout

TEXTS = ["A wonderful evening.", "The soup was cold.", ""]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the labelled texts of three topics of sentiment, in the place of all of them."""
    lines = catalog.labelled_path("sentiment").read_text().splitlines()
    topics = sorted({text.topic for text in scorer_heads.labelled_texts("sentiment")})[:3]
    path = tmp_path / "sentiment.jsonl"
    path.write_text("\n".join(_few(lines, topic) for topic in topics))
    monkeypatch.setattr(catalog, "labelled_path", lambda trait: path)
    return path


def _few(lines: list[str], topic: str) -> str:
    """Two texts of each pole of a topic."""
    own = [line for line in lines if f'"{topic}"' in line]
    poles = ([line for line in own if f'"{pole}"' in line] for pole in ("positive", "negative"))
    return "\n".join(line for pole in poles for line in pole[:2])


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Traits that were fitted, in order."""
    done: list[str] = []
    fit = minilm.fit_minilm

    def noted(trait, *given, **named):
        done.append(trait)
        return fit(trait, *given, **named)

    monkeypatch.setattr(minilm, "fit_minilm", noted)
    return done


class _Hashed:
    """In the place of the encoder: numbers of each text that depend on nothing else."""

    def pooled_layers(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        keys = (list(hashlib.sha256(text.encode()).digest()) for text in texts)
        rows = [np.random.default_rng(key).normal(size=(len(layers), DIM)) for key in keys]
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of when a head is fitted: encoding takes most of the time."""
    monkeypatch.setattr(scorer_heads, "encoder", _Hashed)


def _scores(layout: Layout) -> bytes:
    return scorer_heads.minilm("mine", "sentiment", layout).score(TEXTS).tobytes()


def test_a_stored_head_scores_as_the_one_just_fitted(layout, labelled, fits):
    just_fitted = _scores(layout)
    assert [file.name for file in layout.root.rglob("*.*")] == ["sentiment.safetensors"]
    assert _scores(layout) == just_fitted
    assert fits == ["sentiment"]


def test_other_texts_code_encoder_or_libraries_make_another_head(
    layout, labelled, hashed, fits, monkeypatch
):
    before = _scores(layout)
    lines = labelled.read_text().splitlines()
    labelled.write_text("\n".join(lines[1:]))
    assert _scores(layout) != before
    assert len(fits) == 2
    monkeypatch.setattr(scorer_heads, "version", lambda library: "0.0")
    _scores(layout)
    assert len(fits) == 3
    monkeypatch.setattr(scorer_heads, "scoring_code", lambda: "other")
    _scores(layout)
    assert len(fits) == 4
    _scores(layout)
    assert len(fits) == 4


def test_a_damaged_head_is_named_and_fitted_anew(layout, labelled, hashed, fits, caplog):
    before = _scores(layout)
    path = layout.head("sentiment")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:-8] + b"\0" * 8):
        path.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert _scores(layout) == before
        assert f"{path} is damaged" in caplog.text
        caplog.clear()
        assert path.stat().st_size == len(content)
    assert len(fits) == 4


def test_a_head_of_another_form_is_fitted_anew(layout, labelled, hashed, fits, caplog):
    before = _scores(layout)
    path = layout.head("sentiment")
    state, about = read_described(path)
    write_vectors(path, {"hidden": state["hidden"]}, about)
    with caplog.at_level(logging.WARNING):
        assert _scores(layout) == before
    assert "the head of sentiment is fitted anew: trait 'sentiment': a state of" in caplog.text
    assert len(fits) == 2


def test_where_nothing_can_be_written_texts_are_scored_all_the_same(
    layout, labelled, hashed, fits, caplog
):
    layout.root.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        first = _scores(layout)
    assert "the head of sentiment is not kept" in caplog.text
    assert _scores(layout) == first
    assert len(fits) == 2
