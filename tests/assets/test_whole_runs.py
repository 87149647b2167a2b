"""Models and traits that some stage cannot measure are run completely and get their verdicts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.storage import schema
from steer_assets.storage.files.parquet import read_part
from tests.finished import one_thread, records_in_memory
from tests.tiny import (
    MODEL,
    SCORER,
    STUDY,
    STUDY_TEXT,
    World,
    few_figures,
    living_in,
    make_world,
    write_model,
    write_scorer,
)

TRAIT = "formality"
_RUN = f"""
import sys
from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
materialise(Layout(data_folder()), ["{MODEL}"], [sys.argv[1]], catalog.study("{STUDY}"))
"""


def _world(root: Path, *, dtype: str = "float32", overflowing: bool = False) -> World:
    source = write_model(root / "source")
    if overflowing:
        _overflow(source / "model.safetensors")
    world = make_world(root / "world", source=source, scorer=write_scorer(root / "scorer"))
    study = world.layout.root / "catalog" / "studies" / f"{STUDY}.yaml"
    study.write_text(f"{STUDY_TEXT}numerics: {{dtype: {dtype}}}\n")
    return world


def _overflow(weights: Path) -> None:
    """A residual stream far beyond 65,504, as real families have."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    grown = {n: t * 6e4 if "down_proj" in n else t for n, t in tensors.items()}
    save_file(grown, weights, metadata={"format": "pt"})


def _add_trait(world: World, name: str, n_pairs: int, n_tests: int, *, labelled: bool) -> None:
    """A trait of as many pairs and tests; scored by the tiny scorer if it has labelled texts."""
    room = world.layout.root / "catalog"
    pairs = [
        {"positive": f"Kindly explain {word}.", "negative": f"Grumpily explain {word}."}
        for word in ("tea", "rain", "maps")[:n_pairs]
    ]
    tests = [{"test": f"Say something about {word}."} for word in ("wood", "wool")[:n_tests]]
    (room / "traits").mkdir()
    lines = "".join(f"{json.dumps(line)}\n" for line in [*pairs, *tests])
    (room / "traits" / f"{name}.jsonl").write_text(lines)
    if not labelled:
        return
    shutil.copy(room / "labelled" / f"{TRAIT}.jsonl", room / "labelled" / f"{name}.jsonl")
    scorer = room / "scorers" / f"{SCORER}.yaml"
    entry = json.loads(scorer.read_text())
    entry["traits"][name] = {"label_map": {"for": 1, "against": -1}}
    scorer.write_text(json.dumps(entry))


def _tables(world: World, trait: str = TRAIT) -> dict[str, pl.DataFrame]:
    """Every table of the partition; its values are there and finite, or allowed to be null."""
    found = {}
    for path in sorted((world.layout.root / "tables").rglob("part.parquet")):
        table = path.relative_to(world.layout.root / "tables").parts[0]
        rows = read_part(path)
        for column in rows:
            where = f"{path}: {column.name}"
            assert not column.null_count() or column.name in schema.nullable(table), where
            assert not column.dtype.is_float() or column.drop_nulls().is_finite().all(), where
        if f"trait={trait}" in path.parts:
            found[table] = rows
    return found


@contextmanager
def _untracked() -> Iterator[None]:
    """Without MLflow, of which nothing here is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "off")
        yield


def _run(world: World) -> dict[str, pl.DataFrame]:
    with living_in(world), few_figures(), one_thread(), records_in_memory(), _untracked():
        materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
    return _tables(world)


def _left_to_calibration(world: World) -> None:
    """The tiny study with blocks and doses that calibration chooses."""
    study = world.layout.root / "catalog" / "studies" / f"{STUDY}.yaml"
    text = STUDY_TEXT.replace("steer: [1]", "steer: auto").replace("layers: [1]", "layers: [auto]")
    text = text.replace("logits: {prompts: 2, alphas: [1.0]}", "logits: {prompts: 2, alphas: auto}")
    arms = "    - families: [base, orthogonal, base_plus_orthogonal]\n"
    assert arms in text
    study.write_text(text.replace(arms, f"{arms}      alphas: auto\n"))


@dataclass(frozen=True)
class Run:
    world: World
    tables: dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def calibrated_overflow(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model that overflows float16, under a study that leaves block and dose to calibration.

    One run for both claims, because a run takes half a minute.
    """
    world = _world(tmp_path_factory.mktemp("calibrated"), overflowing=True)
    _left_to_calibration(world)
    return Run(world, _run(world))


