"""Published numbers of verdicts and summaries derived again from published scores.

No language model is run: texts, scores, fluency, vectors, null spaces and the measures of protocols
are read as published. All tables that the stages of reports, of the summary and of the comparison
of protocols make are computed from them by the same code.
"""

import logging
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from steer_assets import assets
from steer_assets.automation.publish import CHECKSUMS
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import working_point
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources.language_models import LanguageModels
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.schema import columns, conform, nullable
from steer_assets.storage.shards import Shards

#: Tables that these stages read, by the columns that name their parts.
_READ = {
    "models": ("model",),
    "scorer_validation": ("trait",),
    "judge_validation": ("model", "trait"),
    "steering_calibration": ("model", "trait"),
    "steering_vectors": ("model", "trait"),
    "generations": ("model", "trait"),
    "thinking_sections": ("model", "trait"),
    "classifier_scores": ("model", "trait"),
    "prompted_scores": ("model", "trait"),
    "protocol_measures": ("model", "trait"),
    "fluency": ("model", "trait"),
    "null_spaces": ("model", "trait", "kind"),
    "equivalence_reports": ("model", "trait"),
}
_REPORTS, _SUMMARY = "equivalence_reports", "identifiability_summary"
_PROTOCOLS = "protocol_comparison"
_PAIR = ("model", "trait")
#: Relative difference that other processors and libraries may cause.
_TOLERANCE = 1e-6
_PROSE = ("reason", "sentence")
_PROVENANCE = ("run_id", "code_version", "report_path")


class DriftError(RuntimeError):
    """A published number or file is not the one that is derived."""


@dataclass(frozen=True, slots=True)
class Reproduced:
    """How many numbers were derived again, and sentences on those that differ, in order."""

    n_numbers: int
    n_tables: int
    drift: list[str]


def reproduce(bundle: Path) -> Reproduced:
    """Derive all published numbers again and compare them; also compare checksums.

    Raises:
        FileNotFoundError: the folder is not a bundle, or a table is missing.
    """
    if not (bundle / CHECKSUMS).is_file():
        raise FileNotFoundError(f"{bundle} is no bundle: it has no {CHECKSUMS}")
    published = {
        path.stem: read_part(path) for path in sorted((bundle / "tables").glob("*.parquet"))
    }
    drift: list[str] = []
    n_numbers = 0
    with tempfile.TemporaryDirectory() as work:
        layout = Layout(Path(work))
        _lay_out(layout, published)
        made = _derived(layout, published, bundle)
    for table, frame in made.items():
        differing, n = _compared(table, published.get(table), frame)
        drift += differing
        n_numbers += n
    return Reproduced(n_numbers, len(made), [*drift, *_altered(bundle)])


def _lay_out(layout: Layout, published: dict[str, pl.DataFrame]) -> None:
    """Published tables as parts of a data folder; a pair without rows has an empty part."""
    pairs = published[_REPORTS].select(_PAIR).unique().sort(_PAIR)
    for table, names in _READ.items():
        rows = published.get(table, pl.DataFrame(schema=columns(table)))
        if names == _PAIR:
            for key in pairs.iter_rows(named=True):
                write_part(layout.part(table, key), rows.filter(**key), nullable(table))
            continue
        for values, own in rows.group_by(names, maintain_order=True):
            key = dict(zip(names, map(str, values), strict=True))
            write_part(layout.part(table, key), own, nullable(table))


def _studies(bundle: Path) -> dict[str, Study]:
    paths = sorted((bundle / "studies").glob("*.yaml"))
    return {path.stem: Study.model_validate(yaml.safe_load(path.read_text())) for path in paths}


