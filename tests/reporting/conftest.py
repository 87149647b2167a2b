from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.figure import Figure
from steer_assets.reporting.pages.report import Report, render_report

from .synthetic import build_evidence


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return build_evidence()


@pytest.fixture(scope="session")
def report(evidence: Evidence) -> Report:
    return render_report(evidence)


@pytest.fixture(scope="session")
def figures(report: Report) -> dict[str, Figure]:
    return {figure.name: figure for figure in report.figures}


@pytest.fixture
def changed(evidence: Evidence) -> Callable[..., Evidence]:
    """The same evidence with some tables replaced; None removes one."""

    def change(**tables: pl.DataFrame | None) -> Evidence:
        merged = {**evidence.tables, **tables}
        return replace(evidence, tables={k: v for k, v in merged.items() if v is not None})

    return change
