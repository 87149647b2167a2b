"""A whole run with a depot from the beginning, and a host that has no source of its model."""

from __future__ import annotations

from pathlib import Path

import pytest

from steer_assets.assets.inputs import model_snapshot
from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.pipeline.depot import carried_catalog
from steer_assets.storage.depot.depot import at
from tests.automation.killing import versions
from tests.finished import TRAIT, one_thread, records_in_memory, run_tiny
from tests.tiny import MODEL, STUDY, World, few_figures, living_in, make_world


@pytest.mark.faults
def test_two_hosts_with_a_depot_make_what_one_makes_without(
    original: World, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A makes everything; B has neither its source nor its files, and makes nothing."""
    monkeypatch.setenv("STEER_DEPOT", address)
    sources = original.root.parent
    a = make_world(tmp_path / "a", source=sources / "source", scorer=sources / "scorer")
    with few_figures(), records_in_memory(), living_in(a):
        carried_catalog.carry(store=True)
        assert len(run_tiny(a).made) > 10
        assert list(at(address).objects.list("partial/")) == []
    monkeypatch.setattr(model_snapshot, "_source_file", lambda _: tmp_path / "not here")
    b = World(tmp_path / "b")
    b.layout.root.mkdir(parents=True)
    with few_figures(), records_in_memory(), living_in(b):
        carried_catalog.bring()
        with one_thread():
            outcome = materialise(b.layout, [MODEL], [TRAIT], catalog.study(STUDY))
        assert outcome.made == []
    assert versions(b) == versions(a)
    with living_in(original):
        without = versions(original)
    equal = {name for name, version in versions(a).items() if without[name] == version}
    # The original has an imported vector, so what is made from vectors differs.
    before_vectors = (
        "covariance_matrices",
        "svd_spectra",
        "behavioral_spectra",
        "activation_caches",
    )
    assert {f"{stage} {MODEL}|{TRAIT}" for stage in before_vectors} <= equal
    assert f"model_snapshot {MODEL}" in equal
