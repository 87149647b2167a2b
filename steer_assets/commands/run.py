"""`steer run`."""

from typing import Annotated

import typer

from steer_assets.catalog import catalog
from steer_assets.commands import terminal
from steer_assets.commands.options import Json, SomeModels, SomeTraits
from steer_assets.commands.verdicts import in_words, report_path, verdicts
from steer_assets.paths import data_folder
from steer_assets.storage.database.syncing import SyncResult
from steer_assets.storage.layout import Layout

_QUESTION = "SELECT * FROM v_model_trait_summary"


def run(
    model: SomeModels,
    trait: SomeTraits,
    study: Annotated[str, typer.Option(help="Study: every scientific setting.")] = "",
    force: Annotated[bool, typer.Option(help="Compute again what is up to date.")] = False,
    json: Json = False,
) -> None:
    """Materialise all evidence for models x traits; what is up to date is not computed again."""
    from steer_assets.pipeline.depot import carried_catalog
    from steer_assets.resources.active_study import default_study

    for conflict in carried_catalog.carry(store=True).conflicts:
        terminal.say(conflict)
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
    terminal.show(
        verdicts(layout, model, trait), as_json=json, title=title, spare=("look", "texts")
    )
    if not json:
        _where(layout, model, trait)
        for sentence in in_words(layout, model, trait, chosen.statistics.margin_sd):
            terminal.say(sentence, prose=True)


def _warn(synced: SyncResult) -> None:
    """Report results that were not loaded into the database."""
    if synced.deferred:
        terminal.say(f"not loaded into DuckDB yet: {synced.deferred}; run `steer db sync`")
    for problem in synced.damaged:
        terminal.say(f"not loaded into DuckDB: {problem}")


def _where(layout: Layout, models: list[str], traits: list[str]) -> None:
    for model in models:
        for trait in traits:
            terminal.say(f"report    {report_path(layout, model, trait)}")
    terminal.say(f"index     {layout.root / 'reports' / 'index.html'}")
    terminal.say(f"database  {layout.database}")
    terminal.say(f'ask       steer sql "{_QUESTION}"')
    terminal.say("look      make ui, then http://127.0.0.1:3000   (runs: make mlflow)")
