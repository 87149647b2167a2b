"""Stage 13: all verdicts of all partitions."""

import polars as pl

from steer_assets.pipeline import freshness
from steer_assets.pipeline.stage import STAGES, Produced, Rows, StageRun, stage
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import PartitionKey
from steer_assets.storage.schema import columns


def pair_rows(run: StageRun, key: PartitionKey) -> pl.DataFrame:
    """Verdicts of one partition, with both the covariance and the Fisher null space."""
    reports = read_part(run.layout.part("equivalence_reports", key))
    spaces = read_part(run.layout.part("null_spaces", {**key, "kind": "covariance"}))
    covariance = spaces.filter(
        (pl.col("environment") == "pooled")
        & (pl.col("estimator") == run.study.spectra.estimator["covariance"])
    ).select(
        "layer",
        pl.col("null_fraction").alias("null_fraction_covariance"),
        pl.col("sampling_floor").alias("sampling_floor_covariance"),
    )
    return reports.join(covariance, on="layer", how="left", maintain_order="left")


@stage(
    dimensions=(),
    group="reports",
    kinds={"duckdb", "html"},
    code_version="4",
    needs=("model_snapshot", "svd_spectra", "equivalence_reports"),
    settings=("spectra.estimator",),
)
def identifiability_summary(run: StageRun) -> Produced:
    """The verdict of every model, trait, protocol, scorer and layer that has been tested.

    An HTML index links the reports, and a page shows models, traits and layers as a matrix.
    """
    from steer_assets.reporting.pages.index import render_index
    from steer_assets.reporting.pages.models import render_models

    keys = list(freshness.materialised(run.layout, STAGES["equivalence_reports"]))
    frame = pl.concat([pair_rows(run, key) for key in keys])
    frame = frame.select(columns("identifiability_summary").keys()).drop("run_id", "code_version")
    index = run.layout.root / "reports" / "index.html"
    links = {(key["model"], key["trait"]): f"{key['model']}/{key['trait']}.html" for key in keys}
    stale = freshness.stale_frame(run.layout)
    page = render_index(_with_provenance(frame), stale, links)
    write_text(index, page)
    models = index.with_name("models.html")
    matrix = render_models(frame, _sizes(run, {key["model"] for key in keys}))
    write_text(models, matrix)
    verdicts = dict(frame.group_by("verdict").len().sort("verdict").iter_rows())
    return Produced(
        rows=[Rows("identifiability_summary", frame)],
        files={
            run.layout.relative(index): hash_json(page),
            run.layout.relative(models): hash_json(matrix),
        },
        metadata={"partitions": len(keys), **verdicts},
        metrics={"n_partitions": len(keys)},
        attachments=[index],
    )


def _sizes(run: StageRun, models: set[str]) -> dict[str, int]:
    """Numbers of parameters by model."""
    parts = [read_part(run.layout.part("models", {"model": model})) for model in sorted(models)]
    return dict(pl.concat(parts).select("model", "n_parameters").iter_rows()) if parts else {}


def _with_provenance(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit("").alias("run_id"), pl.lit("").alias("code_version"))
