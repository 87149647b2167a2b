"""No code that a stage uses changes without the stage's `code_version`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets import code_lock
from tests.assets.code_lock import differences, refreshed
from tests.assets.code_reach import reach

STAGE = '''
from steer_assets.lm.noise import draw
from steer_assets.scoring import heads

SIZE = 3

def work(run):
    """Words."""
    return draw(SIZE) + heads.fit(SIZE)
'''
NOISE = """
def draw(n: "Count") -> int:
    return _half(n) + 1

def _half(n):
    return n / 2

def other():
    return 0

class Count:
    pass

print("registered")
"""
HEADS = "def fit(n):\n    return n\n"
SOURCES = {"assets/work.py": STAGE, "lm/noise.py": NOISE, "scoring/heads.py": HEADS}


def test_the_code_of_every_stage_is_the_locked_one() -> None:
    wrong = differences(code_lock.read(), code_lock.current(), same_version=False)
    assert not wrong, "\n".join([*wrong.values(), code_lock.__doc__ or ""])


def test_stages_reach_what_they_compute_with() -> None:
    now = {stage: set(found) for stage, (_, found) in code_lock.current().items()}
    assert {
        "lm.decoding.noise.exponentials",
        "lm.decoding.sampling.race",
        "lm.forward.rows.RowCache",
    } <= now["generations"]
    assert "lm.forward.attention.<import>" in now["generations"]
    assert "lm.loading.loader.load" in now["activation_caches"]
    assert {"scoring.embedded.minilm.fit_minilm", "scoring.embedded.anchors.ANCHORS"} <= now[
        "classifier_scores"
    ]
    assert "scoring.embedded.minilm.fit_minilm" in now["scorer_validation"]
    assert "lm.decoding.noise.exponentials" not in now["vector_families"]
    assert all("pipeline.stage." not in name for found in now.values() for name in found)


def _now(folder: Path, version: str = "1", **changed: str) -> dict:
    for name, text in {**SOURCES, **changed}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"work": (version, reach("assets.work", "work", folder))}


@pytest.fixture
def lock(tmp_path: Path) -> dict:
    return refreshed({"stages": {}, "definitions": {}}, _now(tmp_path / "first"), "")


def test_all_that_is_named_is_reached_and_nothing_else(tmp_path: Path) -> None:
    ((_, found),) = _now(tmp_path).values()
    assert set(found) == {
        "assets.work.work", "assets.work.SIZE", "lm.noise.draw", "lm.noise._half",
        "lm.noise.Count", "lm.noise.<import>", "scoring.heads.fit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("lm/noise.py", "n / 2", "n / 3", "lm.noise._half"),
        ("lm/noise.py", "+ 1", "- 1", "lm.noise.draw"),
        ("lm/noise.py", '"registered"', '"other"', "lm.noise.<import>"),
        ("assets/work.py", "SIZE = 3", "SIZE = 4", "assets.work.SIZE"),
        ("scoring/heads.py", "return n", "return -n", "scoring.heads.fit"),
        ("assets/work.py", "draw(SIZE) +", "", "what it reaches"),
    ],
)
def test_changed_code_needs_another_version(lock, tmp_path, file, before, after, said):
    assert before in SOURCES[file]
    changed = {file: SOURCES[file].replace(before, after)}
    same = _now(tmp_path / "same", **changed)
    (words,) = differences(lock, same, same_version=False).values()
    assert said in words or "assets.work.work" in words
    assert "changed under code_version 1: raise it" in words
    with pytest.raises(ValueError, match="raise it"):
        refreshed(lock, same, "")
    noted = refreshed(lock, same, "only names")
    assert noted["stages"]["work"]["unchanged"] == ["only names"]
    assert differences(noted, same, same_version=False) == {}
    raised = _now(tmp_path / "raised", "2", **changed)
    (words,) = differences(lock, raised, same_version=False).values()
    assert "refresh the lock" in words
    assert differences(refreshed(lock, raised, ""), raised, same_version=False) == {}


def test_words_and_moves_are_no_change(lock, tmp_path):
    half = "def _half(n):\n    return n / 2\n"
    moved = {
        "assets/work.py": STAGE.replace('"""Words."""', '"""Others."""  # and more'),
        "lm/noise.py": "from steer_assets.lm.deep.parts import _half\n"
        + NOISE.replace(half, "").replace("return 0", "return 1"),
        "lm/deep/parts.py": half,
    }
    now = _now(tmp_path / "moved", **moved)
    assert "lm.deep.parts._half" in now["work"][1]
    assert differences(lock, now, same_version=False) == {}


def test_a_new_stage_is_to_be_locked(lock, tmp_path):
    now = {**_now(tmp_path / "now"), "more": ("1", {})}
    assert list(differences(lock, now, same_version=False)) == ["more"]
    assert differences(refreshed(lock, now, ""), now, same_version=False) == {}
