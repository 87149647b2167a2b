"""`steer vectors`: import, export and list steering vectors."""

import typer

from steer_assets.commands.vectors.exports import export_vectors
from steer_assets.commands.vectors.imports import import_vector, list_vectors

vectors = typer.Typer(no_args_is_help=True, help="Steering vectors: yours in, ours out.")
for _name, _command in (
    ("import", import_vector),
    ("export", export_vectors),
    ("list", list_vectors),
):
    vectors.command(_name)(_command)
