"""Long stages go on from what is finished."""

from __future__ import annotations

import pytest

from steer_assets.assets import plan
from steer_assets.assets.stage import STAGES
from steer_assets.catalog import catalog
from steer_assets.storage import warehouse
from tests.finished import KEY, materialise_one
from tests.tiny import World

pytestmark = pytest.mark.faults


class _Stop(Exception):
    """Stands for whatever ends a run in the middle."""


def version_of(world: World, stage: str) -> str:
    record = plan.record_of(world.layout, STAGES[stage], KEY)
    assert record is not None
    return record.data_version


def test_generations_go_on_from_finished_batches(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steer_assets.lm import decode

    path = catalog.user_catalog() / "studies" / "tiny.yaml"
    path.write_text(path.read_text().replace("samples: 1", "samples: 1\n  batch_rows: 4"))
    assert materialise_one("generations") == ""
    whole = version_of(finished, "generations")
    calls: list[int] = []
    generate = decode.generate

    def counted(*args: object, **kwargs: object) -> object:
        if len(calls) == stop_after:
            raise _Stop
        calls.append(1)
        return generate(*args, **kwargs)

    monkeypatch.setattr(decode, "generate", counted)
    stop_after = 3
    assert "_Stop" in materialise_one("generations")
    assert len(calls) == 3
    assert len(list((finished.layout.root / "partial").rglob("*-*.json"))) == 3
    stop_after = 10**6
    assert materialise_one("generations") == ""
    sets = warehouse.query(
        finished.layout, "SELECT count(*) AS n FROM generations GROUP BY protocol"
    )
    assert len(sets) == 5  # controlled, reference, and that without each switch of generation
    assert len(calls) == sum(-(-n // 4) for n in sets["n"])  # each batch once, over both runs
    assert version_of(finished, "generations") == whole
    assert not list((finished.layout.root / "partial").rglob("*.json"))


def test_activations_go_on_from_finished_batches(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments of all tokens too, whose last digits depend on the order in which they are summed."""
    from steer_assets.assets import activation_caches
    from steer_assets.lm import capture

    plain, calls = capture.capture, [0]

    def counted(*args: object, **kwargs: object) -> object:
        if calls[0] == stop_after:
            raise _Stop
        calls[0] += 1
        return plain(*args, **kwargs)

    monkeypatch.setattr(capture, "capture", counted)
    monkeypatch.setattr(activation_caches, "_BATCH_TOKENS", 700)
    stop_after = 10**6
    assert materialise_one("activation_caches") == ""
    whole, batches = version_of(finished, "activation_caches"), calls[0]
    assert batches > 3
    calls[0], stop_after = 0, 3
    assert "_Stop" in materialise_one("activation_caches")
    assert len(list((finished.layout.root / "partial").rglob("batch-*.h5"))) == 3
    stop_after = 10**6
    assert materialise_one("activation_caches") == ""
    assert calls[0] == batches
    assert version_of(finished, "activation_caches") == whole


def test_forms_go_on_from_finished_prompts(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steer_assets.lm import derivatives

    before = version_of(finished, "behavioral_spectra")
    differentiate, calls = derivatives.differentiate, [0]

    def counted(*args: object, **kwargs: object) -> object:
        if calls[0] == stop_after:
            raise _Stop
        calls[0] += 1
        return differentiate(*args, **kwargs)

    monkeypatch.setattr(derivatives, "differentiate", counted)
    stop_after = 2
    assert "_Stop" in materialise_one("behavioral_spectra")
    stop_after = 10**6
    assert materialise_one("behavioral_spectra") == ""
    assert calls[0] == 6  # three prompts at two points, none twice
    assert version_of(finished, "behavioral_spectra") == before
