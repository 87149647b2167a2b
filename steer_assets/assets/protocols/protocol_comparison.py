"""Stage: which published conclusions survive without the switches, and which switch decides."""

from collections.abc import Iterator

import polars as pl

from steer_assets.assets.evidence.scorer_validation import read_validation
from steer_assets.assets.protocols._findings import NOT_MEASURED, Found, finding_row, region
from steer_assets.assets.protocols._numbers import OF_TEXTS, Question, measure
from steer_assets.assets.protocols._protocol_scores import (
    NoEffectError,
    NotMeasuredError,
    ProtocolScores,
)
from steer_assets.catalog.protocols import Protocol, Switch
from steer_assets.catalog.scorer_entries import NO_SCORER
from steer_assets.pipeline.design import protocol_sites
from steer_assets.pipeline.design.protocol_settings import TOUCHED, settings
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.stats.validation import Estimate
from steer_assets.stats.verdicts.conclusions import reading
from steer_assets.storage.schema import frame_of

Row = dict[str, object]


def _tested(on: frozenset[Switch]) -> bool:
    """Whether a number is judged by its interval; published numbers have none."""
    return "unsigned_mean_d" not in on


def _found(row: Row, of_any: float | None = None) -> Found:
    number = f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    if of_any is not None:
        why = "in any isotropic model, whose control is that much further away"
        if row["quantity"] != "distance_reduction":
            why = "of any model with as few samples"
        number += f", {of_any:.2f} {why}"
    value = float(str(row["value"]))
    return Found(str(row["setting"]), str(row["switch"]), str(row["finding"]), number, value)


def _of_texts(
    run: StageRun, data: ProtocolScores, asked: tuple[str, str], layer: int, auroc_low: float
) -> Iterator[tuple[Found, Row | None]]:
    """Every setting of one text-based conclusion, with its row if the number exists."""
    trusted = auroc_low >= run.study.scoring.auroc_floor
    for setting in settings(data.protocol, *asked, run.trait):
        try:
            number = measure(asked, Question(data, setting, layer, asked[0]))
        except NoEffectError:
            yield Found(setting.name, setting.switch, "untestable", "", 0.0), None
            continue
        except NotMeasuredError as error:
            run.log.info(f"{asked[0]} ({asked[1]}) at block {layer}, {setting}: {error}")
            yield Found(setting.name, setting.switch, NOT_MEASURED, "", 0.0), None
            continue
        tested = _tested(setting.on)
        finding = reading(
            number.estimate,
            region(asked, run.study),
            tested=tested,
            believable=number.v_acts and (trusted or not tested),
            # Without a baseline, a share is defined even if v has no effect.
            of_any=number.by_itself if "no_baseline" in setting.on else None,
        )
        row: Row = {
            "conclusion": asked[0],
            "quantity": asked[1],
            "setting": setting.name,
            "switch": setting.switch,
            "value": number.estimate.value,
            "low": number.estimate.low,
            "high": number.estimate.high,
            "by_itself": number.by_itself,
            "n_prompts": number.n_prompts,
            "finding": finding,
        }
        yield _found(row), row


def _of_measures(
    run: StageRun, measures: pl.DataFrame, protocol: Protocol, asked: tuple[str, str]
) -> Iterator[tuple[Found, Row | None]]:
    """Every setting of one conclusion that needs no texts, with its row if the number exists."""
    on = {(s.name, s.switch): s.on for s in settings(protocol, *asked, run.trait)}
    wanted = (pl.col("conclusion") == asked[0]) & (pl.col("quantity") == asked[1])
    for measured in measures.filter(wanted).iter_rows(named=True):
        if reason := measured.pop("reason"):
            setting, switch = measured["setting"], measured["switch"]
            run.log.info(f"{asked[0]} ({asked[1]}), {setting} {switch}: {reason}")
            yield Found(setting, switch, NOT_MEASURED, "", 0.0), None
            continue
        number = Estimate(measured["value"], measured["low"], measured["high"])
        of_any = measured["by_itself"] or None
        finding = reading(
            number,
            region(asked, run.study),
            tested=_tested(on[measured["setting"], measured["switch"]]),
            of_any=of_any,
        )
        row = {**measured, "finding": finding}
        yield _found(row, of_any), row


