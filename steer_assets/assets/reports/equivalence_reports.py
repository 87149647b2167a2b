"""Stage 12: tests, verdicts and the report page."""

import polars as pl

from steer_assets.assets.evidence.scorer_validation import read_validation
from steer_assets.assets.reports import _effect_details
from steer_assets.assets.reports._fluency_guard import broken_arms, guarded
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.pipeline.design import thinking
from steer_assets.pipeline.design.multi_layer import with_multi_layer
from steer_assets.pipeline.design.two_traits import with_two_traits
from steer_assets.pipeline.report_evidence import INPUTS, read_tables
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.schema import conform


def _fisher_row(run: StageRun, spaces: pl.DataFrame, layer: int) -> dict[str, object]:
    return spaces.filter(
        (pl.col("kind") == "fisher")
        & (pl.col("layer") == layer)
        & (pl.col("at") == "unsteered")
        & (pl.col("estimator") == run.study.spectra.estimator["fisher"])
    ).row(0, named=True)


def tests_and_rows(
    run: StageRun, spaces: pl.DataFrame, report_path: str
) -> dict[str, pl.DataFrame]:
    """Frames by table: tests with verdicts, one row per block, and the details behind them."""
    from steer_assets.assets.reports._arm_tests import compare_arms
    from steer_assets.assets.reports._evidence_rows import (
        families_guarded,
        report_row,
        unscored_row,
    )
    from steer_assets.assets.reports._verdict_rows import with_verdicts
    from steer_assets.pipeline.design.paired_scores import planned

    steer = run.steer_layers()
    vectors = with_multi_layer(run.rows("steering_vectors"), run.study, steer)
    vectors = with_two_traits(vectors, run.study, run.trait, steer)
    trust = dict(read_validation(run).select("scorer", "auroc_low").iter_rows())
    texts = run.rows("generations").filter(pl.col("protocol") == CONTROLLED)
    broken = broken_arms(run.rows("fluency").join(texts, on="generation_id"), run.study.fluency)
    scored = texts.join(
        run.rows("classifier_scores").select("generation_id", "scorer", "score"),
        on="generation_id",
        validate="1:m",
    )
    all_tests, all_families, reports = [], [], []
    behind: dict[str, list[dict[str, object]]] = {table: [] for table in _effect_details.TABLES}
    for (protocol, scorer), rows in scored.group_by("protocol", "scorer", maintain_order=True):
        identity = {"protocol": str(protocol), "scorer": str(scorer)}
        columns = [pl.lit(value).alias(name) for name, value in identity.items()]
        compared = compare_arms(rows, vectors, run.study, run.model, run.trait, *identity.values())
        # A scorer without validation is untestable.
        judged = with_verdicts(compared, trust.get(str(scorer), 0.0), run.study)
        tests = guarded(judged.tests.with_columns(columns), broken)
        families = families_guarded(judged.families.with_columns(columns), tests)
        all_tests.append(tests)
        all_families.append(families)
        found = _effect_details.details(planned(rows, run.study), vectors, run.study, identity)
        for table, more in found.items():
            behind[table] += more
        for layer in run.steer_layers():
            fisher = _fisher_row(run, spaces, layer)
            row = report_row(tests, families, fisher, layer, run.study)
            reports.append({**identity, **row, "report_path": report_path})
    if scored.is_empty():
        why = thinking.unread(thinking.with_read(run, texts))
        reports = [
            unscored_row(_fisher_row(run, spaces, layer), layer, run.trait, why)
            | {"report_path": report_path}
            for layer in run.steer_layers()
        ]
    # Empty tables are written even if there are no scores.
    tests, families = (
        pl.concat([_effect_details.frame_of(name, []), *found], how="diagonal")
        for name, found in (("equivalence_tests", all_tests), ("family_tests", all_families))
    )
    behind["spanning"] = _effect_details.spanning(families)
    behind["scorer_agreement"] = _effect_details.scorer_agreement(
        planned(scored, run.study), run.study
    )
    return {
        "equivalence_reports": _effect_details.unfiltered("equivalence_reports", reports),
        "equivalence_tests": tests,
        "family_tests": families,
        **{table: _effect_details.frame_of(table, rows) for table, rows in behind.items()},
    }


def _page(run: StageRun, tables: dict[str, pl.DataFrame]) -> tuple[str, dict[str, str]]:
    """Write the page and its figures; return the path of the page and content hashes by path."""
    from steer_assets.pipeline.report_evidence import assemble
    from steer_assets.reporting.figures.figure import write_figures
    from steer_assets.reporting.pages.report import render_report

    report = render_report(assemble(run.layout, run.key, run.study, tables))
    path = run.layout.pair_file("reports", run.model, run.trait, ".html")
    write_text(path, report.html)
    write_figures(report.figures, path.with_suffix("") / "figures", pdf=False)
    return run.layout.relative(path), {run.layout.relative(path): hash_json(report.html)}


@stage(
    dimensions=("model", "trait"),
    group="reports",
    kinds={"scipy", "html", "duckdb"},
    code_version="12",
    needs=(
        "model_snapshot",
        "prompt_sets",
        "activation_caches",
        "steering_calibration",
        "covariance_matrices",
        "svd_spectra",
        "behavioral_spectra",
        "vector_families",
        "logit_distances",
        "generations",
        "scorer_validation",
        "classifier_scores",
        "fluency",
        "text_divergences",
        "text_fisher",
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
        "fluency",
        "statistics",
    ),
)
def equivalence_reports(run: StageRun) -> Produced:
    """Paired equivalence and difference tests, verdicts, and one self-contained HTML page.

    Units are prompts. Two one-sided tests use margins in standard deviations of the unsteered texts
    and in shares of v's own efficacy, with one gatekeeping order of hypotheses. A family of seeds
    is equivalent where every seed is, different where any seed is. Verdicts are equivalent,
    different, inconclusive or untestable; a difference that is not significant does not count as
    equivalence.
    """
    tables = read_tables(run.layout, run.key, INPUTS)
    path = run.layout.relative(run.layout.pair_file("reports", run.model, run.trait, ".html"))
    made = tests_and_rows(run, tables["null_spaces"], path)
    tests, reports = made["equivalence_tests"], made["equivalence_reports"]
    shared = {**run.key, "run_id": "", "code_version": equivalence_reports.code_version}
    complete = [pl.lit(value).alias(name) for name, value in shared.items()]
    for name, frame in made.items():
        tables[name] = conform(frame.with_columns(complete), name)
    path, files = _page(run, tables)
    told = tests.filter(pl.col("verdict") != "descriptive")
    counted = dict(told.group_by("verdict").len().sort("verdict").iter_rows())
    return Produced(
        rows=[Rows(name, frame) for name, frame in made.items()],
        files=files,
        metadata={
            **{f"block {r['layer']}": f"{r['verdict']}: {r['reason']}" for r in reports.to_dicts()},
            **{f"tests {name}": n for name, n in counted.items()},
        },
        attachments=[run.layout.root / path],
    )
