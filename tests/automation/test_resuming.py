"""Long stages resume from finished pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline import freshness
from steer_assets.storage.database import warehouse
from tests.finished import KEY, materialise_one
from tests.tiny import World

pytestmark = pytest.mark.faults


class _Stop(Exception):
    """Represents any error that ends a run halfway."""


@dataclass
class Interrupted:
    """Counts the calls of a function, and stops the run where `stop_after` of them are made."""

    plain: Callable[..., object]
    calls: int = 0
    stop_after: int = 10**6

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self.calls == self.stop_after:
            raise _Stop
        self.calls += 1
        return self.plain(*args, **kwargs)


def interrupted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> Interrupted:
    found = Interrupted(getattr(module, name))
    monkeypatch.setattr(module, name, found)
    return found


def version_of(world: World, stage: str) -> str:
    record = freshness.record_of(world.layout, STAGES[stage], KEY)
    assert record is not None
    return record.data_version


def test_generations_go_on_from_finished_batches(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steer_assets.lm.decoding import decode

    path = catalog.user_catalog() / "studies" / "tiny.yaml"
    path.write_text(path.read_text().replace("samples: 1", "samples: 1\n  batch_rows: 4"))
    assert materialise_one("generations") == ""
    whole = version_of(finished, "generations")
    generate = interrupted(monkeypatch, decode, "generate")
    generate.stop_after = 3
    assert "_Stop" in materialise_one("generations")
    assert generate.calls == 3
    assert len(list((finished.layout.root / "partial").rglob("*-*.json"))) == 3
    generate.stop_after = 10**6
    assert materialise_one("generations") == ""
    sets = warehouse.query(
        finished.layout, "SELECT count(*) AS n FROM generations GROUP BY protocol"
    )
    assert len(sets) == 5  # controlled, reference, and that without each switch of generation
    assert generate.calls == sum(-(-n // 4) for n in sets["n"])  # each batch once, over both runs
    assert version_of(finished, "generations") == whole
    assert not list((finished.layout.root / "partial").rglob("*.json"))


def test_activations_go_on_from_finished_batches(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments of all tokens too, whose last digits depend on the order in which they are summed."""
    from steer_assets.assets.geometry import activation_caches
    from steer_assets.lm.measurements import capture

    captured = interrupted(monkeypatch, capture, "capture")
    monkeypatch.setattr(activation_caches, "_BATCH_TOKENS", 700)
    assert materialise_one("activation_caches") == ""
    whole, batches = version_of(finished, "activation_caches"), captured.calls
    assert batches > 3
    captured.calls, captured.stop_after = 0, 3
    assert "_Stop" in materialise_one("activation_caches")
    assert len(list((finished.layout.root / "partial").rglob("batch-*.h5"))) == 3
    captured.stop_after = 10**6
    assert materialise_one("activation_caches") == ""
    assert captured.calls == batches
    assert version_of(finished, "activation_caches") == whole


def test_forms_go_on_from_finished_prompts(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steer_assets.lm.measurements import derivatives

    before = version_of(finished, "behavioral_spectra")
    differentiate = interrupted(monkeypatch, derivatives, "differentiate")
    differentiate.stop_after = 2
    assert "_Stop" in materialise_one("behavioral_spectra")
    differentiate.stop_after = 10**6
    assert materialise_one("behavioral_spectra") == ""
    assert differentiate.calls == 6  # three prompts at two points, none twice
    assert version_of(finished, "behavioral_spectra") == before
