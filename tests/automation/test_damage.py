"""Damaged files are reported before any use, and made again by the next run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline import freshness
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.files.parquet import DamagedFileError, read_part
from steer_assets.storage.layout import partition_name
from tests.automation.killing import versions
from tests.finished import KEY, materialise_one, run_tiny
from tests.sizes import FULL
from tests.tiny import STUDY, World

pytestmark = pytest.mark.faults


def flip(path: Path) -> None:
    """Flip a byte in the middle; of Parquet the next one that means anything (some are padding)."""
    content = path.read_bytes()
    for at in range(len(content) // 2, len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        if path.suffix != ".parquet":
            return
        try:
            read_part(path)
        except DamagedFileError:
            return


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove(path: Path) -> None:
    path.unlink()


Damage = Callable[[Path], None]
#: A stored file of each kind, the stage that made it, and one that reads it.
FILES = [
    ("activations/tiny/formality.h5", "activation_caches", "covariance_matrices"),
    ("moments/tiny/formality.h5", "covariance_matrices", "svd_spectra"),
    ("bases/tiny/formality.covariance.h5", "svd_spectra", "vector_families"),
    ("bases/tiny/formality.behaviour.h5", "behavioral_spectra", "vector_families"),
    ("vectors/tiny/formality.safetensors", "vector_families", "generations"),
    ("protocols/tiny/formality.safetensors", "protocol_vectors", "protocol_measures"),
    ("protocols/tiny/formality.h5", "protocol_vectors", "protocol_measures"),
    ("models/tiny/model.safetensors", "model_snapshot", "activation_caches"),
    ("models/tiny/tokenizer.json", "model_snapshot", "generations"),
    ("tables/generations/model=tiny/trait=formality/part.parquet", "generations",
     "classifier_scores"),
    ("tables/prompt_sets/trait=formality/part.parquet", "prompt_sets", "generations"),
    ("tables/artifact_lineage/asset_key=generations/model=tiny/trait=formality/part.parquet",
     "generations", "classifier_scores"),
]  # fmt: skip


DAMAGES: list[Damage] = [flip, truncate, remove]
#: Some files, each damage in turn; in full, each damage to each file.
CASES = [
    (*file, damage)
    for place, file in enumerate(FILES)
    for turn, damage in enumerate(DAMAGES)
    if FULL or place in (turn, turn + 4, turn + 9)
]


@pytest.mark.parametrize(("file", "maker", "reader", "damage"), CASES)
def test_damage_is_named_before_anything_is_computed_from_it(
    finished: World, file: str, maker: str, reader: str, damage: Damage
) -> None:
    before = versions(finished)
    damage(finished.layout.root / file)
    why = materialise_one(reader)
    assert maker in why
    if "artifact_lineage" not in file:
        assert file in why
        key = {name: KEY[name] for name in STAGES[maker].dimensions}
        status = freshness.check(finished.layout, STAGES[maker], key, catalog.study(STUDY))
        assert any(file in reason for reason in status.reasons)
    again = run_tiny(finished)
    assert maker in {stage for stage, _ in again.made}
    assert versions(finished) == before
    assert run_tiny(finished).made == []


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_database_fails_no_run_and_is_rebuilt(finished: World, damage: Damage) -> None:
    database = finished.layout.database
    database.write_bytes(b"\0" * 4096 + database.read_bytes()[4096:])
    damage(database)
    finished.layout.part("logit_distances", KEY).unlink()
    outcome = run_tiny(finished)
    assert outcome.made == [("logit_distances", partition_name(KEY))]
    assert outcome.synced.deferred
    assert "steer db rebuild" in outcome.synced.deferred
    with pytest.raises(warehouse.WarehouseDamagedError, match="rebuild"):
        warehouse.query(finished.layout, "SELECT 1")
    syncing.rebuild(finished.layout, expected_inputs=freshness.expected_frame(finished.layout))
    rows = warehouse.query(finished.layout, "SELECT count(*) FROM logit_distances")
    assert rows.item() > 0


def test_out_of_date_inputs_are_refused(finished: World) -> None:
    """A result from new prompts and activations of an older study would belong to neither."""
    path = catalog.user_catalog() / "studies" / "tiny.yaml"
    path.write_text(path.read_text().replace("contrast_pairs: 6", "contrast_pairs: 7"))
    why = materialise_one("vector_families")
    assert "out of date" in why
    assert "activation_caches" in why
    assert "prompts.contrast_pairs changed" in why
