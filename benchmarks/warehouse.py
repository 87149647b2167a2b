"""Measure the warehouse after years of use: writes ``warehouse.json`` and ``warehouse.md``.

    python -m benchmarks.warehouse --at FOLDER

FOLDER is filled first (some 5 GB, minutes; kept, so that the next run measures at once): 10,000,000
generations and 1,000,000 rows of lineage.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import synthetic
from benchmarks.measure import seconds
from steer_assets.paths import SQL
from steer_assets.pipeline import freshness
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout

HERE = Path(__file__).parent
TIMES = 9
BARS = {"trace": 0.1, "inputs": 0.1, "sync": 2.0}


def fill(layout: Layout, size: synthetic.Size) -> None:
    for done in synthetic.write(layout, size):
        if done % 20 == 0:
            print(f"{done} of {size.partitions} partitions are written", flush=True)
    if not layout.database.exists():
        synthetic.load(layout)
    result = syncing.sync(layout)
    assert not result.loaded, result.loaded[:3]
    assert not result.damaged
    assert not result.deferred


def rows(layout: Layout) -> dict[str, int]:
    names = ("generations", "artifact_lineage", "current_lineage")
    counts = {n: warehouse.query(layout, f"SELECT count(*) FROM {n}").item() for n in names}
    return {**counts, "parts": sum(1 for _ in layout.parts())}


def spread(taken: list[float]) -> dict[str, float]:
    return {"seconds": statistics.median(taken), "low": min(taken), "high": max(taken)}


def questions(layout: Layout, size: synthetic.Size) -> dict[str, Any]:
    """Questions of lineage, over a connection that is open, as an analyst's is."""
    name = "|".join(synthetic.pairs(size)[size.partitions // 2].values())
    trace = (SQL / "examples" / "trace_a_verdict.sql").read_text()
    newest = "max_by(partition, created_at)"
    assert newest in trace
    asked = {
        "trace": trace.replace(newest, f"any_value('{name}')"),
        "trace_newest": trace,
        "inputs": f"FROM v_lineage WHERE asset_key = 'generations' AND partition = '{name}'",
        "whole_view": "FROM v_lineage",
        "stale": "FROM v_stale_artifacts",
    }
    found = {}
    with duckdb.connect(str(layout.database), read_only=True) as connection:
        for what, sql in asked.items():
            answers = len(connection.sql(sql).pl())
            taken = [seconds(lambda sql=sql: connection.sql(sql).pl()) for _ in range(TIMES)]
            found[what] = {**spread(taken), "rows": answers}
            print(what, found[what], flush=True)
    opening = [seconds(lambda: warehouse.query(layout, asked["trace"])) for _ in range(TIMES)]
    found["trace_opening"] = {**spread(opening), "rows": found["trace"]["rows"]}
    return found


def syncs(layout: Layout, size: synthetic.Size) -> dict[str, Any]:
    """One partition of generations made anew, as a run leaves it; and nothing new at all."""
    texts, keys = synthetic.Texts(size, seed=2), synthetic.pairs(size)

    def one(n: int) -> float:
        key = keys[(7 * n + 3) % len(keys)]
        write_part(layout.part("generations", key), texts.frame(key, f"{n:032x}"))
        results: list[syncing.SyncResult] = []
        taken = seconds(lambda: results.append(syncing.sync(layout)))
        assert len(results[0].loaded) == 1, results
        return taken

    found = {"sync": {**spread([one(n) for n in range(5)]), "rows": size.generations}}
    taken = [seconds(lambda: syncing.sync(layout)) for _ in range(5)]
    found["sync_nothing"] = {**spread(taken), "rows": 0}
    return found


def commands(layout: Layout) -> dict[str, Any]:
    """What `steer db sync` does besides: compare every artifact with today's catalog."""
    frames: list[Any] = []
    taken = seconds(lambda: frames.append(freshness.expected_frame(layout)))
    assert not syncing.sync(layout, expected_inputs=frames[0]).deferred
    return {"expected_inputs": {**spread([taken]), "rows": len(frames[0])}}


WORDS = {
    "trace": "one verdict back to prompts, model, vectors, settings and code (a recursive walk)",
    "trace_newest": "the same from the newest verdict (`sql/examples/trace_a_verdict.sql`)",
    "trace_opening": "the first again, opening the database each time, as `steer sql` does",
    "inputs": "what one artifact was made from",
    "whole_view": "the whole of `v_lineage`, every row fetched",
    "stale": "the whole of `v_stale_artifacts`, every artifact being out of date",
    "sync": "sync of one partition of generations that was made anew",
    "sync_nothing": "sync where nothing is new",
    "expected_inputs": "`steer db sync` first compares every artifact with today's catalog",
}
INTRO = """# The warehouse after years of use

`python -m benchmarks.warehouse --at FOLDER` fills a folder with made-up results of the real graph
and measures on it; the folder is kept for the next time. Medians, with the lowest and highest.
"""


def page(results: dict[str, Any]) -> str:
    machine, counts = results["machine"], results["rows"]
    lines = [
        INTRO,
        f"{counts['generations']:,} generations, {counts['artifact_lineage']:,} rows of lineage "
        f"({counts['current_lineage']:,} of them current), {counts['parts']:,} Parquet parts, a "
        f"database of {results['database_gb']:.1f} GB; {machine['processor']}, {machine['cores']} "
        f"cores, load average {machine['load_average_at_start']:.1f}, DuckDB {machine['duckdb']}.",
        "",
        "| what | ms | lowest to highest | rows | bar |",
        "|---|---|---|---|---|",
    ]
    for name, words in WORDS.items():
        row = results[name]
        bar = f"< {1000 * BARS[name]:.0f}" if name in BARS else ""
        low, high = 1000 * row["low"], 1000 * row["high"]
        lines.append(
            f"| {words} | {1000 * row['seconds']:.0f} | {low:.0f} to {high:.0f} "
            f"| {row['rows']:,} | {bar} |"
        )
    return "\n".join(lines) + "\n"


def measured(layout: Layout, size: synthetic.Size) -> dict[str, Any]:
    from benchmarks.__main__ import _processor

    machine = {
        "processor": _processor(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "duckdb": duckdb.__version__,
        "load_average_at_start": os.getloadavg()[0],
    }
    steps: list[Callable[[], dict[str, Any]]] = [
        lambda: commands(layout),
        lambda: questions(layout, size),
        lambda: syncs(layout, size),
    ]
    results: dict[str, Any] = {"machine": machine, "rows": rows(layout)}
    results["database_gb"] = layout.database.stat().st_size / 1e9
    for step in steps:
        found = step()
        print(json.dumps(found, indent=2), flush=True)
        results |= found
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", type=Path, required=True, help="where the made-up results lie")
    parser.add_argument("--fill", action="store_true", help="fill the folder and stop")
    options = parser.parse_args()
    layout, size = Layout(options.at.resolve()), synthetic.Size()
    fill(layout, size)
    if options.fill:
        return
    results = measured(layout, size)
    (HERE / "warehouse.json").write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "warehouse.md").write_text(page(results))


if __name__ == "__main__":
    main()
