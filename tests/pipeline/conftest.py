"""A run of a stage without results, in an empty data folder."""

import logging

import pytest

from steer_assets.catalog import catalog
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.layout import Layout
from tests.pipeline.pictures import KEY


@pytest.fixture
def run(tmp_path) -> StageRun:
    log = logging.getLogger("test")
    study = catalog.study("quick")
    return StageRun("svd_spectra", KEY, study, Layout(tmp_path), None, None, log)  # type: ignore[arg-type]
