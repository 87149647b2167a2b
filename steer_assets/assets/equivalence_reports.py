"""Stage 12: tests, verdicts and the page that people read."""

import importlib.metadata

import polars as pl

from steer_assets import __version__
from steer_assets.assets.plan import materialised_inputs
from steer_assets.assets.stage import STAGES, Produced, Rows, StageRun, stage
from steer_assets.catalog import catalog
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.storage.atomic import write_text
from steer_assets.storage.hashing import hash_json
from steer_assets.storage.schema import conform

_PACKAGES = ("torch", "transformers", "numpy", "scipy", "dagster", "duckdb")
#: Tables that the page shows besides those made here.
_SHOWN = (
    "models",
    "prompt_sets",
    "activation_caches",
    "covariance_matrices",
    "svd_spectra",
    "behavioral_spectra",
    "steering_vectors",
    "logit_distances",
    "dose_response",
    "generations",
    "scorer_validation",
    "classifier_scores",
    "protocol_comparison",
    "protocol_findings",
)


def _null_spaces(run: StageRun) -> pl.DataFrame:
    kinds = ("covariance", "jacobian", "fisher")
    return pl.concat([run.rows("null_spaces", kind=kind) for kind in kinds])


def _fisher_row(run: StageRun, spaces: pl.DataFrame, layer: int) -> dict[str, object]:
    return spaces.filter(
        (pl.col("kind") == "fisher")
        & (pl.col("layer") == layer)
        & (pl.col("at") == "unsteered")
        & (pl.col("estimator") == run.study.spectra.estimator["fisher"])
    ).row(0, named=True)


def _tests_and_rows(
    run: StageRun, spaces: pl.DataFrame, report_path: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    from steer_assets.assets.comparisons import compare_arms, with_verdicts
    from steer_assets.assets.evidence_rows import report_row

    vectors = run.rows("steering_vectors")
    validation = run.rows("scorer_validation")
    texts = run.rows("generations").filter(pl.col("protocol") == CONTROLLED)
    scored = texts.join(
        run.rows("classifier_scores").select("generation_id", "scorer", "score"),
        on="generation_id",
        validate="1:m",
    )
    all_tests, reports = [], []
    for (protocol, scorer), rows in scored.group_by("protocol", "scorer", maintain_order=True):
        auroc_low = validation.filter(pl.col("scorer") == scorer).item(0, "auroc_low")
        identity = {"protocol": str(protocol), "scorer": str(scorer)}
        columns = [pl.lit(value).alias(name) for name, value in identity.items()]
        compared = compare_arms(rows, vectors, run.study, run.model, run.trait, *identity.values())
        tests = with_verdicts(compared.with_columns(columns), auroc_low, run.study)
        all_tests.append(tests)
        for layer in run.steer_layers():
            fisher = _fisher_row(run, spaces, layer)
            row = report_row(rows, tests, fisher, layer, run.study)
            reports.append({**identity, **row, "report_path": report_path})
    return pl.concat(all_tests), pl.DataFrame(reports)


def _provenance(run: StageRun) -> pl.DataFrame:
    """Every artifact that the page rests on, with its version and what it was made from."""
    rows = [
        {
            "artifact": f"{record.asset_key} {record.partition}",
            "data_version": record.data_version,
            "code_version": record.code_version,
            "inputs": ", ".join(
                f"{i.asset_key} {i.partition} {i.data_version[:12]}" for i in sorted(record.inputs)
            ),
        }
        for record in materialised_inputs(run.layout, STAGES["equivalence_reports"], run.key)
    ]
    return pl.DataFrame(rows)


def _page(run: StageRun, tables: dict[str, pl.DataFrame]) -> tuple[str, dict[str, str]]:
    """Write the page and its figures; return the path of the page and content hashes by path."""
    from steer_assets.reporting.evidence import Evidence
    from steer_assets.reporting.figures import write_figures
    from steer_assets.reporting.report import render_report

    trait = catalog.trait(run.trait)
    report = render_report(
        Evidence(
            model=run.model,
            trait=run.trait,
            study=run.study.model_dump(mode="json"),
            tables=tables,
            trait_title=trait.title,
            poles=(trait.poles.positive, trait.poles.negative),
            model_title=catalog.model_entry(run.model).title,
            provenance=_provenance(run),
            command=(
                f"steer run --model {run.model} --trait {run.trait} --study {run.study.study}"
            ),
            versions={"steer-assets": __version__}
            | {name: importlib.metadata.version(name) for name in _PACKAGES},
        )
    )
    path = run.layout.pair_file("reports", run.model, run.trait, ".html")
    write_text(path, report.html)
    write_figures(report.figures, path.with_suffix("") / "figures")
    return run.layout.relative(path), {run.layout.relative(path): hash_json(report.html)}


@stage(
    dimensions=("model", "trait"),
    group="reports",
    kinds={"scipy", "html", "duckdb"},
    code_version="2",
    needs=(
        "model_snapshot",
        "prompt_sets",
        "activation_caches",
        "covariance_matrices",
        "svd_spectra",
        "behavioral_spectra",
        "vector_families",
        "logit_distances",
        "generations",
        "scorer_validation",
        "classifier_scores",
        "protocol_comparison",
    ),
    settings=(
        "study",
        "seed",
        "layers",
        "spectra.estimator",
        "behaviour",
        "generation",
        "scoring",
        "statistics",
    ),
)
def equivalence_reports(run: StageRun) -> Produced:
    """Paired equivalence and difference tests, verdicts, and one self-contained HTML page.

    Units are prompts; two one-sided tests with margins in standard deviations and in shares of v's
    own efficacy; Holm within a report. Verdicts are equivalent, different, inconclusive or
    untestable; failing to find a difference is never called equivalence.
    """
    spaces = _null_spaces(run)
    path = run.layout.relative(run.layout.pair_file("reports", run.model, run.trait, ".html"))
    tests, reports = _tests_and_rows(run, spaces, path)
    shared = {**run.key, "run_id": "", "code_version": equivalence_reports.code_version}
    complete = [pl.lit(value).alias(name) for name, value in shared.items()]
    tables = {name: run.rows(name) for name in _SHOWN}
    tables["null_spaces"] = spaces
    for name, frame in (("equivalence_tests", tests), ("equivalence_reports", reports)):
        tables[name] = conform(frame.with_columns(complete), name)
    path, files = _page(run, tables)
    counted = dict(tests.group_by("verdict").len().sort("verdict").iter_rows())
    return Produced(
        rows=[Rows("equivalence_reports", reports), Rows("equivalence_tests", tests)],
        files=files,
        metadata={
            **{f"block {r['layer']}": f"{r['verdict']}: {r['reason']}" for r in reports.to_dicts()},
            **{f"tests {name}": n for name, n in counted.items()},
        },
        metrics={f"efficacy_{r['layer']}": r["efficacy"] for r in reports.to_dicts()},
        attachments=[run.layout.root / path],
    )
