"""The `steer` command. An expected error prints one sentence and sets the exit code."""

import atexit
import os
import sys
import traceback

# Quiet and offline by default: weights come from installed packages or local folders, and progress
# bars and notices of the libraries would mix with the command's own output.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")

import duckdb
import typer

from steer_assets.commands import (
    calibrate,
    catalogue,
    diff,
    gc,
    reports,
    run,
    score,
    serve,
    status,
    terminal,
    vectors,
    warehouse,
)
from steer_assets.paths import data_folder
from steer_assets.storage.database.warehouse import WarehouseBusyError, WarehouseDamagedError
from steer_assets.storage.files.parquet import DamagedFileError


def _drop_messages_of_teardown() -> None:
    """Drop what is written to standard error after the last handler of `atexit`.

    DuckDB 2.0 reports some forty of its objects as leaked there when a run has computed something,
    below the verdicts. Handlers run in reverse order, so that all others have run by then.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


atexit.register(_drop_messages_of_teardown)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Is this steering vector the direction that does it, or one of many that behave the same?",
    epilog="Begin with: steer run --model smollm2-135m-instruct --trait formality",
)
for command, example in (
    (run.run, "steer run --model smollm2-135m-instruct --trait formality --study quick"),
    (
        calibrate.calibrate,
        "steer calibrate --model smollm2-135m-instruct --trait sentiment",
    ),
    (status.status, "steer status --json | grep stale"),
    (reports.report, "steer report --model smollm2-135m-instruct --trait formality"),
    (reports.figures, "steer figures --trait formality --figure forest --to ."),
    (serve.serve, "steer serve --port 3001"),
    (reports.table, "steer table verdicts --trait formality --format latex"),
    (reports.publish, "steer publish --to bundle --license cc-by-4.0"),
    (reports.reproduce, "steer reproduce bundle"),
    (diff.diff, "steer diff quick standard --page changes.html"),
    (warehouse.sql, 'steer sql "FROM v_model_trait_summary"'),
    (gc.gc, "steer gc --runs-older-than 90"),
    (score.score, "steer score sentiment < texts.jsonl"),
):
    kind = warehouse.QueryCommand if command is warehouse.sql else None
    app.command(epilog=f"Example: {example}", cls=kind)(command)
app.add_typer(catalogue.models, name="models")
app.add_typer(catalogue.traits, name="traits")
app.add_typer(vectors.vectors, name="vectors")
app.add_typer(warehouse.db, name="db")
app.add_typer(warehouse.depot, name="depot")

#: Invalid input, exit code 2. ValueError covers the errors of the catalog, of keys and of the
#: libraries; their messages name the problem and the remedy.
_INPUT_ERRORS = (ValueError, FileNotFoundError, duckdb.Error)
#: Invalid state of the data folder or the system, exit code 1.
_STATE_ERRORS = (DamagedFileError, WarehouseBusyError, WarehouseDamagedError, RuntimeError, OSError)


def _sentence(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 2000 else text[:2000] + " ..."


def _logged() -> str:
    """Write the traceback to a log file if possible; return a sentence that names the file."""
    log = data_folder() / "steer-error.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
    except OSError:
        return ""
    return f"; see {log}"


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="steer")
    except _INPUT_ERRORS as error:
        terminal.say(f"steer: {_sentence(error)}")
        sys.exit(2)
    except _STATE_ERRORS as error:
        terminal.say(f"steer: {_sentence(error)}")
        sys.exit(1)
    except Exception as error:
        terminal.say(f"steer: unexpected {type(error).__name__}: {_sentence(error)}{_logged()}")
        sys.exit(1)


if __name__ == "__main__":
    main()
