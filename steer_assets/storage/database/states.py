"""States of the verdicts that can be compared: of a warehouse now, at a date, or under a study.

A warehouse keeps the results of the newest run of each model and trait. Earlier verdicts are those
of the table `verdict_history`; earlier inputs are in `artifact_lineage`, whose rows are never
deleted; earlier effects and texts are in the files of `report_history`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from steer_assets.storage import report_history
from steer_assets.storage.database.warehouse import answer, connect
from steer_assets.storage.layout import Layout

PAIR = ("model", "trait")
_KEY = "model, trait, protocol, scorer, layer"
_COLUMNS = (
    f"{_KEY}, verdict, efficacy, efficacy_low, efficacy_high, study, report_version, recorded_at"
)
_NOW = f"""
WITH made AS (
    SELECT DISTINCT model, trait, study, data_version AS report_version, created_at AS recorded_at
    FROM current_lineage WHERE asset_key = 'equivalence_reports'
)
SELECT {_COLUMNS} FROM identifiability_summary JOIN made USING (model, trait) ORDER BY {_KEY}
"""  # noqa: S608 - constants
#: The newest states of each model and trait under a condition on their rows.
_THEN = f"""
SELECT {_COLUMNS} FROM verdict_history WHERE CONDITION
QUALIFY recorded_at = max(recorded_at) OVER (PARTITION BY model, trait) ORDER BY {_KEY}
"""  # noqa: S608 - constants
#: Inputs of all artifacts behind reports, as they were when each report was made.
_INPUTS = """
WITH asked AS (SELECT DISTINCT model, trait, recorded_at FROM reports),
near AS (
    SELECT a.model, a.trait, l.asset_key, l.partition, l.data_version, l.created_at,
           l.input_asset_key, l.input_partition, l.input_data_version
    FROM asked AS a JOIN artifact_lineage AS l
      ON l.partition IN (a.model || '|' || a.trait, a.model, a.trait)
     AND l.created_at <= a.recorded_at
)
SELECT DISTINCT * EXCLUDE (created_at) FROM (
    FROM near QUALIFY created_at = max(created_at)
    OVER (PARTITION BY model, trait, asset_key, partition)
)
"""
_EFFECTS = """
SELECT e.model, e.trait, e.protocol, e.scorer, e.comparison, e.vector_id, e.reference_id, e.layer,
       e.alpha, e.cohens_d
FROM equivalence_tests AS e SEMI JOIN asked USING (model, trait)
WHERE e.environment = 'pooled' AND e.margin_kind = 'sd'
"""
_TEXTS = f"""
SELECT g.model, g.trait, g.generation_id, left(sha256(g.text), {report_history.DIGITS}) AS text
FROM generations AS g SEMI JOIN asked USING (model, trait)
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class State:
    """Verdicts as they were, and the database that has their lineage.

    verdicts: rows of `verdict_history` without `seen_at`. current: whether effects and texts of
    this state are in the database; otherwise they are in the files beside it.
    """

    name: str
    database: Path
    verdicts: pl.DataFrame
    current: bool

    def inputs(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Rows of lineage of all artifacts behind the reports of `pairs` [model, trait]."""
        reports = self.verdicts.join(pairs, on=PAIR, how="semi")
        return self._ask(_INPUTS, reports=reports)

    def effects(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Pooled effects in standard deviations, by comparison; none of a report not kept."""
        if self.current:
            return self._ask(_EFFECTS, asked=pairs)
        return report_history.effects(Layout(self.database.parent), self._reports(pairs))

    def texts(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """A digest of every generated text, by its id; none of a report not kept."""
        if self.current:
            return self._ask(_TEXTS, asked=pairs)
        return report_history.texts(Layout(self.database.parent), self._reports(pairs))

    def _reports(self, pairs: pl.DataFrame) -> list[report_history.Report]:
        own = self.verdicts.join(pairs, on=PAIR, how="semi")
        return own.select(*PAIR, "report_version").unique().sort(PAIR).rows()

    def _ask(self, sql: str, **frames: pl.DataFrame) -> pl.DataFrame:
        with connect(self.database, read_only=True) as connection:
            for name, frame in frames.items():
                connection.register(name, frame.to_arrow())
            return answer(connection, sql)


def now(database: Path, name: str = "") -> State:
    """The newest verdicts of a warehouse.

    Raises:
        FileNotFoundError, WarehouseBusyError, WarehouseDamagedError: see `warehouse.connect`.
    """
    with connect(database, read_only=True) as connection:
        return State(name or str(database), database, answer(connection, _NOW), True)


def at(database: Path, when: datetime) -> State:
    """The verdicts that stood at a time, UTC."""
    return _then(database, f"{when:%Y-%m-%d %H:%M}", "recorded_at <= ?", [when.isoformat()])


def under(database: Path, study: str) -> State:
    """The newest verdicts that were reached under a study."""
    return _then(database, f"study {study}", "study = ?", [study])


def studies(database: Path) -> list[str]:
    """Studies that the history has verdicts of."""
    with connect(database, read_only=True) as connection:
        found = answer(connection, "SELECT DISTINCT study FROM verdict_history ORDER BY study")
    return found["study"].to_list()


def _then(database: Path, name: str, condition: str, values: Sequence[str]) -> State:
    with connect(database, read_only=True) as connection:
        rows = answer(connection, _THEN.replace("CONDITION", condition), list(values))
    return State(name, database, rows, False)