@pytest.mark.slow
def test_a_model_that_overflows_float16_gets_its_verdict(calibrated_overflow: Run) -> None:
    found = calibrated_overflow.tables
    assert len(found["equivalence_reports"]) > 0
    measures = found["protocol_measures"].filter(pl.col("quantity") == "jacobian_null_fraction")
    finite = ~pl.col("switch").eq("finite_difference") & pl.col("setting").ne("controlled")
    assert measures.filter(finite)["value"].null_count() == len(measures.filter(finite)) > 0
    assert measures.filter(finite)["reason"].str.contains("float16 overflows").all()
    assert measures.filter(~finite)["value"].null_count() == 0
    said = found["protocol_findings"].filter(pl.col("quantity") == "jacobian_null_fraction")
    assert said["sentence"].str.contains("was not measured as published").all()


@pytest.mark.slow
def test_a_study_that_leaves_block_and_dose_to_calibration(calibrated_overflow: Run) -> None:
    """Every later stage works where calibration says, and the report says where that is."""
    world, found = calibrated_overflow.world, calibrated_overflow.tables
    chosen = found["steering_calibration"].filter(pl.col("rank") > 0).sort("rank")
    doses = dict(chosen.select("layer", "alpha").rows())
    assert 1 <= len(doses) <= 2
    assert set(found["equivalence_reports"].filter(protocol="controlled")["layer"]) == set(doses)
    texts = found["generations"].filter(pl.col("protocol") == "controlled", pl.col("alpha") > 0)
    where = texts.select(pl.col("vector_id").str.extract(r"^L(\d+)\.").cast(int), "alpha").unique()
    assert dict(where.rows()) == doses
    assert len(where) == len(doses)
    assert set(found["protocol_findings"]["layer"]) == {chosen.item(0, "layer")}
    page = (world.layout.root / "reports" / MODEL / f"{TRAIT}.html").read_text()
    assert all(f"{alpha:g}" in page for alpha in doses.values())
    with living_in(world), one_thread(), records_in_memory():
        again = materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
    assert not again.made


@pytest.mark.faults
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_study_in_half_precision_gets_its_verdict(tmp_path: Path, dtype: str) -> None:
    found = _run(_world(tmp_path, dtype=dtype))
    assert len(found["equivalence_reports"]) > 0
    # KL is of logits in float32: half precision would put steps of rounding into it.
    doses = found["dose_response"].filter(pl.col("kl") > 1e-6)
    assert (doses["predicted_kl"] / doses["kl"]).median() == pytest.approx(1, abs=0.2)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("n_pairs", "n_tests", "labelled"), [(2, 1, False), (2, 1, True), (3, 2, True)]
)
def test_the_smallest_traits_are_measured_as_far_as_they_go(
    tmp_path: Path, n_pairs: int, n_tests: int, labelled: bool
) -> None:
    """Also a trait without labelled texts, for which there is no scorer."""
    world, trait = _world(tmp_path), "few"
    _add_trait(world, trait, n_pairs, n_tests, labelled=labelled)
    # A separate process, because traits are read when the definitions are loaded.
    environment = {**os.environ, **world.environment}
    subprocess.run([sys.executable, "-c", _RUN, trait], env=environment, check=True)
    found = _tables(world, trait)
    assert len(found["protocol_findings"]) > 0
    assert len(reports := found["equivalence_reports"]) > 0
    page = (world.layout.root / "reports" / MODEL / f"{trait}.html").read_text()
    assert f"mean difference of {n_pairs} contrast pairs" in page
    if not labelled:
        assert set(reports["verdict"]) == {"untestable"}
        assert reports["reason"].str.starts_with("no scorer scores texts of few").all()
        assert len(found["generations"]) > len(found["classifier_scores"]) == 0
    measures = found["protocol_measures"]
    lacking = measures.filter(pl.col("value").is_null())
    assert lacking["reason"].str.contains("needs [23] ").all()
    assert (n_pairs == 2) == ("covariance_null_fraction" in set(lacking["quantity"]))
    assert (n_tests == 1) == ("kl_share" in set(lacking["quantity"]))
    # Of one or two neutral prompts there is no covariance, and nothing to measure v against.
    assert set(found["svd_spectra"]["environment"]) == {"contrast", "all_tokens"}
    assert set(found["null_energies"]["kind"]) == {"jacobian", "fisher"}
    assert found["steering_vectors"]["null_energy_covariance"].drop_nulls().to_list() == [0.0]
