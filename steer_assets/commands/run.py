"""`steer run`, `steer status`, `steer report`."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.commands import terminal
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
from steer_assets.storage.warehouse import SyncResult

Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]
_QUESTION = "SELECT * FROM v_model_trait_summary"


def _verdicts(layout: Layout, models: list[str], traits: list[str]) -> pl.DataFrame:
    from steer_assets.storage.parquet import read_part

    rows = read_part(layout.part("identifiability_summary", {}))
    shown = rows.filter(pl.col("model").is_in(models) & pl.col("trait").is_in(traits))
    return shown.select(
        "model",
        "trait",
        "layer",
        "verdict",
        pl.format(
            "{} [{}, {}]",
            *(pl.col(name).round(2) for name in ("efficacy", "efficacy_low", "efficacy_high")),
        ).alias("efficacy of v, SD"),
        *(
            pl.format(
                "{} ({})",
                pl.col(f"null_fraction_{kind}").round(2),
                pl.col(f"sampling_floor_{kind}").round(2),
            ).alias(f"{kind} null fraction (floor)")
            for kind in ("covariance", "fisher")
        ),
    )


def run(
    model: Annotated[list[str], typer.Option(help="Model key; may be given again.")],
    trait: Annotated[list[str], typer.Option(help="Trait key; may be given again.")],
    study: Annotated[str, typer.Option(help="Study: every scientific setting.")] = "",
    force: Annotated[bool, typer.Option(help="Compute again what is up to date.")] = False,
    json: Json = False,
) -> None:
    """Materialise all evidence for models x traits; what is up to date is not computed again."""
    from steer_assets.resources.active_study import default_study

    chosen = catalog.study(study or default_study())
    for name in model:
        catalog.model_entry(name)
    for name in trait:
        catalog.trait(name)
    layout = Layout(data_folder())
    from steer_assets.automation.runner import materialise

    with terminal.progress():
        outcome = materialise(layout, model, trait, chosen, force=force)
    terminal.say(f"{len(outcome.made)} artifacts made, {len(outcome.fresh)} up to date")
    if outcome.synced is not None:
        _warn(outcome.synced)
    title = "Does v + v_perp behave like v?"
    terminal.show(_verdicts(layout, model, trait), as_json=json, title=title)
    if not json:
        _where(layout, model, trait)


def _warn(synced: SyncResult) -> None:
    """Say what did not reach the database."""
    if synced.deferred:
        terminal.say(f"not loaded into DuckDB yet: {synced.deferred}; run `steer db sync`")
    for problem in synced.damaged:
        terminal.say(f"not loaded into DuckDB: {problem}")


def _where(layout: Layout, models: list[str], traits: list[str]) -> None:
    for model in models:
        for trait in traits:
            terminal.say(f"report    {_report_path(layout, model, trait)}")
    terminal.say(f"index     {layout.root / 'reports' / 'index.html'}")
    terminal.say(f"database  {layout.database}")
    terminal.say(f'ask       steer sql "{_QUESTION}"')
    terminal.say("look      make ui, then http://127.0.0.1:3000   (runs: make mlflow)")


def _report_path(layout: Layout, model: str, trait: str) -> Path:
    return layout.pair_file("reports", model, trait, ".html")


def report(
    model: Annotated[str, typer.Option(help="Model key.")],
    trait: Annotated[str, typer.Option(help="Trait key.")],
    json: Json = False,
) -> None:
    """Verdicts of one model and trait, and where its report is."""
    catalog.model_entry(model)
    catalog.trait(trait)
    layout = Layout(data_folder())
    path = _report_path(layout, model, trait)
    if not path.exists():
        raise CatalogError(
            f"there is no report for {model} and {trait} yet; "
            f"`steer run --model {model} --trait {trait}` makes it"
        )
    terminal.show(_verdicts(layout, [model], [trait]), as_json=json)
    terminal.say(f"report    {path}")


def status(json: Json = False) -> None:
    """What exists for each model and trait, and what is out of date and why."""
    from steer_assets.assets import plan
    from steer_assets.assets.stage import STAGES
    from steer_assets.resources.active_study import default_study
    from steer_assets.storage.layout import partition_name

    layout = Layout(data_folder())
    fallback = catalog.study(default_study())
    rows = []
    for stage in STAGES.values():
        for key in plan.materialised(layout, stage):
            state = plan.check_own_study(layout, stage, key, fallback)
            rows.append(
                {
                    "stage": stage.name,
                    "partition": partition_name(key),
                    "state": "fresh" if state.fresh else "stale",
                    "why": "; ".join(state.reasons),
                }
            )
    if not rows:
        terminal.say("nothing is materialised yet; `steer run --help` tells how")
        return
    terminal.show(terminal.frame_of(rows), as_json=json)
