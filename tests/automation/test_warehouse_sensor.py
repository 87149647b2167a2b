"""Where one host keeps the database, its daemon loads what the others made."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from steer_assets.automation.sensors import SENSORS, load_warehouse
from steer_assets.processes import host
from steer_assets.storage.layout import Layout
from tests.storage import synthetic

KEY = {"model": "toy", "trait": "formality"}


def test_it_is_there_only_where_a_host_is_named() -> None:
    assert load_warehouse not in SENSORS


def test_it_loads_new_parts_on_that_host_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    synthetic.write(Layout(tmp_path), "generations", KEY, {})

    def looked() -> str:
        context = dg.build_sensor_context()
        return str(load_warehouse.evaluate_tick(context).skip_message)

    monkeypatch.setenv("STEER_WAREHOUSE", f"not-{host()}")
    assert "put off" in looked()
    monkeypatch.setenv("STEER_WAREHOUSE", host())
    assert looked() == "1 parts loaded, 0 removed"
    assert looked() == "0 parts loaded, 0 removed"
