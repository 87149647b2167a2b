"""Stages that a run repeats, and those it reuses, after the data folder or the study changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage
from steer_assets.storage.database import syncing
from steer_assets.storage.layout import partition_name
from tests.finished import KEY, records_in_memory, run_tiny
from tests.storage.processes import database_open, holding
from tests.tiny import STUDY, World

PAIR_STAGES = [stage for stage in STAGES.values() if stage.dimensions == ("model", "trait")]


@pytest.fixture(autouse=True)
def _records() -> Iterator[None]:
    with records_in_memory():
        yield


def versions(world: World) -> dict[tuple[str, str], str]:
    found = {}
    for stage in STAGES.values():
        for key in freshness.materialised(world.layout, stage):
            record = lineage.read_record(world.layout, stage.name, key)
            assert record is not None
            found[stage.name, partition_name(key)] = record.data_version
    return found


def test_a_second_run_computes_nothing(finished: World) -> None:
    before = versions(finished)
    again = run_tiny(finished)
    assert again.made == []
    assert versions(finished) == before


def test_a_deleted_part_is_remade_alone_and_the_same(finished: World) -> None:
    before = versions(finished)
    finished.layout.part("logit_distances", KEY).unlink()
    again = run_tiny(finished)
    assert again.made == [("logit_distances", partition_name(KEY))]
    assert versions(finished) == before


def test_a_damaged_input_is_named_and_then_mended(finished: World) -> None:
    before = versions(finished)
    path = finished.layout.pair_file("moments", KEY["model"], KEY["trait"], ".h5")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    status = freshness.check(
        finished.layout, STAGES["covariance_matrices"], KEY, catalog.study(STUDY)
    )
    assert "moments/tiny/formality.h5 is damaged" in status.reasons[0]
    again = run_tiny(finished)
    assert again.made == [("covariance_matrices", partition_name(KEY))]
    assert versions(finished) == before


def test_a_setting_makes_stale_exactly_what_reads_it(finished: World) -> None:
    study = catalog.study(STUDY)

    def stale(**changes: object) -> set[str]:
        other = study.model_validate({**study.model_dump(mode="json"), **changes})
        checked = {
            stage: freshness.check(finished.layout, stage, KEY, other) for stage in PAIR_STAGES
        }
        return {stage.name for stage, status in checked.items() if not status.fresh}

    statistics = {**study.statistics.model_dump(mode="json"), "margin_sd": 0.3}
    with_intervals = {"equivalence_reports", "protocol_comparison", "protocol_measures"}
    assert stale(statistics=statistics) == with_intervals
    generation = {**study.generation.model_dump(mode="json"), "temperature": 0.5}
    of_texts = {
        "steering_calibration",
        "generations",
        "text_divergences",
        "text_fisher",
        "equivalence_reports",
    }
    assert stale(generation=generation) == of_texts
    logits = {**study.logits.model_dump(mode="json"), "alphas": [0.5]}
    assert stale(logits=logits) == {"logit_distances"}
    assert stale(title="another title") == set()


def test_the_database_may_be_held_open_by_somebody_else(finished: World) -> None:
    finished.layout.part("logit_distances", KEY).unlink()
    with holding(database_open(read_only=False), finished.layout.database):
        outcome = run_tiny(finished)
        assert outcome.synced is not None
        assert outcome.synced.deferred
    result = syncing.sync(finished.layout)
    assert any("logit_distances" in path for path in result.loaded)
