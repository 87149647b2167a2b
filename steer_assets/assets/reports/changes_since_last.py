"""Stage 14: what differs from the verdicts that stood before."""

from datetime import UTC, datetime

import polars as pl

from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.reporting.changes import KEY, Changes, compare, sentences
from steer_assets.storage import lineage, report_history
from steer_assets.storage.database import syncing
from steer_assets.storage.database.states import PAIR, State
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import DamagedFileError, read_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import SchemaError, columns, conform

_TABLE = "verdict_history"
_MOST_SENTENCES = 20


def _current(layout: Layout, seen_at: datetime) -> pl.DataFrame:
    """Rows of the history that the summary of today would add."""
    summary = read_part(layout.part("identifiability_summary", {}))
    rows = []
    for model, trait in summary.select(PAIR).unique().sort(PAIR).rows():
        key = {"model": model, "trait": trait}
        record = lineage.read_record(layout, "equivalence_reports", key)
        if record is not None:
            about = (record.study, record.data_version, record.created_at)
            rows.append((model, trait, *about))
    names = (*PAIR, "study", "report_version", "recorded_at")
    made = pl.DataFrame(rows, schema=list(names), orient="row")
    seen = summary.join(made, on=PAIR).with_columns(pl.lit(seen_at).alias("seen_at"))
    return conform(seen.select(list(columns(_TABLE))), _TABLE)


def _history(layout: Layout) -> pl.DataFrame:
    """The stored history; empty if there is none, or none that can be read."""
    path = layout.part(_TABLE, {})
    try:
        if path.exists():
            return conform(read_part(path), _TABLE)
    except (DamagedFileError, SchemaError, OSError):
        pass
    return pl.DataFrame(schema=columns(_TABLE))


def _extended(history: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """The history with reports that are new or differ from its newest rows; retired models go."""
    newest = _newest(history)
    known = newest.select(*PAIR, "report_version").unique()
    fresh = current.join(known, on=(*PAIR, "report_version"), how="anti")
    kept = history.join(current.select("model").unique(), on="model", how="semi")
    return pl.concat([kept, fresh]).sort("seen_at", *KEY, maintain_order=True)


def _newest(history: pl.DataFrame) -> pl.DataFrame:
    """Of every model and trait the rows that were seen last."""
    return history.filter(pl.col("seen_at") == pl.col("seen_at").max().over(PAIR))


def _last_changes(layout: Layout, history: pl.DataFrame) -> Changes:
    """The step of the history that came last: before it, and with it."""
    last = history["seen_at"].max()
    assert isinstance(last, datetime)
    before = _newest(history.filter(pl.col("seen_at") < last))
    syncing.catch_up(layout, wait_s=1.0)
    return compare(
        State("before", layout.database, before, False),
        State(f"{last:%Y-%m-%d %H:%M} UTC", layout.database, _newest(history), False),
    )


def _keep(run: StageRun, current: pl.DataFrame) -> None:
    """Keep effects and texts of all current reports that are not kept yet."""
    for report in current.select(*PAIR, "report_version").unique().sort(PAIR).rows():
        try:
            report_history.keep(run.layout, report)
        except (DamagedFileError, OSError) as error:
            run.log.warning(f"effects and texts of {report[0]}, {report[1]} are not kept: {error}")


@stage(
    dimensions=(),
    group="reports",
    kinds={"duckdb", "html"},
    code_version="2",
    needs=("identifiability_summary",),
)
def changes_since_last(run: StageRun) -> Produced:
    """Which verdicts and effects differ from those before, and why: input, code or study.

    Adds changed reports, their effects and their texts to a history, with which `steer diff`
    compares dates and studies. Never fails: where a comparison is not possible, the result and the
    page say so.
    """
    from steer_assets.reporting.pages.changes import render_changes, render_none

    seen_at = datetime.now(UTC).replace(tzinfo=None)
    history = _history(run.layout)
    said: list[str]
    try:
        current = _current(run.layout, seen_at)
        history = _extended(history, current)
        _keep(run, current)
        changes = _last_changes(run.layout, history)
        said = sentences(changes)
        page = render_changes(changes, home="index.html")
    except Exception as error:
        run.log.warning(f"the comparison failed: {error}")
        said = [f"no comparison was possible: {str(error) or type(error).__name__}"]
        page = render_none(said[0], home="index.html")
    path = run.layout.root / "reports" / "changes.html"
    write_text(path, page)
    shown = said[:_MOST_SENTENCES]
    return Produced(
        rows=[Rows(_TABLE, history.drop("run_id", "code_version"))],
        files={run.layout.relative(path): hash_json(page)},
        metadata={f"change {n}" if n else "in all": text for n, text in enumerate(shown)},
        metrics={"n_pairs": float(max(0, len(said) - 1))},
        attachments=[path],
    )