def _derived(
    layout: Layout, published: dict[str, pl.DataFrame], bundle: Path
) -> dict[str, pl.DataFrame]:
    """Tables of the stages of reports, summary and protocols, computed again."""
    from steer_assets.assets.reports.equivalence_reports import tests_and_rows
    from steer_assets.assets.reports.identifiability_summary import pair_rows

    studies, study_of = _studies(bundle), _study_of(published)
    made: dict[str, list[pl.DataFrame]] = {}
    for model, trait in published[_REPORTS].select(_PAIR).unique().sort(_PAIR).rows():
        key = {"model": model, "trait": trait}
        run = _run(_REPORTS, layout, key, studies[study_of[_REPORTS, model, trait]])
        spaces = published["null_spaces"].filter(**key)
        frames = tests_and_rows(run, spaces, "")
        if study := study_of.get((_PROTOCOLS, model, trait)):
            frames |= _of_protocols(_run(_PROTOCOLS, layout, key, studies[study]))
        for table, frame in frames.items():
            named = frame.with_columns(pl.lit(value).alias(name) for name, value in key.items())
            made.setdefault(table, []).append(_completed(named, table))
        own = made[_REPORTS][-1]
        write_part(layout.part(_REPORTS, key), own, nullable(_REPORTS))
        summary_study = studies[study_of.get((_SUMMARY, "", ""), run.study.study)]
        summed = pair_rows(_run(_SUMMARY, layout, {}, summary_study), key)
        made.setdefault(_SUMMARY, []).append(_completed(summed, _SUMMARY))
    return {table: pl.concat(frames) for table, frames in made.items()}


def _of_protocols(run: StageRun) -> dict[str, pl.DataFrame]:
    produced = assets.STAGES[_PROTOCOLS].make(run)
    return {rows.table: rows.frame for rows in produced.rows}


def _study_of(published: dict[str, pl.DataFrame]) -> dict[tuple[str, str, str], str]:
    """The study of every artifact by stage, model and trait; the summary's names are empty."""
    made = pl.col("asset_key").is_in([_REPORTS, _SUMMARY, _PROTOCOLS])
    rows = published["artifact_lineage"].filter(made).sort("created_at")
    return {
        (stage, model, trait): study
        for stage, model, trait, study in rows.select("asset_key", *_PAIR, "study").iter_rows()
    }


def _run(stage: str, layout: Layout, key: PartitionKey, study: Study) -> StageRun:
    log = logging.getLogger(__name__)
    shards = Shards(layout, stage, key, "")
    return working_point.settled(StageRun(stage, key, study, layout, LanguageModels(), shards, log))


def _completed(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """All columns of the table; those on the origin of rows are not compared."""
    absent = [name for name in columns(table) if name not in frame.columns]
    filled = frame.with_columns(pl.lit("").alias(name) for name in absent)
    return conform(filled.select(list(columns(table))), table)


def _compared(
    table: str, published: pl.DataFrame | None, derived: pl.DataFrame
) -> tuple[list[str], int]:
    """Sentences on numbers that differ, and how many numbers and words were compared."""
    if published is None or published.height != derived.height:
        n = 0 if published is None else published.height
        return [f"{table} has {n} published rows, and {derived.height} are derived"], 0
    values = [name for name in columns(table) if name not in _PROVENANCE]
    names = [name for name in values if columns(table)[name] == pl.String and name not in _PROSE]
    before = published.select(values).sort(_PAIR, maintain_order=True)
    after = derived.select(values).sort(_PAIR, maintain_order=True)
    differing = [
        f"{table}, {', '.join(str(was[n]) for n in [*names, *_places(was)])}: {name} is published "
        f"as {was[name]} and derived as {now[name]}"
        for was, now in zip(before.iter_rows(named=True), after.iter_rows(named=True), strict=True)
        for name in values
        if not _same(was[name], now[name])
    ]
    return differing, published.height * len(values)


def _places(row: dict[str, Any]) -> list[str]:
    return [name for name in ("layer", "alpha") if name in row]


def _same(published: Any, derived: Any) -> bool:
    if isinstance(published, float) and isinstance(derived, float):
        return math.isclose(published, derived, rel_tol=_TOLERANCE, abs_tol=1e-12)
    return bool(published == derived)


def _altered(bundle: Path) -> Iterator[str]:
    """Files that differ from their checksums."""
    for line in (bundle / CHECKSUMS).read_text().splitlines():
        expected, _, name = line.partition("  ")
        path = bundle / name
        if not path.is_file():
            yield f"{name} is missing"
        elif hash_file(path) != expected:
            yield f"{name} differs from its checksum"
