"""The whole graph on tiny random models of every block kind: a verdict each, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import transformers as tf

from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.resources import scorers
from steer_assets.storage.files.parquet import read_part
from tests.finished import one_thread
from tests.lm import architectures, conftest
from tests.reasoning import write_reasoning
from tests.tiny import (
    MODEL,
    SCORER,
    STUDY,
    STUDY_TEXT,
    few_figures,
    living_in,
    make_world,
    tokenizer,
    write_scorer,
)

TRAIT = "formality"
#: Sizes of the tokenizer that spells bytes, and of the prompts that it makes.
_SIZES = {conftest.VOCAB: 259, 128: 1024}
#: As the tests of whole models in `tests/lm` build them, and every further block kind.
NAMES = [*conftest.CONFIGS, *architectures.CONFIGS]

pytestmark = pytest.mark.faults


def _config(name: str) -> Any:
    if name in conftest.CONFIGS:
        config = conftest.CONFIGS[name]()
    else:
        kind, settings = architectures.CONFIGS[name]
        config = getattr(tf, kind)(**settings)
    sized = ("vocab_size", "vocab_size_per_layer_input", "max_position_embeddings", "n_positions")
    for field in (*sized, "context_length"):
        if (value := getattr(config, field, None)) in _SIZES:
            setattr(config, field, _SIZES[value])
    return config


def _write(name: str, folder: Path) -> Path:
    tf.set_seed(3)
    tf.AutoModelForCausalLM.from_config(_config(name)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_model_gets_its_verdict_or_one_sentence(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = _write(name, tmp_path / "source")
    world = make_world(tmp_path / "world", source=source, scorer=write_scorer(tmp_path / "scorer"))
    with living_in(world), few_figures(), one_thread():
        if name in architectures.REFUSED:
            with pytest.raises(Exception, match=architectures.REFUSED[name]) as refusal:
                materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
            assert "\n" not in str(refusal.value)
            assert not world.layout.model(MODEL).exists()
            return
        materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
    key = {"model": MODEL, "trait": TRAIT}
    verdicts = read_part(world.layout.part("equivalence_reports", key))["verdict"].to_list()
    assert verdicts
    assert set(verdicts) <= {"equivalent", "different", "inconclusive", "untestable"}
    assert world.layout.pair_file("reports", MODEL, TRAIT, ".html").exists()
    # The first block of lfm2 reads three tokens, which both poles share: a protocol that reads v
    # there has none.
    reasons = read_part(world.layout.part("protocol_vectors", key)).filter(pl.col("reason") != "")
    assert (name == "lfm2") == ("zero" in " ".join(reasons["reason"]))


@pytest.mark.parametrize(
    ("name", "logit"), [("llama", 8.0), ("qwen3_moe", 8.0), ("qwen3_next", 5.5)]
)
def test_sections_of_thinking_are_left_out_of_scores(
    tmp_path: Path, name: str, logit: float
) -> None:
    """A reasoning model of plain blocks, one of experts and a hybrid, each to a verdict."""
    source = write_reasoning(tmp_path / "source", _config(name), logit=logit)
    world = make_world(tmp_path / "world", source=source, scorer=write_scorer(tmp_path / "scorer"))
    longer = STUDY_TEXT.replace("max_new_tokens: 5", "max_new_tokens: 6")
    (world.layout.root / "catalog" / "studies" / f"{STUDY}.yaml").write_text(longer)
    key = {"model": MODEL, "trait": TRAIT}
    with living_in(world), few_figures(), one_thread():
        materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
        found = read_part(world.layout.part("thinking_sections", key))
        assert {"closed", "open"} <= set(found["section"])
        answered = found.drop_nulls("answer")
        scores = read_part(world.layout.part("classifier_scores", key))
        assert sorted(scores["generation_id"]) == sorted(answered["generation_id"])
        both = scores.join(answered, on="generation_id")
        judge = scorers.scorer(SCORER, TRAIT, world.layout)
        assert judge.score(both["answer"].to_list()) == pytest.approx(both["score"].to_numpy())
    assert set(read_part(world.layout.part("fluency", key))["generation_id"]) <= {
        *answered["generation_id"]
    }
    reports = read_part(world.layout.part("equivalence_reports", key))
    tests = read_part(world.layout.part("equivalence_tests", key))
    assert len(reports) > 0
    assert 2 <= tests["n_prompts"].max() <= 7
    page = world.layout.pair_file("reports", MODEL, TRAIT, ".html").read_text()
    without = len(found) - len(answered)
    assert f"{without} of {len(found)} texts have no answer" in page