def _with_prompts(run: StageRun) -> pl.DataFrame:
    """Texts with the score of the text and, if it exists, that of prompt and text together."""
    keys = ["generation_id", "scorer"]
    scored = run.rows("generations").join(
        run.rows("classifier_scores").select(*keys, "score"), on="generation_id"
    )
    prompted = run.rows("prompted_scores").select(*keys, pl.col("score").alias("prompted"))
    return scored.join(prompted, on=keys, how="left")


def _compare(run: StageRun) -> Iterator[tuple[Row, list[Row], Row]]:
    """(identity, rows of numbers, finding) of every protocol, block, scorer and conclusion."""
    layers = protocol_sites.layers(run.study, run.model_facts()["n_layers"])
    if not layers:
        return
    drop = ["model", "trait", "protocol", "layer", "run_id", "code_version"]
    measures, scored = run.rows("protocol_measures"), _with_prompts(run)
    auroc = dict(read_validation(run).select("scorer", "auroc_low").iter_rows())
    for protocol in run.study.switched_protocols:
        for layer in layers:
            here = (pl.col("protocol") == protocol.name) & (pl.col("layer") == layer)
            own = measures.filter(here).drop(drop)
            for asked in (a for a in TOUCHED if a not in OF_TEXTS):
                found = list(_of_measures(run, own, protocol, asked))
                identity: Row = {"protocol": protocol.name, "scorer": NO_SCORER, "layer": layer}
                rows = [row for _, row in found if row is not None]
                yield identity, rows, finding_row(asked, [f for f, _ in found])
            if scored.is_empty():
                for asked in OF_TEXTS:
                    identity = {"protocol": protocol.name, "scorer": NO_SCORER, "layer": layer}
                    yield identity, [], finding_row(asked, [])
            for (scorer,), of_scorer in scored.group_by("scorer", maintain_order=True):
                data = ProtocolScores(of_scorer, run.study, protocol, run.trait)
                for asked in OF_TEXTS:
                    measured = list(_of_texts(run, data, asked, layer, auroc.get(str(scorer), 0.0)))
                    identity = {"protocol": protocol.name, "scorer": scorer, "layer": layer}
                    kept = [row for _, row in measured if row is not None]
                    yield identity, kept, finding_row(asked, [f for f, _ in measured])


@stage(
    dimensions=("model", "trait"),
    group="protocols",
    kinds={"scipy", "duckdb"},
    code_version="6",
    needs=(
        "model_snapshot",
        "generations",
        "scorer_validation",
        "classifier_scores",
        "protocol_measures",
    ),
    settings=(
        "seed",
        "vectors",
        "behaviour.steered_alpha",
        "protocols",
        "protocol_texts",
        "scoring",
        "statistics",
    ),
)
def protocol_comparison(run: StageRun) -> Produced:
    """Each published conclusion as published, controlled, and with each switch off separately.

    Numbers have intervals. As published, the number itself decides; controlled, its interval does.
    `protocol_findings` states which conclusions survive and which switch decides.
    """
    numbers: list[Row] = []
    findings: list[Row] = []
    for identity, rows, finding in _compare(run):
        numbers += [{**identity, **row} for row in rows]
        findings.append({**identity, **finding})
    return Produced(
        rows=[
            Rows("protocol_findings", frame_of("protocol_findings", findings)),
            Rows("protocol_comparison", frame_of("protocol_comparison", numbers)),
        ],
        metadata={
            f"{row['conclusion']} ({row['quantity']}, {row['scorer']}, block {row['layer']})": str(
                row["sentence"]
            )
            for row in findings
        },
    )
