"""Options shared by several commands; shell completion takes their values from the catalog."""

from typing import Annotated

import typer

from steer_assets.catalog import catalog

#: Every command that prints rows has this option.
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]


def _models() -> list[str]:
    """Shell completions for `--model`."""
    return catalog.model_keys()


def _traits() -> list[str]:
    """Shell completions for `--trait`."""
    return catalog.trait_keys()


_ALL = "may be given again. Default: all."
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help=f"Model key; {_ALL}", autocompletion=_models),
]
Traits = Annotated[
    list[str] | None,
    typer.Option("--trait", help=f"Trait key; {_ALL}", autocompletion=_traits),
]
Model = Annotated[str, typer.Option("--model", help="Model key.", autocompletion=_models)]
Trait = Annotated[str, typer.Option("--trait", help="Trait key.", autocompletion=_traits)]
SomeModels = Annotated[
    list[str],
    typer.Option("--model", help="Model key; may be given again.", autocompletion=_models),
]
SomeTraits = Annotated[
    list[str],
    typer.Option("--trait", help="Trait key; may be given again.", autocompletion=_traits),
]
